package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/deletetopics"
)

const deleteTimeout = 10 * time.Second

// DeleteTopics deletes the topics with all that they hold; those that are not there are none.
func (c *Client) DeleteTopics(ctx context.Context, topics []string) error {
	request := &deletetopics.Request{TimeoutMs: int32(deleteTimeout / time.Millisecond)}
	for _, topic := range topics {
		request.TopicNames = append(request.TopicNames, c.wire(topic))
	}
	return c.retry(ctx, "delete topics", func(ctx context.Context) error {
		answer, err := c.cluster.askController(ctx, deleteTimeout, request)
		if err != nil {
			return err
		}
		response, ok := answer.(*deletetopics.Response)
		if !ok {
			return errWire
		}
		var errs []error
		for _, r := range response.Responses {
			if err := asError(r.ErrorCode); err != nil && !errors.Is(err, kafkago.UnknownTopicOrPartition) {
				errs = append(errs, fmt.Errorf("delete topic %s: %w", r.Name, err))
			}
		}
		return errors.Join(errs...)
	})
}
