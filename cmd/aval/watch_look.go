package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// watch looks at a system from outside.
type watch struct {
	system *system
	works  []watchWork
	began  time.Time
	first  *watchSample // what the counts since then are from
	last   *watchSample

	mu     sync.Mutex
	closed map[register.State]int64 // what refusals said since it began
	from   []int64                  // where it began to read them
}

// watchWork is a topic that a stage reads, and as which group.
type watchWork struct{ stage, topic, group string }

// watchSample is how things stood at one time.
type watchSample struct {
	at         time.Time
	ends       map[string][]int64
	done       map[watchWork][]int64 // what is committed; below zero: nothing is
	oldest     map[watchWork]time.Time
	open, held int64
	closed     map[register.State]int64
}

func newWatch(s *system) *watch {
	w := &watch{system: s, began: time.Now(), closed: map[register.State]int64{}}
	for _, work := range s.works(stageNames(), nil) {
		w.works = append(w.works, watchWork{work.Name, work.Topic, work.Config.Group})
	}
	return w
}

// topics are all whose ends are told of.
func (w *watch) topics() []string {
	topics := []string{
		schemas.TopicInvitations, schemas.TopicCertificates, schemas.TopicRefusals, schemas.TopicDeadLetters,
	}
	for _, work := range w.works {
		if !slices.Contains(topics, work.topic) {
			topics = append(topics, work.topic)
		}
	}
	return topics
}

// begin takes the ends from which on refusals are counted.
func (w *watch) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	ends, err := w.system.kafka.Ends(ctx, []string{schemas.TopicRefusals})
	if err != nil {
		return err
	}
	w.from = ends[schemas.TopicRefusals]
	return nil
}

// follow counts refusals from where it began, until ctx ends.
func (w *watch) follow(ctx context.Context) error {
	return w.system.kafka.Tail(ctx, schemas.TopicRefusals, w.from, func(_ int, records []pipeline.Record) error {
		for _, r := range records {
			state := register.StateRefused
			if in, err := pipeline.Decode(r); err == nil {
				state = closedAs(in)
			}
			w.mu.Lock()
			w.closed[state]++
			w.mu.Unlock()
		}
		return nil
	})
}

// closedAs is what a refusal makes of an invitation.
func closedAs(in pipeline.In) register.State {
	refusal, _ := in.Body.(*schemas.Refusal)
	switch refusal.GetReason() { //nolint:exhaustive // all others refuse
	case schemas.Reason_REASON_DECLINED:
		return register.StateDeclined
	case schemas.Reason_REASON_WITHDRAWN:
		return register.StateWithdrawn
	case schemas.Reason_REASON_LAPSED:
		return register.StateLapsed
	}
	return register.StateRefused
}

// look takes a sample, and compares it with those before.
func (w *watch) look(ctx context.Context) (watchView, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	now, err := w.sample(ctx)
	if err != nil {
		return watchView{}, fmt.Errorf("look at %s: %w", w.system.namespace, err)
	}
	if w.first == nil {
		w.first = now
	}
	view := w.view(now, cmp.Or(w.last, now))
	w.last = now
	return view, nil
}

func (w *watch) sample(ctx context.Context) (*watchSample, error) {
	s := &watchSample{done: map[watchWork][]int64{}, oldest: map[watchWork]time.Time{}}
	for _, work := range w.works {
		marks, err := w.system.kafka.Committed(ctx, work.group, work.topic)
		if err != nil {
			return nil, err
		}
		for _, mark := range marks {
			s.done[work] = append(s.done[work], mark.Offset)
		}
	}
	var err error
	if s.ends, err = w.system.kafka.Ends(ctx, w.topics()); err != nil { // after what is done, or lag would be below zero
		return nil, err
	}
	s.at = time.Now()
	for _, work := range w.works {
		if err := w.age(ctx, s, work); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	s.closed = map[register.State]int64{}
	for state, n := range w.closed {
		s.closed[state] = n
	}
	w.mu.Unlock()
	pre, accounts := w.system.store(preissue.Book{}), w.system.store(ledger.Book{})
	for shard := range w.system.partitions {
		open, err := pre.Len(ctx, shard, preissue.TableOpen)
		if err != nil {
			return nil, err
		}
		held, err := accounts.Len(ctx, shard, ledger.TableHolds)
		if err != nil {
			return nil, err
		}
		s.open, s.held = s.open+open, s.held+held
	}
	return s, nil
}

// age looks at the first record that is not done, of the partition that has the most of them.
func (w *watch) age(ctx context.Context, s *watchSample, work watchWork) error {
	most, at := int64(0), -1
	for p, done := range s.done[work] {
		if lag := s.ends[work.topic][p] - max(done, 0); lag > most {
			most, at = lag, p
		}
	}
	if at < 0 {
		return nil
	}
	written, err := w.system.kafka.Written(ctx, work.topic, at, max(s.done[work][at], 0))
	if err != nil {
		return nil //nolint:nilerr // it is not kept any more: its age is not known
	}
	s.oldest[work] = written
	return nil
}
