package invite

import (
	"context"
	"slices"
	"sync"
	"time"
)

// tracker knows which rows wait for a decision.
type tracker struct {
	wait    Wait
	timeout time.Duration
	now     func() time.Time

	mu     sync.Mutex
	jobs   []*job            // that are waited for, in order
	open   map[string]*watch // their rows, by invitation; a file may name one twice
	latest time.Time         // when the last decision came
	missed time.Time         // when a decision was waited for in vain
	gaveUp bool              // nothing was decided since: nobody waits any more
}

// watch is a row that is waited for.
type watch struct {
	job   *job
	index int
	next  *watch // of the same invitation
}

func newTracker(wait Wait, timeout time.Duration, now func() time.Time) *tracker {
	return &tracker{wait: wait, timeout: timeout, now: now, open: map[string]*watch{}, latest: now()}
}

// Known is what is known of an invitation's content.
type Known struct {
	Invitation  string
	Content     []byte // ContentDigest
	Outcome     Outcome
	Reason      string
	Certificate string // its id, of an issued one
}

// expect begins to wait for the rows of jobs, before they are published: nobody can decide them earlier.
func (t *tracker) expect(jobs []*job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs = append(t.jobs, jobs...)
	for _, j := range jobs {
		j.decided = make(chan struct{})
		j.due = t.now().Add(recallAfter)
		for i := range j.rows {
			if w := &j.rows[i]; w.outcome != Invalid {
				j.open++
				t.open[w.id] = &watch{job: j, index: i, next: t.open[w.id]}
			}
		}
		if j.open == 0 {
			close(j.decided)
		}
	}
}

// waits says whether anybody waits for the invitation.
func (t *tracker) waits(invitation string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.open[invitation]
	return ok
}

// learn takes what was decided. What is issued or refused stays so; an offer is the least that can be known.
func (t *tracker) learn(k Known) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := t.open[k.Invitation]; w != nil; w = w.next {
		row := &w.job.rows[w.index]
		if row.digest != string(k.Content) || row.outcome != Sent && (k.Outcome == Offered || row.outcome != Offered) {
			continue
		}
		row.outcome, row.reason, row.certificate = k.Outcome, k.Reason, k.Certificate
		t.latest = t.now()
		if row.decided || k.Outcome == Offered && t.wait == WaitFinal {
			continue
		}
		t.decide(w.job, row)
	}
}

// await waits until every row of the job is decided, for as long as decisions come, and then has nobody wait for them
// any more.
func (t *tracker) await(ctx context.Context, j *job) error {
	for left := t.left(j); left > 0; left = t.left(j) {
		timer := time.NewTimer(left)
		select {
		case <-j.decided:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
	t.forget(j)
	t.mu.Lock()
	defer t.mu.Unlock()
	if j.open == 0 {
		return nil
	}
	for i := range j.rows {
		w := &j.rows[i]
		if w.outcome == Invalid || w.decided {
			continue
		}
		if w.outcome == Sent {
			w.outcome = Undecided
		}
		w.reason = "no decision for " + t.timeout.String()
	}
	if !t.missed.IsZero() && t.latest.Before(t.missed) {
		t.giveUp()
	}
	t.missed = t.now()
	return nil
}

// giveUp waits for less from now on: that offers are made, where nobody answers them, and then for nothing.
func (t *tracker) giveUp() {
	if t.wait != WaitFinal {
		t.gaveUp = true
		return
	}
	t.wait = WaitOffered
	for _, j := range t.jobs {
		for i := range j.rows {
			if w := &j.rows[i]; w.outcome == Offered && !w.decided {
				t.decide(j, w)
			}
		}
	}
}

func (t *tracker) decide(j *job, w *row) {
	w.decided = true
	if j.open--; j.open == 0 {
		close(j.decided)
	}
}

// left is how long to wait for the job's rows from now on: while decisions come, the next may be theirs.
func (t *tracker) left(j *job) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gaveUp || j.open == 0 {
		return 0
	}
	began := j.acked
	if t.latest.After(began) {
		began = t.latest
	}
	return t.timeout - t.now().Sub(began)
}

// forget has nobody wait for the job's rows any more.
func (t *tracker) forget(j *job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs = slices.DeleteFunc(t.jobs, func(other *job) bool { return other == j })
	for i := range j.rows {
		id := j.rows[i].id
		var rest *watch
		for w := t.open[id]; w != nil; {
			next := w.next
			if w.job != j {
				w.next, rest = rest, w
			}
			w = next
		}
		if rest == nil {
			delete(t.open, id)
		} else {
			t.open[id] = rest
		}
	}
}

// Pauses of looking up what nobody tells.
const (
	recallAfter = 2 * time.Second
	recallMost  = 30 * time.Second
	recallEvery = 500 * time.Millisecond
)

// forgotten are the invitations of the first job that nobody told anything of for a while: those that stand together in
// the input stand together in the log, where they are looked up now.
func (t *tracker) forgotten() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, j := range t.jobs {
		if t.gaveUp || j.open == 0 || j.acked.IsZero() || j.due.After(now) {
			continue
		}
		j.asked++
		j.due = now.Add(min(recallAfter<<min(j.asked, 8), recallMost))
		var ids []string
		for i := range j.rows {
			if w := &j.rows[i]; w.outcome != Invalid && !w.decided {
				ids = append(ids, w.id)
			}
		}
		return ids
	}
	return nil
}
