package simulation_test

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/deadletter"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

const namespace = "sim"

// process is one that runs all stages, books and sinks, until it dies.
type process struct {
	w     *world
	name  string
	works []pipeline.Work
	tasks []*task
	dead  bool
	wakes int // the step before which it sleeps

	parties *parties // of the process that they are
}

func (w *world) newProcess(name string) *process {
	p := &process{w: w, name: name}
	transport := port{w}
	follower := &pipeline.Follower{
		Publisher: transport, Partitions: shards, IsJournal: isJournal, Logger: slog.New(slog.DiscardHandler),
	}
	for _, stage := range w.stages(transport) {
		p.works = append(p.works, follower.Stage(stage)...)
	}
	p.works = append(p.works, follower.Sink(register.New(w.client, register.Config{
		Namespace: namespace, Partitions: shards, Now: w.time,
	}))...)
	for _, b := range books() {
		p.works = append(p.works, w.runner(b, p.name).Work("book "+b.Name()))
	}
	return p
}

func (w *world) runner(b book.Book, owner string) *book.Runner {
	return &book.Runner{
		Book: b, Store: w.stores[b], Log: port{w}, Partitions: shards, Owner: owner,
		Logger: slog.New(slog.DiscardHandler), Now: w.time,
	}
}

func books() []book.Book { return []book.Book{ledger.Book{}, preissue.Book{}} }

func isJournal(topic string) bool {
	t, ok := schemas.TopicOf(topic)
	return ok && t.Kind == schemas.KindJournal
}

// stages are the pure ones. Of the stage notice it is the inbox: webhooks are outside.
func (w *world) stages(directories certificate.Directories) []pipeline.Stage {
	return []pipeline.Stage{
		certificate.Invitation(), certificate.Routing(directories), certificate.Relay(),
		certificate.Funding(directories), certificate.Certificate(w.signer), advice.Stage(), notice.Stage(),
		deadletter.Stage(),
	}
}

// task is what a process does with one partition of a topic: a goroutine that goes on when the world says so.
type task struct {
	p         *process
	work      pipeline.Work
	partition int
	seat      seat
	before    *task // who worked on it in this process before

	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	ended   bool
	revoked bool // it knows that the partition is no longer its own
	loses   int  // the step at which it learns that; 0: it has it
	resting bool // it failed, and waits before it tries again
	waits   bool
	from    int64     // where it waits for records; below zero: it waits for time alone
	at      int64     // what is done; below zero: it has yet to find out
	wake    time.Time // when it stops waiting; zero: never
	pending *pipeline.Mark
	mark    pipeline.Mark
}

func (p *process) start(work pipeline.Work, partition int) *task {
	t := &task{p: p, work: work, partition: partition, seat: seat{work.Config.Group, partition}}
	for _, other := range p.tasks {
		if other.seat == t.seat && !other.ended {
			t.before = other
		}
	}
	p.begin(t, t.run)
	return t
}

// begin makes the task one that goes on when the world says so: what it runs is handed over to and fro, in one thread.
func (p *process) begin(t *task, run func()) {
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() { t.ended = true }()
		run()
	})
	p.tasks = append(p.tasks, t)
}

func (t *task) place() place { return place{t.work.Topic, t.partition} }

func (t *task) String() string { return fmt.Sprintf("%s %s %s", t.p.name, t.work.Name, t.place()) }

// run is the life of a shard of a subscriber: see pipeline/kafka/shard.go.
func (t *task) run() {
	w := t.p.w
	t.at = -1
	for err := errDown; err != nil; {
		err = w.call("committed", func() string { return "where the group stands" }, func() {
			t.mark = pipeline.Mark{Offset: -1}
			if mark, ok := w.broker.marks[t.seat]; ok {
				t.mark = mark
			}
		})
		if t.p.dead || t.revoked {
			return
		}
	}
	for !t.p.dead && !t.revoked {
		from, err := t.resume()
		if err == nil {
			t.consume(max(from, 0))
		}
		t.at = -1
		if !t.p.dead && !t.revoked {
			t.rest(errors.Join(err, errDown))
		}
	}
	if !t.p.dead && t.work.Config.Revoked != nil {
		t.work.Config.Revoked(t.work.Topic, t.partition)
	}
}

