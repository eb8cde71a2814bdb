package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline/book"
)

// world is everything that there is.
type world struct {
	*lab

	dice      *dice
	odds      odds
	now       time.Time
	steps     int
	broker    *broker
	redis     *server
	directory *certificate.Directory
	processes []*process
	outside   *process // the parties
	born      int
	current   *task

	trace      []string
	violations []string
}

// odds say how often something happens in a world, in a thousand times; worlds differ.
type odds struct {
	lost, torn, leak                         int // of a request
	crash, shift, sleep, back, empty, forget int // of a step
	clock                                    int
	batch                                    int // the largest batch
	orders                                   int // how many there are at most
}

// seedOdds chooses them: in some worlds a kind of fault does not exist, in some it is frequent.
func seedOdds(d *dice, orders int) odds {
	level := func(about string, often int) int {
		return []int{0, often / 4, often, 2 * often}[d.below("odds of "+about, 4)]
	}
	return odds{
		lost: level("lost", 40), torn: level("torn", 40), leak: level("leak", 300),
		crash: level("crash", 4), shift: level("shift", 6), sleep: level("sleep", 6), back: level("back", 6),
		empty: level("empty", 1), forget: level("forget", 1), clock: level("clock", 2),
		batch: []int{1, 3, 20}[d.below("odds of batch", 3)], orders: 1 + d.below("orders", orders),
	}
}

// lab is what worlds use one after the other.
type lab struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // it is the test's
	engine *engine
	signer certificate.Signer
	client *redis.Client
	stores map[book.Book]*book.Store // which hold nothing themselves
	world  *world                    // that is simulated now
}

// plan is which world: its seed, and what is left out of it.
type plan struct {
	seed   uint64
	orders int            // at most
	until  int            // the step after which nothing goes wrong any more
	muted  map[fault]bool // faults that do not happen
	traced bool
}

const (
	ordersMax = 5
	troubled  = 1500  // steps in which something may go wrong
	stepsMax  = 60000 // after that a world should be quiet
)

func (l *lab) begin(p plan) *world {
	w := &world{
		lab: l, dice: newDice(p.seed, p.muted), now: time.UnixMilli(1_800_000_000_000).UTC(), broker: newBroker(),
		redis: newServer(l.engine),
	}
	l.world = w
	cryptotest.SetGlobalRandom(l.t, p.seed)
	if p.traced {
		w.trace = []string{}
	}
	w.odds = seedOdds(w.dice, p.orders)
	w.found()
	for range 2 + w.dice.below("processes", 2) {
		w.join()
	}
	w.share()
	return w
}

// run lets things go wrong for a while, then lets the world come to rest, and checks it.
func (l *lab) run(p plan) *world {
	w := l.begin(p)
	defer w.end()
	for w.steps < p.until && len(w.violations) == 0 {
		w.disturb()
		w.step()
		if w.parties().idle && w.atRest() {
			break
		}
	}
	w.settle()
	if len(w.violations) == 0 {
		w.check()
	}
	return w
}

func (w *world) end() {
	for _, p := range append(w.processes, w.outside) {
		p.die()
	}
}

func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		w.trace = append(w.trace, fmt.Sprintf("%5d %s  ", w.steps, w.now.Format("15:04:05.000"))+
			fmt.Sprintf(format, args...))
	}
}

func (w *world) violate(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// mustBeFault: the log of this world is never wrong, so no owner may say that it is.
func (w *world) mustBeFault(err error) {
	if wrong, ok := errors.AsType[*book.LogError](err); ok {
		w.violate("an owner says that the log is wrong: %v", wrong)
	}
}

// pause lets others go on. It says whether the process still lives.
func (w *world) pause() bool {
	t := w.current
	if t == nil {
		return true
	}
	return !t.p.dead && t.yield(struct{}{}) && !t.p.dead
}

// call is a request to a server: others go on before it arrives and before its answer does, and it may be lost on
// either way.
func (w *world) call(kind string, what func() string, effect func()) error {
	t := w.current
	if !w.pause() {
		return errDown
	}
	if t == nil {
		effect()
		return nil
	}
	lost, unanswered := w.dice.strikes(kind+" lost", w.odds.lost), w.dice.strikes(kind+" unanswered", w.odds.lost)
	if w.trace != nil {
		how := ""
		if lost {
			how = ": it does not arrive"
		} else if unanswered {
			how = ": its answer does not"
		}
		w.note("%s  %s%s", t, what(), how)
	}
	if !lost {
		effect()
	}
	if !w.pause() || lost || unanswered {
		return errDown
	}
	return nil
}

// step lets one of those that can go on do so up to its next request, or time pass.
func (w *world) step() {
	w.steps++
	w.now = w.now.Add(time.Millisecond)
	w.learn()
	var ready []*task
	for _, p := range append(w.processes, w.outside) {
		for _, t := range p.tasks {
			if t.ready() {
				ready = append(ready, t)
			}
		}
	}
	if len(ready) == 0 {
		w.pass()
		return
	}
	w.resume(pick(w.dice, "who goes on", ready))
}

func (w *world) resume(t *task) {
	w.current = t
	_, _ = t.next()
	w.current = nil
	if t.ended {
		return
	}
	if t.pending != nil && w.dice.one("commit", 4) {
		t.commit()
	}
}

// pass lets time pass until somebody can go on.
func (w *world) pass() {
	var first time.Time
	for _, p := range append(w.processes, w.outside) {
		for _, t := range p.tasks {
			waits := p.wakes <= w.steps && !t.ended && t.waits && !t.wake.IsZero()
			if waits && (first.IsZero() || t.wake.Before(first)) {
				first = t.wake
			}
		}
	}
	if first.After(w.now) {
		w.now = first
	}
}

// learn tells tasks that they have lost their partition, when the time has come.
func (w *world) learn() {
	for _, p := range w.processes {
		living := p.tasks[:0]
		for _, t := range p.tasks {
			if t.loses > 0 && t.loses <= w.steps && p.wakes <= w.steps && !t.revoked {
				w.note("%s learns that it has lost the partition", t)
				t.revoked = true
			}
			if !t.ended {
				living = append(living, t)
			}
		}
		p.tasks = living
	}
}
