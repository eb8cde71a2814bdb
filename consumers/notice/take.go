package notice

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

var errStopped = errors.New("stopped before it was due")

// take does a batch of notices. The receipts of those whose recipients read the inbox follow at once; the others are
// handed to the callers, or, where there is no room, to the topic of retries.
func (c *Courier) take(ctx context.Context, b *pipeline.Batch) error {
	parties, err := c.parties.await(ctx, b.Stopping)
	if err != nil {
		return err
	}
	jobs, inbox := c.sort(b, parties)
	if len(jobs) == 0 {
		if err = c.inbox.Handle(ctx, b); err == nil {
			c.enter(b, nil)
		}
		return err
	}
	rest := *b
	rest.Records = inbox
	jobs, late := c.admit(jobs)
	if err = c.inbox.Handle(ctx, &rest); err == nil {
		err = c.Follower.Publisher.Publish(ctx, late)
	}
	if err != nil { // the batch comes again
		for _, j := range jobs {
			c.desk.release(j.size)
		}
		return err
	}
	c.enter(b, jobs)
	return nil
}

// sort takes apart what is for webhooks and what is not: that, and what cannot be read, is the inbox's.
func (c *Courier) sort(b *pipeline.Batch, parties map[string]party) (jobs []*job, inbox []pipeline.Record) {
	for i, r := range b.Records {
		var j *job
		if _, ok := parties[string(r.Key)]; ok {
			j = c.jobOf(r)
		}
		switch {
		case j != nil && jobs == nil:
			jobs, inbox = append(make([]*job, 0, len(b.Records)-i), j), slices.Clone(b.Records[:i])
		case j != nil:
			jobs = append(jobs, j)
		case jobs != nil:
			inbox = append(inbox, r)
		}
	}
	return jobs, inbox
}

func (c *Courier) jobOf(r pipeline.Record) *job {
	in, err := pipeline.Decode(r)
	n, ok := in.Body.(*schemas.Notice)
	if err != nil || !ok || pipeline.CheckKey(in, c.Follower.Partitions) != nil {
		return nil
	}
	return &job{in: in, size: r.Size(), id: in.ID, notice: n, first: c.Now()}
}

// admit reserves room for the jobs. Those for which there is none wait.
func (c *Courier) admit(jobs []*job) (admitted []*job, late []pipeline.Record) {
	for _, j := range jobs {
		if c.desk.reserve(j.size) {
			admitted = append(admitted, j)
		} else {
			late = append(late, c.putOff(j, 0))
		}
	}
	return admitted, late
}

// retake takes a notice that waits, when it is due and there is room for it. Those behind it are due later, about.
func (c *Courier) retake(ctx context.Context, b *pipeline.Batch) error {
	if _, err := c.parties.await(ctx, b.Stopping); err != nil {
		return err
	}
	var jobs []*job
	for _, r := range b.Records { // there is one
		in, err := pipeline.Decode(r)
		x, ok := in.Body.(*schemas.NoticeRetry)
		if err != nil || !ok {
			return c.letters.Handle(ctx, b)
		}
		j := &job{
			in: in, size: r.Size(), id: x.GetNoticeId(), notice: x.GetNotice(), tries: int(x.GetTries()),
			first: x.GetFirst().AsTime(),
		}
		if !c.sleep(ctx, b.Stopping, x.GetDue().AsTime()) || !c.desk.await(ctx, b.Stopping, j.size) {
			return errStopped
		}
		jobs = append(jobs, j)
	}
	c.enter(b, jobs)
	return nil
}

// sleep waits until then, and says whether it came to that.
func (c *Courier) sleep(ctx context.Context, stopping <-chan struct{}, until time.Time) bool {
	// A clock that was set back must not hold up everything behind.
	timer := time.NewTimer(min(until.Sub(c.Now()), retryMost))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stopping:
	case <-ctx.Done():
	}
	return false
}
