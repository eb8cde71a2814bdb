package kafka_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// subscribe subscribes alone to a topic with two record batches, which come one by one.
func subscribe(
	ctx context.Context, t *testing.T, c *kafka.Client, drain time.Duration,
) (messages <-chan *message.Message) {
	t.Helper()
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 3))
	publish(t, c, numbered("entries", 0, 3, 6))
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g", BatchBytes: 1, Drain: drain}).
		Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// What is out when the subscription ends comes to its end and is committed; nothing else is handed out.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	ctx, cancel := context.WithCancel(t.Context())
	messages := subscribe(ctx, t, c, 0)
	m := <-messages
	b := pipeline.BatchOf(m.Context())
	cancel()
	select {
	case <-b.Stopping:
	case <-time.After(5 * time.Second):
		t.Fatal("the batch does not learn that it should hurry")
	}
	select {
	case <-m.Context().Done():
		t.Error("what is at work was cut off")
	case other := <-messages:
		t.Fatalf("%v was handed out after the end", other)
	case <-time.After(500 * time.Millisecond):
	}
	wantNumbered(t, b.Records, 0, 3)
	b.Commit(pipeline.Mark{Offset: 3, Metadata: "three"})
	m.Ack()
	if other, more := <-messages; more {
		t.Fatalf("%v was handed out after the end", other)
	}
	marks, err := c.Committed(t.Context(), "g", "entries")
	if err != nil || !slices.Equal(marks, []pipeline.Mark{{Offset: 3, Metadata: "three"}}) {
		t.Errorf("committed is %+v, %v", marks, err)
	}
}

// A handler that does not come to its end is told to give up, and is not waited for beyond the time for it.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	ctx, cancel := context.WithCancel(t.Context())
	const drain = 2 * time.Second
	messages := subscribe(ctx, t, c, drain)
	m := <-messages
	cancel()
	began := time.Now()
	<-m.Context().Done()
	if took := time.Since(began); took < drain/2 || took > drain {
		t.Errorf("the handler was told to give up after %v of %v", took, drain)
	}
	for other := range messages {
		t.Errorf("%v was handed out after the end", other)
	}
	if took := time.Since(began); took > drain+drain/2 {
		t.Errorf("it took %v to end, allowed are %v", took, drain)
	}
	m.Ack() // too late
	marks, err := c.Committed(t.Context(), "g", "entries")
	if err != nil || marks[0].Offset >= 0 {
		t.Errorf("committed is %+v, %v", marks, err)
	}
}

// Members that end, one after the other or together, leave nothing behind that the next ones do again.
func TestDrainRepeatsNothing(t *testing.T) {
	t.Parallel()
	const partitions, rounds = 8, 40
	address := server(t)
	c := connect(t, address)
	topic(t, c, "entries", partitions)
	var mu sync.Mutex
	next := make([]int64, partitions)
	handle := func(m *message.Message, b *pipeline.Batch) {
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		for _, r := range b.Records {
			if r.Offset != next[b.Partition] {
				t.Errorf("partition %d: %d was handled where %d is next", b.Partition, r.Offset, next[b.Partition])
			}
			next[b.Partition] = r.Offset + 1
		}
		m.Ack()
	}
	members := make([]*member, 3)
	for i := range members {
		members[i] = joinGroup(t, address, c.Namespace(), handle)
	}
	eventually(t, "they share", 20*time.Second, func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return len(m.holds()) < 2 || len(m.holds()) > 3 })
	})
	var flow sync.WaitGroup
	flow.Go(func() {
		for i := range rounds {
			for p := range partitions {
				publish(t, c, numbered("entries", p, i, i+1))
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	time.Sleep(300 * time.Millisecond)
	members[0].stop()
	time.Sleep(200 * time.Millisecond)
	var stops sync.WaitGroup
	stops.Go(members[1].stop)
	stops.Go(members[2].stop)
	stops.Wait()
	flow.Wait()
	last := joinGroup(t, address, c.Namespace(), handle)
	eventually(t, "every record is handled", 20*time.Second, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(next, func(n int64) bool { return n < rounds })
	})
	last.stop()
}
