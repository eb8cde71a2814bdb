package kafka

import (
	"context"
	"time"
)

// Since returns the offset of the partition's first record that the broker took in at a time or later, and the one
// after its last. Where all are older, both are the same.
func (c *Client) Since(ctx context.Context, topic string, partition int, t time.Time) (from, end int64, err error) {
	at := c.place(topic, partition)
	err = c.atLeader(ctx, "look up a time in "+topic, at, func(ctx context.Context, address string) error {
		// The end first: what comes in between is later than the time, and not lost by it.
		if end, err = c.offset(ctx, address, at, lastOffset); err != nil {
			return err
		}
		from, err = c.offset(ctx, address, at, max(t.UnixMilli(), 0))
		return err
	})
	if err == nil && (from < 0 || from > end) {
		from = end
	}
	return from, end, err
}

// lastOffset asks for the end in place of a time.
const lastOffset = -1
