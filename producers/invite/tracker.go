package invite

import (
	"context"
	"sync"
	"time"
)

// tracker knows which rows wait for a decision.
type tracker struct {
	wait    Wait
	timeout time.Duration
	now     func() time.Time

	mu     sync.Mutex
	open   map[string]*watch // by invitation; a file may name one twice
	latest time.Time         // when the last decision came
	gaveUp bool              // nothing was decided for a whole timeout: nobody waits any more
}

// watch is a row that is waited for.
type watch struct {
	job   *job
	index int
	asked int       // how often it was looked up
	due   time.Time // when it is looked up next
	next  *watch    // of the same invitation
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
	due := t.now().Add(recallAfter)
	for _, j := range jobs {
		j.decided = make(chan struct{})
		for i := range j.rows {
			if w := &j.rows[i]; w.outcome != Invalid {
				j.open++
				t.open[w.id] = &watch{job: j, index: i, due: due, next: t.open[w.id]}
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
		row.decided = true
		if w.job.open--; w.job.open == 0 {
			close(w.job.decided)
		}
	}
}

// await waits until every row of the job is decided, or its time is over, and has nobody wait for them any more.
func (t *tracker) await(ctx context.Context, j *job) error {
	if !t.over() {
		timer := time.NewTimer(t.timeout - t.now().Sub(j.acked))
		defer timer.Stop()
		select {
		case <-j.decided:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
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
		w.reason = "no decision within " + t.timeout.String()
	}
	began := j.acked
	if t.latest.After(began) {
		began = t.latest
	}
	t.gaveUp = t.gaveUp || t.now().Sub(began) >= t.timeout
	return nil
}

// over says that it is not worth waiting for anything.
func (t *tracker) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gaveUp
}

// forget has nobody wait for the job's rows any more.
func (t *tracker) forget(j *job) {
	t.mu.Lock()
	defer t.mu.Unlock()
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
	recallMax   = 1000 // invitations at a time
)

// forgotten are the invitations that nobody told anything of for a while, each to be looked up now.
func (t *tracker) forgotten() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gaveUp {
		return nil
	}
	now := t.now()
	var ids []string
	for id, w := range t.open {
		row := &w.job.rows[w.index]
		if row.decided || w.due.After(now) {
			continue
		}
		w.asked++
		w.due = now.Add(min(recallAfter<<min(w.asked, 8), recallMost))
		if ids = append(ids, id); len(ids) == recallMax {
			break
		}
	}
	return ids
}
