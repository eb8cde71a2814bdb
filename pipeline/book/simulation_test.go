package book_test

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

//nolint:gochecknoglobals // flags have to stand before a test begins
var (
	seed   = flag.Uint64("seed", 1, "the first seed of the simulation")
	rounds = flag.Uint64("rounds", 60, "how many seeds the simulation tries")
)

// TestEveryCommandIsDecidedOnceWhateverFails lets several owners that do not know of each other decide one shard,
// on a broker that loses acknowledgements and lets batches land late, and a Redis that loses replies, goes back to
// an earlier state or is emptied; they get in each other's way between any two calls; and two versions of the
// script decide differently. Whatever happened, the journal's entries that count answer each command once, in
// order, as the model does, and the state is theirs.
func TestEveryCommandIsDecidedOnceWhateverFails(t *testing.T) {
	t.Parallel()
	for s := *seed; s < *seed+*rounds; s++ {
		t.Run(fmt.Sprintf("seed %d", s), func(t *testing.T) {
			t.Parallel()
			newWorld(t, s).run()
		})
	}
}

// world is a simulated shard.
type world struct {
	t         *testing.T
	random    *rand.Rand
	log       *memLog
	redis     *miniredis.Miniredis
	stores    []*book.Store // of each version of the book
	lost      *losses
	processes []*process
	awake     *process // works for a while; the others sleep, and wake up late
	committed pipeline.Mark
	images    []image // earlier states of Redis
	commands  []command
	depth     int     // of what happens in the middle of something else
	nasty     float64 // how often something does
	storm     int     // for how many steps faults come together
	forgotten bool    // whether Redis has lost the batch that the storm is about
}

type command struct {
	id     string
	amount int64
}

// process is one that believes to own the shard, or not.
type process struct {
	runner *book.Runner
	next   int64 // where it goes on, below zero when it does not hold the shard
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, random: rand.New(rand.NewPCG(seed, 7)), redis: miniredis.RunT(t), committed: pipeline.Mark{Offset: -1},
	}
	w.log = newMemLog(w.random)
	w.log.before, w.log.missed = w.meanwhile, w.gather
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	w.lost = &losses{random: w.random, around: w.watch}
	client.AddHook(w.lost)
	for _, limit := range toyLimits() {
		w.stores = append(w.stores, book.NewStore(client, "test", toy{limit}))
	}
	for range 3 {
		w.processes = append(w.processes, w.process())
	}
	w.awake = w.processes[0]
	return w
}

func (w *world) process() *process {
	version := w.random.IntN(len(w.stores))
	return &process{next: -1, runner: &book.Runner{
		Book: toy{toyLimits()[version]}, Store: w.stores[version], Log: w.log, Partitions: 1, Owner: "test",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}}
}

func (w *world) run() {
	w.log.odds, w.log.leaky, w.lost.odds, w.nasty = 0.1, 0.7, 0.1, 0.05
	for range 150 {
		w.step()
	}
	w.log.odds, w.log.leaky, w.lost.odds, w.nasty = 0, 0, 0, 0
	for len(w.log.delayed) > 0 {
		w.log.land()
	}
	w.produce()
	last := w.process()
	for range 50 {
		w.work(last, true)
	}
	w.check()
}

func (w *world) step() {
	if w.storm > 0 {
		w.blow()
		return
	}
	if w.random.IntN(4) == 0 {
		w.awake = w.processes[w.random.IntN(len(w.processes))]
	}
	switch n := w.random.IntN(20); {
	case n < 4:
		w.produce()
	case n < 16:
		w.work(w.awake, false)
	case n < 17:
		*w.awake = *w.process() // it crashed
	default:
		w.harm()
	}
}

