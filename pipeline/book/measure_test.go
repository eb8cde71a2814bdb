package book_test

import (
	"log/slog"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// meter keeps what it is told of one shard.
type meter struct {
	called map[string]int // the items of calls
	counts map[string]int
	traced []pipeline.Traced
}

func (*meter) Worked(pipeline.Worked)   {}
func (*meter) Stands(pipeline.Standing) {}
func (*meter) Wrote(string, int, int)   {}
func (m *meter) Called(c pipeline.Called) {
	name := string(c.Call) + " " + c.Who + " " + c.What
	if c.Failed {
		name += " failed"
	}
	m.called[name] += c.Items
}

func (m *meter) Counted(e pipeline.Event, who, why string, count int) {
	m.counts[string(e)+" "+who+" "+why] += count
}
func (m *meter) Traced(t pipeline.Traced) { m.traced = append(m.traced, t) }

// A book measures what it decides, why it refuses, its calls, and what becomes of its shards; and its journal
// carries the traces of the commands.
func TestABookMeasuresAndTraces(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	log := newMemLog(rand.New(rand.NewPCG(1, 1)))
	log.before = func() {}
	m := &meter{called: map[string]int{}, counts: map[string]int{}}
	process := func() *book.Runner {
		b := toy{limit: 30}
		store := book.NewStore(client, "test", b)
		store.Meter = m
		return &book.Runner{
			Book: b, Store: store, Log: log, Partitions: 1, Owner: "test",
			Logger: slog.New(slog.DiscardHandler), Meter: m, Tracer: m, Now: time.Now,
		}
	}
	traced := credit(t, "a", 10)
	trace := schemas.ParseTrace([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	traced.Headers = append(traced.Headers, pipeline.Header{Key: schemas.HeaderTrace, Value: []byte(trace.String())})
	log.add(schemas.TopicMovements, []pipeline.Record{
		traced, credit(t, "b", 25), credit(t, "a", 10), credit(t, "b", 25), credit(t, "b", 1),
	})
	first := process()
	resume := func(r *book.Runner) {
		if _, err := r.Resume(t.Context(), schemas.TopicMovements, 0, pipeline.Mark{Offset: -1}); err != nil {
			t.Fatal(err)
		}
	}
	resume(first)
	batch := func() *pipeline.Batch {
		return &pipeline.Batch{Topic: schemas.TopicMovements, Records: log.topics[schemas.TopicMovements], Next: 5}
	}
	if err := first.Handle(t.Context(), batch()); err != nil {
		t.Fatal(err)
	}
	server.FlushAll() // the next owner begins with nothing
	resume(process())
	log.add(schemas.TopicMovements, []pipeline.Record{credit(t, "c", 1)})
	if err := first.Handle(t.Context(), &pipeline.Batch{
		Topic: schemas.TopicMovements, Records: log.topics[schemas.TopicMovements][5:], Next: 6,
	}); err == nil {
		t.Fatal("a fenced owner went on")
	}
	counts := map[string]int{
		"decided toy done": 1, "decided toy refused": 1, "decided toy repeat": 2, "decided toy conflict": 1,
		"refused toy insufficient": 1, "refused toy conflict": 1,
		"takeover toy ": 2, "recovered toy ": 1, "rebuilt toy ": 1, "fenced toy ": 1,
	}
	if !reflect.DeepEqual(m.counts, counts) {
		t.Errorf("counted %v, want %v", m.counts, counts)
	}
	called := map[string]int{
		"decide toy ": 5, "decide toy  failed": 1, "append toy ": 5,
		"redis toy enter": 2, "redis toy decide": 2, "redis toy apply": 1,
		"redis toy reset": 1, "redis toy adopt": 1,
	}
	if !reflect.DeepEqual(m.called, called) {
		t.Errorf("called %v, want %v", m.called, called)
	}
	items := log.topics[schemas.TopicEntries][1:]
	for i, r := range items[:5] {
		in, err := pipeline.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		want := schemas.Trace{}
		if i == 0 {
			want = trace.Follow(in.ID)
		}
		if in.Trace != want {
			t.Errorf("item %d has the trace %s, want %s", i, in.Trace, want)
		}
	}
	if len(m.traced) != 1 || len(m.traced[0].Sources) != 1 || len(m.traced[0].Follows) == 0 ||
		m.traced[0].Follows[0].From != trace || m.traced[0].Follows[0].Topic != schemas.TopicEntries {
		t.Errorf("traced %+v", m.traced)
	}
}
