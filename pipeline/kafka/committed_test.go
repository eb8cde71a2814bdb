package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
)

func TestCommitted(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 3)
	marks, err := c.Committed(t.Context(), "g.entries", "entries")
	if err != nil || len(marks) != 3 {
		t.Fatalf("of a group that never was: %v, %v", marks, err)
	}
	for p, m := range marks {
		if m.Offset >= 0 || m.Metadata != "" {
			t.Errorf("partition %d of a group that never was: %+v", p, m)
		}
	}
	publish(t, c, numbered("entries", 1, 0, 7))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := c.Subscriber(pipeline.SubscriberConfig{Group: "g.entries"})
	messages, err := s.Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	wait := consume(t, messages, func(m *message.Message, b *pipeline.Batch) {
		got.add(b)
		b.Commit(pipeline.Mark{Offset: b.Next, Metadata: "here"})
		m.Ack()
	})
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() == 7 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wait()
	marks, err = c.Committed(t.Context(), "g.entries", "entries")
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.Mark{Offset: 7, Metadata: "here"}
	if marks[1] != want || marks[0].Offset >= 0 || marks[2].Offset >= 0 {
		t.Errorf("committed %+v, want %+v in the middle and nothing beside", marks, want)
	}
}
