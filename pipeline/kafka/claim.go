package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

// errUnknown says that nobody knows whether the last batch was written.
var errUnknown = errors.New("an earlier append ended without an answer: claim the partition anew")

// claims remembers the producer ids that transactional ids had, to report when the broker's fence was lifted.
type claims struct {
	mu  sync.Mutex
	ids map[string]int64
}

// appender writes to a claimed partition: one batch at a time, each with the next sequence.
type appender struct {
	c         *Client
	at        place
	topic     string
	partition int
	limit     int
	identity  identity

	mu       sync.Mutex
	sequence int32
	dead     error
}

// Claim makes the caller the partition's only writer: see pipeline.Log. The broker refuses the former owner's
// batches from the new one's first batch on, partition by partition, as long as both have the same producer
// id.
func (c *Client) Claim(
	ctx context.Context, transactionalID, topic string, partition int,
) (pipeline.Appender, error) {
	partitions, err := c.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	if partition < 0 || partition >= partitions {
		return nil, fmt.Errorf("claim %s/%d: the topic has %d partitions", topic, partition, partitions)
	}
	limit, err := c.limit(ctx, topic)
	if err != nil {
		return nil, err
	}
	who, err := c.initProducer(ctx, c.wire(transactionalID))
	if err != nil {
		return nil, fmt.Errorf("claim %s/%d: %w", topic, partition, err)
	}
	if before, changed := c.claims.note(transactionalID, who.id); changed {
		c.log.WarnContext(ctx, "a transactional id got another producer id: the former owner is not fenced",
			"id", transactionalID, "before", before, "now", who.id)
	}
	return &appender{
		c: c, at: c.place(topic, partition), topic: topic, partition: partition, limit: limit, identity: who,
	}, nil
}

func (c *claims) note(id string, producer int64) (before int64, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil {
		c.ids = map[string]int64{}
	}
	before, ok := c.ids[id]
	c.ids[id] = producer
	return before, ok && before != producer
}

// Append writes the records as one record batch: see pipeline.Appender. Records that are too large together
// are a *SizeError, and nothing is written.
func (a *appender) Append(ctx context.Context, records []pipeline.Record) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead != nil {
		return -1, a.fault(a.dead)
	}
	if len(records) == 0 {
		return -1, a.fault(errors.New("there are no records to append"))
	}
	if size := batchBytes(records); size > a.limit {
		return -1, a.fault(&SizeError{Topic: a.topic, Size: size, Limit: a.limit})
	}
	if ctx.Err() != nil {
		return -1, a.fault(ctx.Err())
	}
	type outcome struct {
		base int64
		err  error
	}
	answered := make(chan outcome, 1)
	a.c.sender.submit(&delivery{
		place:  a.at,
		set:    encodeBatch(a.identity, a.sequence, time.Now().UnixMilli(), records),
		wanted: func() bool { return ctx.Err() == nil },
		done:   func(base int64, err error) { answered <- outcome{base, err} },
	})
	select {
	case o := <-answered:
		if err := a.judge(ctx, o.base, o.err); err != nil {
			a.dead = err
			return -1, a.fault(err)
		}
		a.sequence = advance(a.sequence, len(records))
		return o.base, nil
	case <-ctx.Done():
		a.dead = errUnknown
		return -1, a.fault(ctx.Err())
	}
}

// judge turns the broker's answer into that of Append. Everything that is neither success nor worth a repeat
// acts as a fence: the owner finds out by taking over anew what was written.
func (a *appender) judge(ctx context.Context, base int64, err error) error {
	switch {
	case err == nil && base >= 0:
		return nil
	case err == nil:
		return fmt.Errorf("%w: the broker acknowledged without an offset", pipeline.ErrFenced)
	case errors.Is(err, kafkago.DuplicateSequenceNumber) && base >= 0:
		return nil
	case errors.Is(err, ErrClosed):
		return ErrClosed
	case ctx.Err() != nil && retriable(err):
		return errUnknown
	default:
		return fmt.Errorf("%w: %w", pipeline.ErrFenced, err)
	}
}

func (a *appender) fault(err error) error {
	return fmt.Errorf("append to %s/%d: %w", a.topic, a.partition, err)
}
