package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	system   *system
	register *register.Register
	works    []watchWork
	first    *watchSample // what the counts since then are from
	last     *watchSample

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
	w := &watch{system: s, closed: map[register.State]int64{}}
	w.register = register.New(s.redis, register.Config{
		Namespace: s.namespace, Partitions: s.partitions, Now: time.Now,
	})
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
	return refusedAs(refusal.GetReason())
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
	var err error
	for _, work := range w.works {
		if s.done[work], err = w.done(ctx, work); err != nil {
			return nil, err
		}
	}
	// The ends come after what is done, or lag would be below zero.
	if s.ends, err = w.system.kafka.Ends(ctx, w.topics()); err != nil {
		return nil, err
	}
	s.at = time.Now()
	for _, work := range w.works {
		w.age(ctx, s, work)
	}
	w.mu.Lock()
	s.closed = maps.Clone(w.closed)
	w.mu.Unlock()
	return s, w.count(ctx, s)
}

// done is how far a stage has come with a topic: what its group has committed, or, of the register, what it has stored.
func (w *watch) done(ctx context.Context, work watchWork) (done []int64, err error) {
	marks, err := w.system.kafka.Committed(ctx, work.group, work.topic)
	if err != nil {
		return nil, err
	}
	for p, mark := range marks {
		if work.stage == w.register.Name() {
			if mark, err = w.register.Resume(ctx, work.topic, p); err != nil {
				return nil, err
			}
		}
		done = append(done, mark.Offset)
	}
	return done, nil
}

// count counts what the books hold.
func (w *watch) count(ctx context.Context, s *watchSample) error {
	pre, accounts := w.system.store(preissue.Book{}), w.system.store(ledger.Book{})
	for shard := range w.system.partitions {
		open, err := pre.Len(ctx, shard, preissue.TableOpen)
		if err != nil {
			return err
		}
		held, err := accounts.Len(ctx, shard, ledger.TableHolds)
		if err != nil {
			return err
		}
		s.open, s.held = s.open+open, s.held+held
	}
	return nil
}

// age looks at the first record that is not done, of the partition that has the most of them.
func (w *watch) age(ctx context.Context, s *watchSample, work watchWork) {
	most, at := int64(0), -1
	for p, done := range s.done[work] {
		if lag := s.ends[work.topic][p] - max(done, 0); lag > most {
			most, at = lag, p
		}
	}
	if at < 0 {
		return
	}
	if written, err := w.system.kafka.Written(ctx, work.topic, at, max(s.done[work][at], 0)); err == nil {
		s.oldest[work] = written
	} // else it is not kept any more, and its age is not known
}
