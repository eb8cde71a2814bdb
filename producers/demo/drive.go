package demo

import (
	"context"
	"iter"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

const (
	publishMax = 500 // messages that are published at a time
	againEvery = time.Second
)

// drive follows the logs and publishes what the parties do, until every row has its answer.
func (r *run) drive(ctx context.Context) error {
	f := newFollower(r)
	r.Progress.Stage("read the log", 0)
	expired, err := f.history(ctx)
	r.Progress.Done()
	if err != nil {
		return err
	}
	if err := r.enter(ctx); err != nil {
		return err
	}
	done := false
	actors := []func(context.Context) error{func(ctx context.Context) error {
		f.with(func(t *Tracker) { t.Live(expired) })
		if err := r.openAccounts(ctx, f); err != nil {
			return err
		}
		err := r.submitOrders(ctx, f)
		done = err == nil
		return err
	}}
	for _, topic := range followed() {
		actors = append(actors, f.tail(topic))
	}
	if err := pipeline.Run(ctx, actors...); err != nil {
		return err
	}
	if !done {
		return context.Cause(ctx)
	}
	return nil
}

// openAccounts waits until every account stands.
func (r *run) openAccounts(ctx context.Context, f *follower) error {
	var standing, all int
	f.with(func(t *Tracker) { standing, all = t.Accounts() })
	r.Progress.Stage("open accounts", all)
	defer r.Progress.Done()
	r.Progress.Add(standing)
	return r.exchange(ctx, f, func(t *Tracker) (bool, error) {
		now, _ := t.Accounts()
		r.Progress.Add(now - standing)
		standing = now
		return now == all, nil
	})
}

// submitOrders hands the rows in, as there is room, and waits for their answers.
func (r *run) submitOrders(ctx context.Context, f *follower) error {
	in, err := batch.Open(r.Orders)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was only read
	next, stop := iter.Pull2(in.Rows())
	defer stop()

	r.Progress.Stage("decide orders", r.rows)
	defer r.Progress.Done()
	invalid, told, more := 0, 0, true
	return r.exchange(ctx, f, func(t *Tracker) (bool, error) {
		for more && t.Room() {
			row, err, ok := next()
			switch {
			case err != nil:
				return false, err
			case !ok:
				more = false
				continue
			}
			order, reason := batch.Parse(row)
			if reason != "" {
				invalid++
				continue
			}
			if err := t.Submit(invitationOf(order, r.version)); err != nil {
				return false, err
			}
		}
		r.Progress.Add(t.Settled() + invalid - told)
		told = t.Settled() + invalid
		return !more && t.Idle(), nil
	})
}

// exchange publishes what the tracker wants published, and lets step go on whenever something has come, until
// step says that it is done.
func (r *run) exchange(ctx context.Context, f *follower, step func(*Tracker) (done bool, err error)) error {
	again := time.NewTicker(againEvery)
	defer again.Stop()
	for {
		var done bool
		var err error
		var messages []schemas.Message
		f.with(func(t *Tracker) {
			if done, err = step(t); err == nil {
				messages = t.Take(publishMax)
			}
		})
		if err != nil || done && len(messages) == 0 {
			return err
		}
		if len(messages) > 0 {
			if err := r.publish(ctx, messages); err != nil {
				return err
			}
			continue
		}
		select {
		case <-f.wake:
		case <-again.C:
			f.with((*Tracker).Again)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// publish publishes messages that were taken in now. It waits for a log that is away; repeats are harmless,
// since every message has its own derived id.
func (r *run) publish(ctx context.Context, messages []schemas.Message) error {
	records := make([]pipeline.Record, len(messages))
	now := r.Now().UTC()
	for i, m := range messages {
		m.Time = now
		record, err := pipeline.Encode(topicOf(m), m)
		if err != nil {
			return err
		}
		records[i] = record
	}
	return patiently(ctx, r.Logger, "publish", func() error { return r.deps.Publisher.Publish(ctx, records) })
}

// topicOf is where the parties send a message.
func topicOf(m schemas.Message) string {
	switch m.Body.(type) {
	case *schemas.Movement:
		return schemas.TopicMovements
	case *schemas.IssuanceRequest:
		return schemas.TopicIssuanceRequests
	case *schemas.Directory:
		return schemas.TopicDirectory
	default:
		return schemas.TopicInvitations
	}
}
