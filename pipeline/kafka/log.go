package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/listoffsets"

	"github.com/aval-systems/aval/pipeline"
)

const (
	readBytes = 1 << 20 // of a chunk that Read visits, unless one batch alone has more
	// readPatience is how long Read waits for a record that it was told is there.
	readPatience = 10 * time.Second
)

// Bounds returns the first offset that the partition keeps, and the one after its last.
func (c *Client) Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	at := c.place(topic, partition)
	what := "look up the bounds of " + topic
	err = c.atLeader(ctx, what, at, func(ctx context.Context, address string) error {
		if first, err = c.offset(ctx, address, at, kafkago.FirstOffset); err != nil {
			return err
		}
		end, err = c.offset(ctx, address, at, kafkago.LastOffset)
		return err
	})
	return first, end, err
}

func (c *Client) offset(ctx context.Context, address string, at place, which int64) (int64, error) {
	answer, err := c.brokers.roundTrip(ctx, address, 0, &listoffsets.Request{
		ReplicaID: -1,
		Topics: []listoffsets.RequestTopic{{Topic: at.topic, Partitions: []listoffsets.RequestPartition{{
			Partition: at.partition, CurrentLeaderEpoch: -1, Timestamp: which,
		}}}},
	})
	if err != nil {
		return 0, err
	}
	response, ok := answer.(*listoffsets.Response)
	if !ok || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return 0, errWire
	}
	p := response.Topics[0].Partitions[0]
	return p.Offset, asError(p.ErrorCode)
}

// atLeader runs f with the address of the partition's leader until it succeeds or fails for good.
func (c *Client) atLeader(
	ctx context.Context, what string, at place, f func(ctx context.Context, address string) error,
) error {
	if _, err := c.Partitions(ctx, c.plain(at.topic)); err != nil {
		return err
	}
	return c.retry(ctx, what, func(ctx context.Context) error {
		version := c.cluster.known()
		_, address, err := c.cluster.leader(at)
		if err == nil {
			err = f(ctx, address)
		}
		if err != nil && ctx.Err() == nil && moved(err) {
			if err := c.cluster.refresh(ctx, version); err != nil {
				return err
			}
		}
		return err
	})
}

// Read visits the records from an offset up to before another, in order, some at a time. Where the partition
// does not keep the first of them any more, that is a *RangeError: nothing is skipped.
func (c *Client) Read(
	ctx context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	for from < end {
		chunks, err := c.expect(ctx, topic, partition, from, end)
		if err != nil {
			return err
		}
		records, err := decode(chunks, topic, partition, from)
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", topic, partition, err)
		}
		for len(records) > 0 && records[len(records)-1].Offset >= end {
			records = records[:len(records)-1]
		}
		if len(records) > 0 {
			if err := visit(records); err != nil {
				return err
			}
		}
		from = chunks[len(chunks)-1].next
	}
	return nil
}

// expect returns record batches from an offset on, where some must be: end is beyond it.
func (c *Client) expect(ctx context.Context, topic string, partition int, from, end int64) ([]chunk, error) {
	at := c.place(topic, partition)
	var idle time.Time
	for {
		chunks, high, err := c.read(ctx, at, from)
		switch {
		case errors.Is(err, kafkago.OffsetOutOfRange):
			return nil, c.outOfRange(ctx, topic, partition, from)
		case err != nil:
			return nil, fmt.Errorf("read %s/%d at %d: %w", topic, partition, from, err)
		case len(chunks) > 0:
			return chunks, nil
		case idle.IsZero():
			idle = time.Now()
		case time.Since(idle) > readPatience:
			return nil, fmt.Errorf("read %s/%d: nothing is at offset %d, it should go to %d and ends at %d",
				topic, partition, from, end, high)
		}
	}
}

func (c *Client) read(ctx context.Context, at place, from int64) (chunks []chunk, high int64, err error) {
	err = c.atLeader(ctx, "read "+c.plain(at.topic), at, func(ctx context.Context, address string) error {
		answers, _, err := c.fetch(ctx, address, fetchWait, []want{{place: at, from: from, bytes: readBytes}})
		if err != nil {
			return err
		}
		if len(answers) != 1 {
			return errWire
		}
		if err := asError(answers[0].code); err != nil {
			return err
		}
		high = answers[0].high
		all, err := split(answers[0].set)
		if err != nil && len(all) == 0 {
			return fmt.Errorf("%w: %w", errWire, err) // it may have been damaged on its way
		}
		chunks = all[:0]
		for _, k := range all {
			if k.next > from {
				chunks = append(chunks, k)
			}
		}
		return nil
	})
	return chunks, high, err
}

func (c *Client) outOfRange(ctx context.Context, topic string, partition int, offset int64) error {
	first, end, err := c.Bounds(ctx, topic, partition)
	if err != nil {
		return err
	}
	return &RangeError{Topic: topic, Partition: partition, Offset: offset, First: first, End: end}
}

// Tail visits the records of all partitions of a topic, from the offsets given for each, without a group,
// until ctx ends or visit returns an error. A partition without an offset, or with one below zero, begins at
// its first record.
func (c *Client) Tail(
	ctx context.Context, topic string, from []int64, visit func(partition int, records []pipeline.Record) error,
) error {
	partitions, err := c.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	t := &tail{c: c, topic: topic, visit: visit, signal: make(chan struct{}, 1)}
	defer t.end()
	if err := t.begin(ctx, partitions, from); err != nil {
		return err
	}
	for {
		quiet, err := t.round(ctx)
		if err != nil {
			return err
		}
		if !quiet {
			continue
		}
		select {
		case <-t.signal:
		case <-c.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