func (t *task) resume() (from int64, err error) {
	if t.work.Config.Resume == nil {
		return t.mark.Offset, nil
	}
	defer t.recovered(&err)
	from, err = t.work.Config.Resume(t.p.w.ctx, t.work.Topic, t.partition, t.mark)
	t.p.w.mustBeFault(err)
	return from, err
}

func (t *task) handle(b *pipeline.Batch) (err error) {
	defer t.recovered(&err)
	err = t.work.Handle(t.p.w.ctx, b)
	t.p.w.mustBeFault(err)
	return err
}

func (t *task) recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("panicked: %v", cause)
		t.p.w.violate("%s panicked: %v", t, cause)
	}
}

// consume hands out batches until the task has to resume anew, or is over.
func (t *task) consume(from int64) {
	for {
		t.at = from
		b, ok := t.await(from)
		for ok {
			offered := *b
			err := t.handle(&offered)
			if t.p.dead {
				return
			}
			if err == nil {
				mark := offered.Mark()
				t.mark, t.pending = mark, &mark
				break
			}
			if offered.Restarts() || t.revoked {
				return
			}
			t.rest(err)
			ok = len(b.Records) > 0
		}
		if t.p.dead || t.revoked {
			return
		}
		from = b.Next
	}
}

// await returns the next records, or none where nothing came for the idle time.
func (t *task) await(from int64) (*pipeline.Batch, bool) {
	w, idle := t.p.w, time.Time{}
	if t.work.Config.Idle > 0 {
		idle = w.now.Add(t.work.Config.Idle)
	}
	for {
		if t.p.dead || t.revoked {
			return nil, false
		}
		log := w.broker.topics[t.work.Topic][t.partition]
		b := &pipeline.Batch{Topic: t.work.Topic, Partition: t.partition, Next: from, High: int64(len(log))}
		if from < int64(len(log)) {
			size := min(1+w.dice.below("batch", w.odds.batch), len(log)-int(from))
			b.Records = log[from : int(from)+size : int(from)+size]
			b.Next = from + int64(size)
			return b, true
		}
		if !idle.IsZero() && !w.now.Before(idle) {
			return b, true
		}
		t.waits, t.from, t.wake = true, from, idle
		w.pause()
		t.waits = false
	}
}

// rest waits for a while after an error.
func (t *task) rest(err error) {
	w := t.p.w
	w.note("%s rests: %v", t, err)
	t.waits, t.resting, t.from, t.wake = true, true, -1, w.now.Add(20*time.Millisecond)
	w.pause()
	t.waits, t.resting = false, false
}

// ready says whether the task can go on.
func (t *task) ready() bool {
	w := t.p.w
	switch {
	case t.ended || t.p.wakes > w.steps || t.before != nil && !t.before.ended:
		return false
	case !t.waits || t.revoked:
		return true
	case t.from >= 0 && t.from < w.broker.end(t.place()):
		return true
	}
	return !t.wake.IsZero() && !w.now.Before(t.wake)
}

// commit hands what was acknowledged to the broker, which takes it from who has the partition.
func (t *task) commit() {
	w := t.p.w
	if t.pending == nil || w.broker.owners[t.seat] != t {
		return
	}
	w.note("%s commits %d", t, t.pending.Offset)
	w.broker.marks[t.seat] = *t.pending
	t.pending = nil
}

// die ends the process where it is, between any two of its steps.
func (p *process) die() {
	p.dead = true
	for _, t := range p.tasks {
		p.w.current = t
		t.stop()
		t.ended = true
	}
	p.w.current = nil
}

func (w *world) time() time.Time { return w.now }
