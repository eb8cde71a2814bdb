package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// member is a process of a group, as far as a test needs one.
type member struct {
	client  *kafka.Client
	resumes [16]atomic.Int32
	revokes [16]atomic.Int32
	stop    func()
}

func joinGroup(
	t *testing.T, address, namespace string, handle func(*message.Message, *pipeline.Batch),
) *member {
	t.Helper()
	m := &member{client: connectTo(t, kafka.Config{Brokers: []string{address}, Namespace: namespace})}
	ctx, cancel := context.WithCancel(t.Context())
	messages, err := m.client.Subscriber(pipeline.SubscriberConfig{
		Group: "g",
		Resume: func(_ context.Context, _ string, p int, mark pipeline.Mark) (int64, error) {
			m.resumes[p].Add(1)
			return mark.Offset, nil
		},
		Revoked: func(_ string, p int) { m.revokes[p].Add(1) },
	}).Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	wait := consume(t, messages, handle)
	m.stop = func() { cancel(); wait() }
	return m
}

func (m *member) holds() []int {
	var held []int
	for p := range m.resumes {
		if m.resumes[p].Load() > m.revokes[p].Load() {
			held = append(held, p)
		}
	}
	return held
}

func TestAPartitionAssignedAgainGoesOn(t *testing.T) {
	t.Parallel()
	address := server(t)
	c := connect(t, address)
	topic(t, c, "entries", 8)
	ack := func(m *message.Message, _ *pipeline.Batch) { m.Ack() }
	a := joinGroup(t, address, c.Namespace(), ack)
	eventually(t, "the first member holds all", 20*time.Second, func() bool { return len(a.holds()) == 8 })
	b := joinGroup(t, address, c.Namespace(), ack)
	eventually(t, "they share", 20*time.Second, func() bool {
		return len(a.holds()) == 4 &&
			len(b.holds()) == 4
	})
	d := joinGroup(t, address, c.Namespace(), ack)
	eventually(t, "three share", 20*time.Second, func() bool {
		return len(a.holds()) >= 2 && len(a.holds()) <= 3 && len(b.holds()) >= 2 && len(b.holds()) <= 3 &&
			len(d.holds()) >= 2
	})
	kept := a.holds()
	b.stop()
	eventually(t, "two share", 20*time.Second, func() bool {
		return len(a.holds()) == 4 &&
			len(d.holds()) == 4
	})
	for _, p := range kept {
		if !slices.Contains(a.holds(), p) || a.resumes[p].Load() != 1 {
			t.Errorf("partition %d, which was kept, resumed %d times", p, a.resumes[p].Load())
		}
	}
	for p := range 8 {
		if n := b.resumes[p].Load() - b.revokes[p].Load(); n != 0 {
			t.Errorf("partition %d: %d resumes without a revocation", p, n)
		}
	}
	a.stop()
	d.stop()
}

func TestGroupChurn(t *testing.T) {
	t.Parallel()
	const partitions, rounds = 8, 60
	address := server(t)
	c := connect(t, address)
	topic(t, c, "entries", partitions)

	var mu sync.Mutex
	first := make([]int, partitions) // the next number that nobody has handled
	repeats := 0
	handle := func(m *message.Message, b *pipeline.Batch) {
		if pause := rand.IntN(20); pause == 0 {
			m.Nack()
			return
		} else if pause < 3 {
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		if m.Context().Err() != nil {
			m.Nack()
			return
		}
		for _, r := range b.Records {
			switch n := int(r.Offset); {
			case n == first[b.Partition]:
				first[b.Partition]++
			case n > first[b.Partition]:
				t.Errorf("partition %d: %d was handled before %d", b.Partition, n, first[b.Partition])
			default:
				repeats++
			}
		}
		m.Ack()
	}
	var churn sync.WaitGroup
	for range 3 {
		churn.Go(func() {
			for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
				m := joinGroup(t, address, c.Namespace(), handle)
				time.Sleep(time.Duration(300+rand.IntN(1200)) * time.Millisecond)
				m.stop()
			}
		})
	}
	for i := range rounds {
		for p := range partitions {
			publish(t, c, numbered("entries", p, i*50, i*50+50))
		}
		time.Sleep(50 * time.Millisecond)
	}
	churn.Wait()
	last := joinGroup(t, address, c.Namespace(), handle)
	eventually(t, "every record is handled", 30*time.Second, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(first, func(n int) bool { return n < rounds*50 })
	})
	last.stop()
	t.Logf("%d of %d records were handled more than once", repeats, partitions*rounds*50)
}

func TestSlowHandlerKeepsMemoryBounded(t *testing.T) {
	t.Parallel()
	const size, count = 64 << 10, 8 << 10
	c := connect(t, server(t))
	topic(t, c, "entries", 2)
	var records []pipeline.Record
	for i := range 400 {
		r := numbered("entries", i%2, i, i+1)[0]
		r.Key = make([]byte, count)
		records = append(records, r)
	}
	publish(t, c, records)
	release := make(chan struct{})
	s := c.Subscriber(pipeline.SubscriberConfig{Group: "g", BatchBytes: size})
	messages, err := s.Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	consume(t, messages, func(m *message.Message, b *pipeline.Batch) {
		<-release
		got.add(b)
		m.Ack()
	})
	most := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		most = max(most, kafka.Buffered(c))
	}
	// Each partition: what is short of the bound, and a fetch of that size, of which one batch may be larger.
	if limit := 2 * (2*size + 256<<10); most == 0 || most > limit {
		t.Errorf("up to %d bytes were held, want at most %d", most, limit)
	}
	close(release)
	eventually(t, "all are handled", 20*time.Second, func() bool { return got.total() == 400 })
}

