package kafka_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// They are for tests of the suite that never answer a message.
const (
	stopSoon  = time.Second
	drainSoon = 5 * time.Second
)

// Watermill's own suite over the one-message mode. Every message has the same key, and so order.
func TestConformance(t *testing.T) {
	t.Parallel()
	c := connectTo(t, kafka.Config{
		Brokers: []string{server(t)}, Namespace: "conformance", StopTimeout: stopSoon,
	})
	grouped := func(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
		oneKey := func(string, *message.Message) []byte { return nil }
		return c.NewPublisher(oneKey), c.MessageSubscriber(pipeline.SubscriberConfig{Group: group, Drain: drainSoon})
	}
	tests.TestPubSub(t, tests.Features{ConsumerGroups: true, Persistent: true, GuaranteedOrder: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return grouped(t, "all")
		}, grouped)
}

// Without a common key the messages are spread over the partitions.
func TestConformanceSpread(t *testing.T) {
	t.Parallel()
	c := connectTo(t, kafka.Config{
		Brokers: []string{server(t)}, Namespace: "conformance-spread", StopTimeout: stopSoon,
	})
	grouped := func(_ *testing.T, group string) (message.Publisher, message.Subscriber) {
		return c.NewPublisher(nil), c.MessageSubscriber(pipeline.SubscriberConfig{Group: group, Drain: drainSoon})
	}
	tests.TestPubSub(t, tests.Features{ConsumerGroups: true, Persistent: true},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return grouped(t, "all")
		}, grouped)
}
