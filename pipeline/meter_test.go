package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// meter keeps what it is told.
type meter struct {
	mu     sync.Mutex
	worked []pipeline.Worked
	stands []pipeline.Standing
	called []pipeline.Called
	counts map[string]int
}

func (m *meter) Worked(w pipeline.Worked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Took = 0
	m.worked = append(m.worked, w)
}

func (m *meter) Stands(s pipeline.Standing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !s.Since.IsZero() {
		s.Since = time.Unix(1, 0)
	}
	m.stands = append(m.stands, s)
}

func (m *meter) Called(c pipeline.Called) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Took = 0
	m.called = append(m.called, c)
}

func (*meter) Wrote(string, int, int) {}

func (m *meter) Counted(e pipeline.Event, who, why string, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = map[string]int{}
	}
	m.counts[string(e)+" "+who+" "+why] += count
}

// hand is a consumer whose one subscription hands out the batches, in order, and then ends.
type hand struct {
	batches []pipeline.Batch
	config  pipeline.SubscriberConfig
	done    chan struct{}
}

func (h *hand) Subscriber(c pipeline.SubscriberConfig) message.Subscriber {
	h.config = c
	return h
}

func (h *hand) MessageSubscriber(c pipeline.SubscriberConfig) message.Subscriber {
	return h.Subscriber(c)
}

func (h *hand) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		defer close(h.done)
		for _, b := range h.batches {
			for answered := false; !answered; {
				m := message.NewMessage("x", nil)
				m.SetContext(pipeline.WithBatch(ctx, &b))
				out <- m
				select {
				case <-m.Acked():
					answered = true
				case <-m.Nacked():
				}
			}
		}
		h.config.Revoked(h.batches[0].Topic, h.batches[0].Partition)
	}()
	return out, nil
}

func (*hand) Close() error { return nil }

// route lets the work handle the batches, and returns what was measured.
func route(t *testing.T, w pipeline.Work, batches ...pipeline.Batch) *meter {
	t.Helper()
	m := &meter{}
	h := &hand{batches: batches, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := pipeline.Run(ctx, func(ctx context.Context) error {
		return pipeline.Router{Consumer: h, Logger: slog.New(slog.DiscardHandler), Meter: m}.Run(ctx, w)
	}, func(context.Context) error {
		<-h.done
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What is behind, and since when, is told as a batch is taken, and as it is done.
func TestTheRouterMeasuresBatches(t *testing.T) {
	t.Parallel()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	records := []pipeline.Record{{Offset: 5}, {Offset: 6}}
	failures := 1
	w := pipeline.Work{Name: "stage", Topic: "topic", Handle: func(context.Context, *pipeline.Batch) error {
		if failures--; failures >= 0 {
			return errNotNow
		}
		return nil
	}}
	m := route(t, w,
		pipeline.Batch{
			Topic: "topic", Partition: 3, Records: records, Next: 7, High: 9, Bytes: 100, Oldest: at(1), Newest: at(2),
		},
		pipeline.Batch{
			Topic: "topic", Partition: 3, Records: records, Next: 9, High: 9, Bytes: 50, Oldest: at(3), Newest: at(4),
		},
		pipeline.Batch{Topic: "topic", Partition: 3, Next: 9, High: 9})
	worked := []pipeline.Worked{
		{Stage: "stage", Topic: "topic", Records: 2, Bytes: 100, Again: true},
		{Stage: "stage", Topic: "topic", Records: 2, Bytes: 100},
		{Stage: "stage", Topic: "topic", Records: 2, Bytes: 50},
	}
	if !reflect.DeepEqual(m.worked, worked) {
		t.Errorf("worked on %+v, want %+v", m.worked, worked)
	}
	stands := []pipeline.Standing{
		{Next: 5, High: 9, Oldest: at(1), Since: at(1)},
		{Next: 5, High: 9, Oldest: at(1)}, // it failed
		{Next: 5, High: 9, Oldest: at(1), Since: at(1)},
		{Next: 7, High: 9, Oldest: at(2)}, // there is more: no older than what was done
		{Next: 5, High: 9, Oldest: at(3), Since: at(1)},
		{Next: 9, High: 9},
		{Next: 9, High: 9}, // an idle sign
		{Left: true},
	}
	for i := range stands {
		stands[i].Stage, stands[i].Topic, stands[i].Partition = "stage", "topic", 3
	}
	if !reflect.DeepEqual(m.stands, stands) {
		t.Errorf("stood at\n%+v, want\n%+v", m.stands, stands)
	}
}

// What a stage waits for, and what it could not take, is told by stage.
func TestAStageMeasuresItsCalls(t *testing.T) {
	t.Parallel()
	m := &meter{}
	p := &publisher{}
	f := follower(p)
	f.Meter = m
	bad := refusal(t, "panic")
	bad.Offset = 7
	batch := &pipeline.Batch{
		Topic: schemas.TopicRefusals, Partition: bad.Partition, Next: 9,
		Records: []pipeline.Record{bad, neighbour(t, bad, 8)},
	}
	work := f.Stage(echo())[0]
	if err := work.Handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	p.fails = errors.New("the broker is away")
	if err := work.Handle(t.Context(), batch); err == nil {
		t.Fatal("Handle went on without what follows")
	}
	want := []pipeline.Called{
		{Call: pipeline.CallPublish, Who: "echo", Items: 2},
		{Call: pipeline.CallPublish, Who: "echo", Items: 2, Failed: true},
	}
	if !reflect.DeepEqual(m.called, want) {
		t.Errorf("called %+v, want %+v", m.called, want)
	}
	if n := m.counts["dead_letter echo refusals"]; n != 1 {
		t.Errorf("counted %v", m.counts)
	}
}
