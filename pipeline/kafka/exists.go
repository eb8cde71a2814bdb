package kafka

import (
	"context"
	"errors"

	kafkago "github.com/segmentio/kafka-go"
)

// Existing returns the number of a topic's partitions as the brokers know it now, zero where they know no such
// topic. It waits for a broker.
func (c *Client) Existing(ctx context.Context, topic string) (int, error) {
	partitions := 0
	err := c.retry(ctx, "look for topic "+topic, func(ctx context.Context) error {
		c.cluster.want([]TopicSpec{{Name: topic}}, c.wire)
		if err := c.cluster.refresh(ctx, c.cluster.known()); err != nil {
			return err
		}
		state := c.cluster.state(c.wire(topic))
		if state.err != nil && !errors.Is(state.err, kafkago.UnknownTopicOrPartition) {
			return state.err
		}
		partitions = len(state.leaders)
		return nil
	})
	return partitions, err
}
