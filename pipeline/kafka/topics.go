package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
)

const (
	createTimeout = 10 * time.Second
	// messageBytesDefault is Kafka's own default of max.message.bytes.
	messageBytesDefault = 1<<20 + 12
)

// TopicSpec is a topic as it should be.
type TopicSpec struct {
	Name       string // without the namespace
	Partitions int
	Configs    map[string]string
}

// EnsureTopics creates the topics that are absent and returns when all of them have leaders. A topic that has
// another number of partitions is an error; the configuration of an existing topic is left as it is. A
// replication below one is the brokers' default.
func (c *Client) EnsureTopics(ctx context.Context, specs []TopicSpec, replication int) error {
	return c.retry(ctx, "create topics", func(ctx context.Context) error {
		absent, err := c.absentTopics(ctx, specs)
		if err != nil || len(absent) == 0 {
			return err
		}
		if err := c.createTopics(ctx, absent, replication); err != nil {
			return err
		}
		if absent, err = c.absentTopics(ctx, specs); err == nil && len(absent) > 0 {
			err = fmt.Errorf("%w of %s yet", errNoLeader, absent[0].Name)
		}
		return err
	})
}

// absentTopics returns the topics that are not there. One that has no leader yet is a retriable error.
func (c *Client) absentTopics(ctx context.Context, specs []TopicSpec) ([]TopicSpec, error) {
	c.cluster.want(specs, c.wire)
	if err := c.cluster.refresh(ctx, c.cluster.known()); err != nil {
		return nil, err
	}
	var absent []TopicSpec
	var errs []error
	for _, spec := range specs {
		state := c.cluster.state(c.wire(spec.Name))
		switch {
		case errors.Is(state.err, kafkago.UnknownTopicOrPartition):
			absent = append(absent, spec)
		case state.err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", spec.Name, state.err))
		case len(state.leaders) != spec.Partitions:
			return nil,
				fmt.Errorf("topic %s has %d partitions and should have %d: their number is fixed for the "+
					"life of a namespace; use the number that it began with, or a new namespace",
					c.wire(spec.Name), len(state.leaders), spec.Partitions)
		case slices.Contains(state.leaders, -1):
			errs = append(errs, fmt.Errorf("%w of %s", errNoLeader, spec.Name))
		}
	}
	if len(absent) > 0 {
		return absent, nil
	}
	return nil, errors.Join(errs...)
}

func (c *Client) createTopics(ctx context.Context, specs []TopicSpec, replication int) error {
	request := &createtopics.Request{TimeoutMs: int32(createTimeout / time.Millisecond)}
	if replication < 1 {
		replication = -1
	}
	for _, spec := range specs {
		topic := createtopics.RequestTopic{
			Name:              c.wire(spec.Name),
			NumPartitions:     int32(spec.Partitions), //nolint:gosec // partitions are few
			ReplicationFactor: int16(replication),
		}
		for _, name := range slices.Sorted(maps.Keys(spec.Configs)) {
			topic.Configs = append(topic.Configs, createtopics.RequestConfig{
				Name: name, Value: spec.Configs[name],
			})
		}
		request.Topics = append(request.Topics, topic)
	}
	answer, err := c.cluster.askController(ctx, createTimeout, request)
	if err != nil {
		return err
	}
	response, ok := answer.(*createtopics.Response)
	if !ok {
		return errWire
	}
	var errs []error
	for _, t := range response.Topics {
		if err := asError(t.ErrorCode); err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("%s: %w (%s)", t.Name, allowed(err), t.ErrorMessage))
		}
	}
	for _, err := range errs {
		if !retriable(err) {
			return err
		}
	}
	return errors.Join(errs...)
}

// Partitions returns the number of a topic's partitions. It waits for a broker; a topic that stays unknown
// for the UnknownTopicTimeout is an error.
func (c *Client) Partitions(ctx context.Context, topic string) (int, error) {
	var state topicState
	var unknown time.Time
	err := c.retry(ctx, "look up topic "+topic, func(ctx context.Context) (err error) {
		state, err = c.cluster.topic(ctx, c.wire(topic))
		if !errors.Is(err, kafkago.UnknownTopicOrPartition) {
			unknown = time.Time{}
			return err
		}
		if unknown.IsZero() {
			unknown = time.Now()
		} else if time.Since(unknown) > c.config.UnknownTopicTimeout {
			return fmt.Errorf("topic %s does not exist", c.wire(topic)) // lacks the code that is retried
		}
		return err
	})
	return len(state.leaders), err
}

// limit returns the largest record batch that a topic takes. It asks once.
func (c *Client) limit(ctx context.Context, topic string) (int, error) {
	c.cluster.mu.Lock()
	limit := c.cluster.limits[topic]
	c.cluster.mu.Unlock()
	if limit > 0 {
		return limit, nil
	}
	settings, err := c.topicSettings(ctx, []string{topic})
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return 0, err
		}
		c.log.WarnContext(ctx, "kafka does not tell a topic's max.message.bytes; its default is assumed",
			"topic", topic, "assumed", messageBytesDefault, "error", err)
	}
	limit, _ = strconv.Atoi(settings[topic]["max.message.bytes"].Value)
	limit = cmp.Or(max(limit, 0), messageBytesDefault)
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	c.cluster.limits[topic] = limit
	return limit, nil
}
