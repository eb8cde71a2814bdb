package pipeline_test

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
)

// slow is a transport whose subscriptions take their time to end.
type slow struct {
	takes  time.Duration
	config pipeline.SubscriberConfig
}

func (s *slow) Subscriber(config pipeline.SubscriberConfig) message.Subscriber {
	s.config = config
	return s
}

func (s *slow) MessageSubscriber(config pipeline.SubscriberConfig) message.Subscriber {
	return s.Subscriber(config)
}

func (s *slow) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	messages := make(chan *message.Message)
	context.AfterFunc(ctx, func() {
		time.Sleep(s.takes)
		close(messages)
	})
	return messages, nil
}

func (*slow) Close() error { return nil }

// Works may take their time to end, and no longer.
func TestRouterDrains(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes, drain, want time.Duration
		says               string
	}{
		"in time":  {takes: 3 * time.Second, drain: 4 * time.Second, want: 3 * time.Second},
		"too long": {takes: time.Hour, drain: 4 * time.Second, want: 5 * time.Second, says: "not stop within 4s"},
		"default":  {takes: time.Hour, want: pipeline.DrainDefault + time.Second, says: "not stop within 15s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := &slow{takes: test.takes}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := pipeline.Router{Consumer: transport, Logger: slog.New(slog.DiscardHandler), Drain: test.drain}.
					Run(ctx, pipeline.Work{Name: "stage", Topic: "topic"})
				if took := time.Since(began) - time.Minute; took != test.want {
					t.Errorf("it took %v to end, want %v", took, test.want)
				}
				if test.says == "" && err != nil || err != nil && !strings.Contains(err.Error(), test.says) ||
					err == nil && test.says != "" {
					t.Errorf("it ended with %v, want %q", err, test.says)
				}
				if want := cmp.Or(test.drain, pipeline.DrainDefault); transport.config.Drain != want {
					t.Errorf("the subscription may take %v", transport.config.Drain)
				}
				time.Sleep(2 * time.Hour) // it ends in the end
			})
		})
	}
}
