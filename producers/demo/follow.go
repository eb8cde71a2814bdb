package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Log is the part of the log that the demo reads.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64,
		visit func([]pipeline.Record) error) error
	// Tail visits the records of all partitions from these offsets on, those still to come too, until ctx ends.
	Tail(ctx context.Context, topic string, from []int64,
		visit func(partition int, records []pipeline.Record) error) error
}

// followed are the topics that tell what becomes of orders. A journal comes before what follows from it.
func followed() []string {
	return []string{
		schemas.TopicEntries, schemas.TopicPreIssues, schemas.TopicCertificates, schemas.TopicRefusals,
		schemas.TopicNotices,
	}
}

// follower folds the logs into the tracker, which it guards.
type follower struct {
	log        Log
	logger     *slog.Logger
	partitions int
	wake       chan struct{} // holds a token when the tracker has something new

	mu      sync.Mutex
	tracker *Tracker
	parts   map[string][]*part // by topic
}

// part is a partition that is followed.
type part struct {
	next    int64
	journal *pipeline.Journal // nil of topics that are none
}

func newFollower(r *run) *follower {
	f := &follower{
		log: r.deps.Log, logger: r.Logger, partitions: r.Partitions, tracker: r.tracker,
		wake: make(chan struct{}, 1), parts: map[string][]*part{},
	}
	for _, name := range followed() {
		topic, _ := schemas.TopicOf(name)
		for range topic.PartitionCount(r.Partitions) {
			p := &part{}
			if topic.Kind == schemas.KindJournal {
				p.journal = &pipeline.Journal{}
			}
			f.parts[name] = append(f.parts[name], p)
		}
	}
	return f
}

// history folds what the logs hold already. Expired says that some notices are gone.
func (f *follower) history(ctx context.Context) (expired bool, err error) {
	for _, topic := range followed() {
		for number, p := range f.parts[topic] {
			var end int64
			err := patiently(ctx, f.logger, "read "+topic, func() error {
				first, last, err := f.log.Bounds(ctx, topic, number)
				if err != nil {
					return err
				}
				expired = expired || topic == schemas.TopicNotices && first > 0
				p.next, end = max(p.next, first), last
				return f.log.Read(ctx, topic, number, p.next, end, func(records []pipeline.Record) error {
					return f.visit(topic, number, records)
				})
			})
			if err != nil {
				return expired, err
			}
			p.next = max(p.next, end)
		}
	}
	return expired, nil
}

// tail folds what comes.
func (f *follower) tail(topic string) func(context.Context) error {
	return func(ctx context.Context) error {
		return patiently(ctx, f.logger, "follow "+topic, func() error {
			from := make([]int64, len(f.parts[topic]))
			for number, p := range f.parts[topic] {
				from[number] = p.next
			}
			err := f.log.Tail(ctx, topic, from, func(number int, records []pipeline.Record) error {
				return f.visit(topic, number, records)
			})
			if err == nil && ctx.Err() == nil {
				err = errors.New("the log ended")
			}
			return err
		})
	}
}

// visit folds records of a partition. Of journals only what is part of a valid entry counts.
func (f *follower) visit(topic string, number int, records []pipeline.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.parts[topic][number]
	fresh := records[:0:0]
	for _, r := range records {
		if r.Offset >= p.next {
			fresh = append(fresh, r)
			p.next = r.Offset + 1
		}
	}
	ins, err := f.decode(p, fresh)
	if err != nil {
		return finalError{err}
	}
	for _, in := range ins {
		if err := f.tracker.Fold(in); err != nil {
			return finalError{err}
		}
	}
	select {
	case f.wake <- struct{}{}:
	default: // it holds a token already
	}
	return nil
}

func (f *follower) decode(p *part, records []pipeline.Record) (ins []pipeline.In, err error) {
	if p.journal != nil {
		for _, entry := range p.journal.Read(records) {
			items, err := entry.Items()
			if err != nil {
				return nil, err
			}
			ins = append(ins, items...)
		}
		return ins, nil
	}
	for _, r := range records {
		in, err := pipeline.Decode(r)
		if err == nil && pipeline.CheckKey(in, f.partitions) == nil {
			ins = append(ins, in) // what cannot be read is the dead letters' business
		}
	}
	return ins, nil
}

// with uses the tracker alone.
func (f *follower) with(use func(*Tracker)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	use(f.tracker)
}

// finalError is one that trying again does not mend.
type finalError struct{ error }

// Unwrap returns the error itself.
func (e finalError) Unwrap() error { return e.error }

// Pauses before something is tried again.
const (
	pauseMin = 200 * time.Millisecond
	pauseMax = 5 * time.Second
)

// patiently tries until it works, ctx ends or the error is final. It says once that it waits, and once that
// it goes on.
func patiently(ctx context.Context, logger *slog.Logger, what string, try func() error) error {
	said := false
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		err := try()
		var final finalError
		switch {
		case err == nil:
			if said {
				logger.InfoContext(ctx, "going on", "with", what)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &final):
			return final.error
		}
		if !said {
			said = true
			logger.WarnContext(ctx, "waiting", "to", what, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}
