package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// What ends after its batch was acknowledged is committed when it ends: also when that is before the
// acknowledgement, when the subscription ends, and never for a partition that another member has.
func TestLaterMarks(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 10))
	first := subscribed(t, c, "later")
	m := <-first.messages
	b := pipeline.BatchOf(m.Context())
	if len(b.Records) != 10 {
		t.Fatalf("a batch of %d records", len(b.Records))
	}
	b.Later(pipeline.Mark{Offset: 3})
	b.Commit(pipeline.Mark{Offset: 1})
	m.Ack()
	committed(t, c, "later", 3)
	b.Later(pipeline.Mark{Offset: 7})
	b.Later(pipeline.Mark{Offset: 5}) // comes late
	committed(t, c, "later", 7)

	// The next batch knows nothing of what was committed beside it.
	publish(t, c, numbered("entries", 0, 10, 11))
	m = <-first.messages
	pipeline.BatchOf(m.Context()).Commit(pipeline.Mark{Offset: 2})
	m.Ack()
	b.Later(pipeline.Mark{Offset: 8})
	first.stop()
	committed(t, c, "later", 8)

	second := subscribed(t, c, "later")
	m = <-second.messages
	if got := pipeline.BatchOf(m.Context()).Records[0].Offset; got != 8 {
		t.Errorf("the next member goes on at %d, want 8", got)
	}
	m.Ack()
	committed(t, c, "later", 11)
	b.Later(pipeline.Mark{Offset: 9}) // of a member that is gone
	pipeline.BatchOf(m.Context()).Later(pipeline.Mark{Offset: 11})
	time.Sleep(1500 * time.Millisecond) // longer than commits wait
	committed(t, c, "later", 11)
	second.stop()
}

type subscribing struct {
	messages <-chan *message.Message
	stop     func()
}

func subscribed(t *testing.T, c *kafka.Client, group string) subscribing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := c.Subscriber(pipeline.SubscriberConfig{Group: group})
	messages, err := s.Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	return subscribing{messages: messages, stop: func() {
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}}
}

func committed(t *testing.T, c *kafka.Client, group string, want int64) {
	t.Helper()
	var got int64
	defer func() {
		if t.Failed() {
			t.Logf("%d is committed, want %d", got, want)
		}
	}()
	eventually(t, "the mark is committed", 10*time.Second, func() bool {
		marks, err := c.Committed(t.Context(), group, "entries")
		if err != nil || len(marks) != 1 {
			t.Fatalf("Committed() = %v, %v", marks, err)
		}
		got = marks[0].Offset
		return got == want
	})
}
