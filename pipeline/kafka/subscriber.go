package kafka

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
)

// subscriber makes subscriptions of one configuration.
type subscriber struct {
	c      *Client
	config pipeline.SubscriberConfig
	single bool

	mu     sync.Mutex
	closed bool
	open   []*subscription
}

// Subscriber returns a subscriber whose messages are envelopes: see pipeline.Consumer. Each Subscribe makes
// this process a member of the group.
func (c *Client) Subscriber(config pipeline.SubscriberConfig) message.Subscriber {
	return &subscriber{c: c, config: withDefaults(config)}
}

// MessageSubscriber returns a subscriber whose batches hold one record each. Its messages are also what
// Watermill expects of a message: payload, metadata and UUID are those of the record.
func (c *Client) MessageSubscriber(config pipeline.SubscriberConfig) message.Subscriber {
	return &subscriber{c: c, config: withDefaults(config), single: true}
}

func withDefaults(config pipeline.SubscriberConfig) pipeline.SubscriberConfig {
	config.BatchBytes = cmp.Or(max(config.BatchBytes, 0), BatchBytesDefault)
	config.Drain = cmp.Or(max(config.Drain, 0), pipeline.DrainDefault)
	return config
}

// Subscribe joins the group for the topic. When ctx or the subscriber ends it drains: no further batch is handed out,
// what is out may come to its end and is committed, the group is left, and the channel closes.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if s.config.Group == "" {
		return nil, errors.New("subscribe: no group is given")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("subscribe: the subscriber is closed")
	}
	sub, err := s.c.subscribe(ctx, s.config, topic, s.single)
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, sub)
	return sub.out, nil
}

// SubscribeInitialize makes the topic, for tests and small tools that have no list of their topics.
func (s *subscriber) SubscribeInitialize(topic string) error {
	state, err := s.c.cluster.topic(s.c.ctx, s.c.wire(topic))
	if err == nil && len(state.leaders) > 0 {
		return nil
	}
	return s.c.EnsureTopics(s.c.ctx, []TopicSpec{{Name: topic, Partitions: initialPartitions}}, 0)
}

// initialPartitions is what a topic gets that SubscribeInitialize makes.
const initialPartitions = 8

// Close drains, leaves the group, and returns when all channels are closed.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.mu.Unlock()
	for _, sub := range open {
		sub.cancel()
	}
	for _, sub := range open {
		<-sub.done
	}
	return nil
}
