package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// Ends returns, for each topic, the offset after the last record of each of its partitions: with one request to each
// broker, however many there are.
func (c *Client) Ends(ctx context.Context, topics []string) (map[string][]int64, error) {
	ends := make(map[string][]int64, len(topics))
	for _, topic := range topics {
		count, err := c.Partitions(ctx, topic)
		if err != nil {
			return nil, err
		}
		ends[topic] = make([]int64, count)
	}
	err := c.retry(ctx, "look up the ends of topics", func(ctx context.Context) error {
		version := c.cluster.known()
		err := c.ends(ctx, ends)
		if err != nil && ctx.Err() == nil && moved(err) {
			if err := c.cluster.refresh(ctx, version); err != nil {
				return err
			}
		}
		return err
	})
	return ends, err
}

// ends asks each leader for the ends of what it leads.
func (c *Client) ends(ctx context.Context, ends map[string][]int64) error {
	requests := map[string]*listoffsets.Request{}
	for topic := range ends {
		for p := range ends[topic] {
			at := c.place(topic, p)
			_, address, err := c.cluster.leader(at)
			if err != nil {
				return err
			}
			r := requests[address]
			if r == nil {
				r = &listoffsets.Request{ReplicaID: -1}
				requests[address] = r
			}
			askEnd(r, at)
		}
	}
	for address, request := range requests {
		if err := c.endsOf(ctx, address, request, ends); err != nil {
			return err
		}
	}
	return nil
}

// askEnd adds a partition to a request; those of a topic come together.
func askEnd(r *listoffsets.Request, at place) {
	if n := len(r.Topics); n == 0 || r.Topics[n-1].Topic != at.topic {
		r.Topics = append(r.Topics, listoffsets.RequestTopic{Topic: at.topic})
	}
	t := &r.Topics[len(r.Topics)-1]
	t.Partitions = append(t.Partitions, listoffsets.RequestPartition{
		Partition: at.partition, CurrentLeaderEpoch: -1, Timestamp: lastOffset,
	})
}

func (c *Client) endsOf(
	ctx context.Context, address string, request *listoffsets.Request, ends map[string][]int64,
) error {
	answer, err := c.brokers.roundTrip(ctx, address, 0, request)
	if err != nil {
		return err
	}
	response, ok := answer.(*listoffsets.Response)
	if !ok {
		return errWire
	}
	for _, t := range response.Topics {
		known := ends[c.plain(t.Topic)]
		for _, p := range t.Partitions {
			if err := asError(p.ErrorCode); err != nil {
				return err
			}
			if int(p.Partition) >= len(known) {
				return fmt.Errorf("%w: partition %d of %s", errWire, p.Partition, t.Topic)
			}
			known[p.Partition] = p.Offset
		}
	}
	return nil
}

// Written returns when the record at the offset was written, or the first one after it; zero where there is none. It
// reads one record batch.
func (c *Client) Written(ctx context.Context, topic string, partition int, offset int64) (time.Time, error) {
	var written time.Time
	at := c.place(topic, partition)
	err := c.atLeader(ctx, "look up a record of "+topic, at, func(ctx context.Context, address string) error {
		answers, _, err := c.fetch(ctx, address, 0, []want{{place: at, from: offset, bytes: 1}})
		if err != nil {
			return err
		}
		if len(answers) != 1 {
			return errWire
		}
		if err := asError(answers[0].code); err != nil {
			return err
		}
		chunks, err := split(answers[0].set)
		for _, k := range chunks {
			if k.next > offset {
				written = k.written()
				return nil
			}
		}
		return err
	})
	return written, err
}