func TestNackRestartAndIdle(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 3))
	publish(t, c, numbered("entries", 0, 3, 6))
	var marks []pipeline.Mark
	var mu sync.Mutex
	messages, err := c.Subscriber(pipeline.SubscriberConfig{
		Group: "g", Idle: 50 * time.Millisecond, BatchBytes: 1, // one record batch at a time
		Resume: func(_ context.Context, _ string, _ int, mark pipeline.Mark) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			marks = append(marks, mark)
			if len(marks) == 2 {
				return 0, context.DeadlineExceeded // not now
			}
			return mark.Offset, nil
		},
	}).Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	next := func() (*message.Message, *pipeline.Batch) {
		select {
		case m := <-messages:
			return m, pipeline.BatchOf(m.Context())
		case <-time.After(10 * time.Second):
			t.Fatal("nothing comes")
			return nil, nil
		}
	}
	want := func(b *pipeline.Batch, from, count int, next int64) {
		t.Helper()
		wantNumbered(t, b.Records, from, from+count)
		if b.Next != next {
			t.Fatalf("next is %d, want %d", b.Next, next)
		}
	}
	// filled is the next batch with records: on a slow machine the partition may be idle before one comes, and to be
	// idle moves no mark that is refused.
	filled := func() (*message.Message, *pipeline.Batch) {
		m, b := next()
		for len(b.Records) == 0 {
			m.Nack()
			m, b = next()
		}
		return m, b
	}
	m, b := filled()
	want(b, 0, 3, 3)
	b.Commit(pipeline.Mark{Offset: 77})
	m.Nack()
	m, b = filled()
	want(b, 0, 3, 3)
	if b.Mark() != (pipeline.Mark{Offset: 3}) {
		t.Fatalf("the mark of the refused batch stayed: %+v", b.Mark())
	}
	b.Commit(pipeline.Mark{Offset: 3, Metadata: "three"})
	m.Ack()
	<-m.Context().Done()
	m, b = filled()
	want(b, 3, 3, 6)
	b.Restart()
	m.Nack()
	m, b = filled()
	want(b, 3, 3, 6)
	m.Ack()
	for range 2 {
		m, b = next()
		want(b, 0, 0, 6)
		m.Nack()
	}
	mu.Lock()
	defer mu.Unlock()
	three := pipeline.Mark{Offset: 3, Metadata: "three"}
	if want := []pipeline.Mark{{Offset: -1}, three, three}; !slices.Equal(marks, want) {
		t.Errorf("resumed with %+v", marks)
	}
}

func TestPublishIsBounded(t *testing.T) {
	t.Parallel()
	c := connectTo(t, kafka.Config{Brokers: []string{server(t)}, Namespace: fmt.Sprint("bounded-",
		rand.Int32()), QueueBytes: 64 << 10})
	topic(t, c, "entries", 2)
	var most atomic.Int64
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				most.Store(max(most.Load(), int64(kafka.Queued(c))))
			}
		}
	})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			if err := c.Publish(t.Context(), numbered("entries", w%2, 0, 5000)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	close(done)
	watch.Wait()
	if most.Load() > 64<<10 || kafka.Queued(c) != 0 {
		t.Errorf("up to %d bytes were queued, %d are left", most.Load(), kafka.Queued(c))
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 4)
	for p := range 4 {
		publish(t, c, numbered("entries", p, 0, 10))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got handled
	err := c.Tail(ctx, "entries", []int64{5, -1, 10}, func(p int, records []pipeline.Record) error {
		got.add(&pipeline.Batch{Partition: p, Records: records})
		if got.total() == 25 {
			return c.Publish(ctx, numbered("entries", 2, 10, 11))
		}
		if got.total() == 26 {
			return context.Canceled
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || got.values[0][0] != "5" || len(got.values[1]) != 10 ||
		got.values[2][0] != "10" {
		t.Errorf("tail ended with %v after %v", err, got.values)
	}
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	c := connectTo(t, kafka.Config{
		Brokers: []string{server(t)}, Namespace: newNamespace(), UnknownTopicTimeout: 200 * time.Millisecond,
	})
	topic(t, c, "entries", 3)
	topic(t, c, "entries", 3)
	if n, err := c.Partitions(t.Context(), "entries"); n != 3 || err != nil {
		t.Errorf("%d partitions, error %v", n, err)
	}
	if err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "entries", Partitions: 4}},
		1); err == nil {
		t.Error("another number of partitions is no error")
	}
	if _, err := c.Partitions(t.Context(), "absent"); err == nil {
		t.Error("an absent topic is no error")
	}
}

// Who leaves in the middle of joining must not hold up the others until its session ends.
func TestLeavingWhileJoining(t *testing.T) {
	t.Parallel()
	address := server(t)
	c := connect(t, address)
	topic(t, c, "entries", 2)
	ack := func(m *message.Message, _ *pipeline.Batch) { m.Ack() }
	for range 3 {
		var hasty sync.WaitGroup
		for range 10 {
			hasty.Go(func() {
				m := joinGroup(t, address, c.Namespace(), ack)
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
				m.stop()
			})
		}
		hasty.Wait()
		m := joinGroup(t, address, c.Namespace(), ack)
		eventually(t, "the group is free", 4*time.Second, func() bool { return len(m.holds()) == 2 })
		m.stop()
	}
}
