package kafka_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns a client in a namespace that no other test has.
func connect(t *testing.T, address string) *kafka.Client {
	t.Helper()
	return connectTo(t, kafka.Config{Brokers: []string{address}, Namespace: newNamespace()})
}

func newNamespace() string { return "test-" + rand.Text()[:8] }

func connectTo(t *testing.T, config kafka.Config) *kafka.Client {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c, err := kafka.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func topic(t *testing.T, c *kafka.Client, name string, partitions int) {
	t.Helper()
	specs := []kafka.TopicSpec{{
		Name: name, Partitions: partitions,
		Configs: map[string]string{"max.message.bytes": "262144"},
	}}
	if err := c.EnsureTopics(t.Context(), specs, 1); err != nil {
		t.Fatal(err)
	}
}

// numbered returns records with rising numbers as values, in one partition.
func numbered(topic string, partition, from, to int) []pipeline.Record {
	var records []pipeline.Record
	for i := from; i < to; i++ {
		records = append(records, pipeline.Record{
			Topic: topic, Partition: partition, Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i),
			Headers: []pipeline.Header{{Key: "h", Value: []byte("v")}, {Key: "none"}},
		})
	}
	return records
}

func publish(t *testing.T, c *kafka.Client, records []pipeline.Record) {
	t.Helper()
	if err := c.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// readAll returns everything that the partition keeps.
func readAll(t *testing.T, c *kafka.Client, topic string, partition int) []pipeline.Record {
	t.Helper()
	first, end, err := c.Bounds(t.Context(), topic, partition)
	if err != nil {
		t.Fatal(err)
	}
	var all []pipeline.Record
	if err := c.Read(t.Context(), topic, partition, first, end, func(records []pipeline.Record) error {
		all = append(all, records...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// wantNumbered fails unless the records are the numbers from..to-1 in order, without a gap or a repeat.
func wantNumbered(t *testing.T, records []pipeline.Record, from, to int) {
	t.Helper()
	if len(records) != to-from {
		t.Fatalf("there are %d records, want %d", len(records), to-from)
	}
	for i, r := range records {
		if string(r.Value) != strconv.Itoa(from+i) {
			t.Fatalf("record %d is %s, want %d", i, r.Value, from+i)
		}
	}
}

// handled collects what a subscriber brings.
type handled struct {
	mu     sync.Mutex
	values map[int][]string // by partition
	count  int
}

func (h *handled) add(b *pipeline.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.values == nil {
		h.values = map[int][]string{}
	}
	for _, r := range b.Records {
		h.values[b.Partition] = append(h.values[b.Partition], string(r.Value))
		h.count++
	}
}

func (h *handled) total() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// consume handles envelopes until the channel closes; handle answers.
func consume(
	t *testing.T, messages <-chan *message.Message, handle func(*message.Message, *pipeline.Batch),
) (wait func()) {
	t.Helper()
	var workers sync.WaitGroup
	workers.Go(func() {
		for m := range messages {
			workers.Go(func() { handle(m, pipeline.BatchOf(m.Context())) })
		}
	})
	return workers.Wait
}

func eventually(t *testing.T, what string, within time.Duration, is func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: %s", within, what)
		}
	}
}

func TestPublishAndRead(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 4)
	var all []pipeline.Record
	for p := range 4 {
		all = append(all, numbered("entries", p, 0, 1000)...)
	}
	publish(t, c, all)
	for p := range 4 {
		records := readAll(t, c, "entries", p)
		wantNumbered(t, records, 0, 1000)
		r := records[7]
		if r.Topic != "entries" || r.Partition != p || r.Offset != 7 || string(r.Key) != "k" ||
			len(r.Headers) != 2 || r.Headers[0].Key != "h" || string(r.Headers[0].Value) != "v" ||
			r.Headers[1].Value != nil {
			t.Fatalf("record came back as %+v", r)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 2)
	a, err := c.Claim(t.Context(), "accounts-0", "entries", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		base, err := a.Append(t.Context(), numbered("entries", 0, i*3, i*3+3))
		if err != nil || base != int64(i*3) {
			t.Fatalf("append %d: offset %d, error %v", i, base, err)
		}
	}
	b, err := c.Claim(t.Context(), "accounts-0", "entries", 0)
	if err != nil {
		t.Fatal(err)
	}
	if base, err := b.Append(t.Context(), numbered("entries", 0, 30, 31)); err != nil || base != 30 {
		t.Fatalf("the new owner appends: offset %d, error %v", base, err)
	}
	for range 2 {
		if _, err := a.Append(t.Context(), numbered("entries", 0, 99, 100)); !isFenced(err) {
			t.Fatalf("the former owner appends: %v", err)
		}
	}
	wantNumbered(t, readAll(t, c, "entries", 0), 0, 31)
}

func TestSubscriber(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "movements", 4)
	for p := range 4 {
		publish(t, c, numbered("movements", p, 0, 500))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := c.Subscriber(pipeline.SubscriberConfig{Group: "g"})
	messages, err := s.Subscribe(ctx, "movements")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	wait := consume(t, messages, func(m *message.Message, b *pipeline.Batch) {
		got.add(b)
		b.Commit(pipeline.Mark{Offset: b.Next, Metadata: fmt.Sprintf("up to %d", b.Next)})
		m.Ack()
	})
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() == 2000 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wait()
	for p := range 4 {
		for i, v := range got.values[p] {
			if v != strconv.Itoa(i) {
				t.Fatalf("partition %d: record %d is %s", p, i, v)
			}
		}
	}
	var mu sync.Mutex
	marks := map[int]pipeline.Mark{}
	messages, err = c.Subscriber(pipeline.SubscriberConfig{Group: "g", Resume: func(
		_ context.Context, _ string, p int, m pipeline.Mark,
	) (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		marks[p] = m
		return m.Offset, nil
	}}).Subscribe(ctx, "movements")
	if err != nil {
		t.Fatal(err)
	}
	wait = consume(t, messages, func(m *message.Message, _ *pipeline.Batch) {
		t.Errorf("%s again", m.UUID)
		m.Ack()
	})
	eventually(t, "all partitions resume", 20*time.Second,
		func() bool { mu.Lock(); defer mu.Unlock(); return len(marks) == 4 })
	cancel()
	wait()
	for p, m := range marks {
		if m.Offset != 500 || m.Metadata != "up to 500" {
			t.Errorf("partition %d resumed at %+v", p, m)
		}
	}
}

func isFenced(err error) bool { return errors.Is(err, pipeline.ErrFenced) }
