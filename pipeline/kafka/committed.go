package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

// Committed returns what a consumer group has committed of a topic, a mark for each partition; the offset of one
// that it has committed nothing of is below zero, and so it is of a group that never was. It joins no group.
func (c *Client) Committed(ctx context.Context, group, topic string) ([]pipeline.Mark, error) {
	count, err := c.Partitions(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("read committed marks of %s: %w", group, err)
	}
	partitions := make([]int, count)
	for p := range partitions {
		partitions[p] = p
	}
	found, err := newCommitter(c, group, topic).fetch(ctx, partitions)
	if err != nil && !errors.Is(err, kafkago.GroupIdNotFound) {
		return nil, err
	}
	marks := make([]pipeline.Mark, count)
	for p := range marks {
		mark, ok := found[p]
		if !ok {
			mark.Offset = -1
		}
		marks[p] = mark
	}
	return marks, nil
}
