package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
)

const (
	// uuidHeader carries a Watermill message's UUID, as in Watermill's own Kafka adapter.
	uuidHeader = "_watermill_message_uuid"
	// idHeader is the CloudEvents id, which is the UUID of a record that Watermill did not write.
	idHeader = "ce_id"
)

// messageOf returns the record as a Watermill message: headers are metadata.
func messageOf(r pipeline.Record) *message.Message {
	uuid := ""
	metadata := message.Metadata{}
	for _, h := range r.Headers {
		switch {
		case h.Key == uuidHeader:
			uuid = string(h.Value)
			continue
		case h.Key == idHeader && uuid == "":
			uuid = string(h.Value)
		}
		metadata[h.Key] = string(h.Value)
	}
	if uuid == "" {
		uuid = fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	}
	m := message.NewMessage(uuid, r.Value)
	m.Metadata = metadata
	return m
}

// messagePublisher writes Watermill messages.
type messagePublisher struct {
	c      *Client
	key    func(topic string, m *message.Message) []byte
	closed atomic.Bool
}

// NewPublisher returns a Watermill publisher over the client, which it does not own. The key decides about
// the partition, and so about order; nil: the message's UUID.
func (c *Client) NewPublisher(key func(topic string, m *message.Message) []byte) message.Publisher {
	if key == nil {
		key = func(_ string, m *message.Message) []byte { return []byte(m.UUID) }
	}
	return &messagePublisher{c: c, key: key}
}

// Publish returns when the messages are durable.
func (p *messagePublisher) Publish(topic string, messages ...*message.Message) error {
	if p.closed.Load() {
		return errors.New("publish: the publisher is closed")
	}
	if len(messages) == 0 {
		return nil
	}
	records := make([]pipeline.Record, len(messages))
	for i, m := range messages {
		records[i] = pipeline.Record{Topic: topic, Partition: -1, Key: p.key(topic, m), Value: m.Payload}
		records[i].Headers = append(records[i].Headers, pipeline.Header{Key: uuidHeader, Value: []byte(m.UUID)})
		for _, name := range slices.Sorted(maps.Keys(m.Metadata)) {
			records[i].Headers = append(records[i].Headers, pipeline.Header{
				Key: name, Value: []byte(m.Metadata[name]),
			})
		}
	}
	ctx := messages[0].Context()
	if ctx == nil {
		ctx = p.c.ctx
	}
	return p.c.Publish(context.WithoutCancel(ctx), records)
}

// Close makes further publishing an error.
func (p *messagePublisher) Close() error {
	p.closed.Store(true)
	return nil
}
