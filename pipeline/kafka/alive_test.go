//go:build !integration

package kafka_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// alive asks whether the client's loops go round.
func alive(t *testing.T, c *kafka.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return c.Alive(ctx)
}

// A client is alive as long as its loops go round, also without a broker; and it says how it stands in its groups.
func TestAlive(t *testing.T) {
	t.Parallel()
	broker := fake(t)
	c := connectTo(t, kafka.Config{Brokers: broker.ListenAddrs(), Namespace: newNamespace()})
	topic(t, c, "t", 3)
	if err := alive(t, c); err != nil {
		t.Errorf("Alive without a subscription: %v", err)
	}
	refuses := make(chan struct{})
	subscriber := c.Subscriber(pipeline.SubscriberConfig{
		Group: "g",
		Resume: func(_ context.Context, _ string, partition int, _ pipeline.Mark) (int64, error) {
			select {
			case <-refuses:
			default:
				if partition == 1 {
					return 0, errors.New("not yet")
				}
			}
			return 0, nil
		},
	})
	if _, err := subscriber.Subscribe(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	stands := func(want kafka.Membership) {
		t.Helper()
		eventually(t, "the membership is as it should be", 10*time.Second, func() bool {
			found := c.Memberships()
			return len(found) == 1 && found[0] == want
		})
	}
	stands(kafka.Membership{Stage: "g", Group: "g", Topic: "t", Joined: true, Partitions: 3, Resuming: 1})
	close(refuses)
	stands(kafka.Membership{Stage: "g", Group: "g", Topic: "t", Joined: true, Partitions: 3})
	broker.Close()
	if err := alive(t, c); err != nil {
		t.Errorf("Alive without a broker: %v", err)
	}
	release := kafka.Seize(c)
	err := alive(t, c)
	release()
	if err == nil || !strings.Contains(err.Error(), "the fetcher stands still") {
		t.Errorf("Alive of a loop that hangs: %v", err)
	}
	if err := alive(t, c); err != nil {
		t.Errorf("Alive of a loop that goes on: %v", err)
	}
	if err := subscriber.Close(); err != nil {
		t.Error(err)
	}
	if err := alive(t, c); err != nil || len(c.Memberships()) > 0 {
		t.Errorf("Alive after the subscription: %v, %v", err, c.Memberships())
	}
}
