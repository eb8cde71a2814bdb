//go:build !integration

package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

func TestBrokerAwayAtStartAndLater(t *testing.T) {
	t.Parallel()
	var held flakyPort
	dir := t.TempDir()
	address := held.reserve(t)
	c := connectTo(t, kafka.Config{Brokers: []string{address}, Namespace: "away"})
	made := make(chan error, 1)
	go func() {
		made <- c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "entries", Partitions: 2}}, 1)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Partitions(ctx, "entries"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a broker: %v", err)
	}
	stop := held.start(t, dir)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	consume(t, messages, func(m *message.Message, b *pipeline.Batch) { got.add(b); m.Ack() })
	publish(t, c, numbered("entries", 0, 0, 10))
	eventually(t, "the first records are handled", 10*time.Second, func() bool { return got.total() == 10 })
	stop()
	written := make(chan error, 1)
	go func() { written <- c.Publish(t.Context(), numbered("entries", 0, 10, 20)) }()
	time.Sleep(300 * time.Millisecond)
	held.start(t, dir)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() >= 20 })
	wantNumbered(t, readAll(t, c, "entries", 0), 0, 20)
}

// flakyPort is an address where a broker comes and goes.
type flakyPort struct{ address string }

func (p *flakyPort) reserve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return p.address
}

func (p *flakyPort) start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir),
		kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return net.Listen(network,
				p.address)
		}))
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(cluster.Close)
	t.Cleanup(stop)
	return stop
}

func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 6)
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	consume(t, messages, func(m *message.Message, b *pipeline.Batch) { got.add(b); m.Ack() })
	for i := range 40 {
		var records []pipeline.Record
		for p := range 6 {
			records = append(records, numbered("entries", p, i, i+1)...)
		}
		publish(t, c, records)
		if i%4 == 0 {
			cluster.ShufflePartitionLeaders()
		}
	}
	for p := range 6 {
		wantNumbered(t, readAll(t, c, "entries", p), 0, 40)
	}
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() >= 240 })
}

func TestReadBelowTheFirstOffset(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var logged logs
	c := connectTo(t, kafka.Config{
		Brokers: cluster.ListenAddrs(), Namespace: "trimmed", Logger: slog.New(slog.NewTextHandler(&logged,
			nil)),
	})
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 10))
	publish(t, c, numbered("entries", 0, 10, 20))
	if err := cluster.DeleteRecords("trimmed.entries", 0, 10); err != nil {
		t.Fatal(err)
	}
	var lost *kafka.RangeError
	err := c.Read(t.Context(), "entries", 0, 3, 20, func([]pipeline.Record) error { return nil })
	if !errors.As(err, &lost) || lost.Offset != 3 || lost.First != 10 || lost.End != 20 {
		t.Fatalf("read: %v", err)
	}
	err = c.Tail(t.Context(), "entries", []int64{3}, func(int, []pipeline.Record) error { return nil })
	if !errors.As(err, &lost) {
		t.Fatalf("tail: %v", err)
	}
	// A Resume that insists waits; without one, the partition goes on, and the log says what was lost.
	ctx, cancel := context.WithCancel(t.Context())
	insisting := c.Subscriber(pipeline.SubscriberConfig{Group: "g", Resume: func(
		context.Context, string, int, pipeline.Mark,
	) (int64, error) {
		return 3, nil
	}})
	messages, err := insisting.Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is said that the offset is not there", 10*time.Second, func() bool {
		return strings.Contains(logged.String(), "it waits")
	})
	cancel()
	for m := range messages {
		t.Errorf("%s was handed out", m.UUID)
	}
}

type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