// meanwhile is called between any two calls of a process: there somebody else may act.
func (w *world) meanwhile() {
	if w.depth > 0 || w.random.Float64() >= w.nasty {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	if w.random.IntN(2) == 0 {
		w.harm()
		return
	}
	if p := w.processes[w.random.IntN(len(w.processes))]; p != w.awake {
		w.work(p, false)
	}
}

func (w *world) produce() {
	var records []pipeline.Record
	for range 1 + w.random.IntN(5) {
		c := command{id: fmt.Sprintf("c%d", w.random.IntN(200)), amount: 1 + w.random.Int64N(20)}
		if w.random.IntN(3) > 0 { // often a repeat of the same, sometimes of the name alone
			c.amount = 10
		}
		w.commands = append(w.commands, c)
		records = append(records, credit(w.t, c.id, c.amount))
	}
	w.log.add(schemas.TopicMovements, records)
}

// work lets a process do its next step: resume, or handle what comes next. What it was told, it believes.
func (w *world) work(p *process, sure bool) {
	ctx := w.t.Context()
	if p.next < 0 {
		next, err := p.runner.Resume(ctx, schemas.TopicMovements, 0, w.committed)
		if err != nil {
			w.mustBeFault(err, sure)
			return
		}
		if p.next = next; w.random.IntN(2) == 0 {
			return
		}
		w.meanwhile()
	}
	b := w.fetch(p)
	if err := p.runner.Handle(ctx, b); err != nil {
		w.mustBeFault(err, sure)
		if b.Restarts() {
			p.next = -1
		}
		return
	}
	if len(b.Records) > 0 {
		p.next = b.Next
		if w.random.IntN(2) == 0 {
			w.committed = b.Mark()
		}
	}
}

// fetch is a process's next batch, often of the size that another one would have taken.
func (w *world) fetch(p *process) *pipeline.Batch {
	commands := w.log.topics[schemas.TopicMovements]
	b := &pipeline.Batch{Topic: schemas.TopicMovements}
	end := int64(len(commands))
	if p.next >= end || w.random.IntN(8) == 0 {
		return b
	}
	from := max(0, p.next-w.random.Int64N(3)) // a fetch may begin earlier
	to := p.next + 1 + w.random.Int64N(6)
	if len(w.images) > 0 && w.random.IntN(3) > 0 {
		if at := number(w.images[w.random.IntN(len(w.images))][headerKey]["at"]); at > p.next {
			to = at
		}
	}
	b.Records = commands[from:min(end, to)]
	b.Next = b.Records[len(b.Records)-1].Offset + 1
	return b
}

// mustBeFault: the log of this world is never wrong, so no owner may say that it is.
func (w *world) mustBeFault(err error, sure bool) {
	w.t.Helper()
	var wrong *book.LogError
	if sure || errors.As(err, &wrong) {
		w.t.Fatal(err)
	}
}

func (w *world) check() {
	var journal pipeline.Journal
	model := toyModel{seen: map[string]seenModel{}}
	folded := map[string]map[string]string{}
	next := 0
	before := ""
	for _, e := range journal.Read(w.log.topics[schemas.TopicEntries]) {
		items, err := e.Items()
		if err != nil {
			w.t.Fatal(err)
		}
		var decisions []*schemas.Decision
		for _, in := range items {
			item, _ := in.Body.(*schemas.Entry)
			d := item.GetDecision()
			decisions = append(decisions, d)
			c := w.commands[next]
			var want []string
			for _, limit := range toyLimits() {
				want = append(want, model.decide(c.id, c.amount, limit))
			}
			if d.GetOffset() != int64(next) || !slices.Contains(want, word(d)) {
				w.t.Fatalf("command %d (%v) is answered as that at %d with %q, the model says %q",
					next, c, d.GetOffset(), word(d), want)
			}
			model.follow(c.id, c.amount, word(d))
			next++
			for _, change := range d.GetChanges() {
				fold(folded, change)
			}
		}
		if d := pipeline.HistoryDigest(before, e.From, e.To, pipeline.Answer(decisions)); d != e.Digest {
			w.t.Fatalf("the digest of the entry at %d is %s, its items make %s", e.Offset, e.Digest, d)
		}
		before = e.Digest
	}
	if next != len(w.commands) {
		w.t.Fatalf("%d of %d commands are answered", next, len(w.commands))
	}
	state, err := w.stores[0].State(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	maps.DeleteFunc(state.Tables, func(_ string, fields map[string]string) bool { return len(fields) == 0 })
	if !maps.EqualFunc(state.Tables, folded, maps.Equal[map[string]string]) {
		w.t.Fatalf("Redis holds %v, the journal makes %v", state.Tables, folded)
	}
	if got, want := folded["sums"][account], strconv.FormatInt(model.sum, 10); got != want {
		w.t.Fatalf("the sum is %s, the model's %s", got, want)
	}
}

func word(d *schemas.Decision) string {
	return strings.SplitN(pipeline.Answer([]*schemas.Decision{d}), "\t", 2)[0]
}

func fold(tables map[string]map[string]string, c *schemas.Change) {
	switch {
	case c.GetField() == "":
		delete(tables, c.GetTable())
	case c.GetValue() == "":
		delete(tables[c.GetTable()], c.GetField())
	default:
		if tables[c.GetTable()] == nil {
			tables[c.GetTable()] = map[string]string{}
		}
		tables[c.GetTable()][c.GetField()] = c.GetValue()
	}
}
