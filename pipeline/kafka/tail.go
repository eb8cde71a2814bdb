package kafka

import (
	"context"
	"fmt"

	"github.com/aval-systems/aval/pipeline"
)

// tail is the work of Tail: a cursor for each partition, and one signal for all of them.
type tail struct {
	c       *Client
	topic   string
	visit   func(partition int, records []pipeline.Record) error
	signal  chan struct{}
	cursors []*cursor
	next    []int64 // what to visit of each partition
}

// begin begins to read the partitions.
func (t *tail) begin(ctx context.Context, partitions int, from []int64) error {
	for p := range partitions {
		var next int64
		if p < len(from) && from[p] >= 0 {
			next = from[p]
		} else {
			var err error
			if next, _, err = t.c.Bounds(ctx, t.topic, p); err != nil {
				return err
			}
		}
		t.next = append(t.next, next)
		t.cursors = append(t.cursors, t.c.fetcher.add(t.c.place(t.topic, p), "", next, readBytes, t.signal))
	}
	return nil
}

// end ends reading.
func (t *tail) end() {
	for _, cursor := range t.cursors {
		t.c.fetcher.remove(cursor)
	}
}

// round visits what waits of each partition. It is quiet if nothing does.
func (t *tail) round(ctx context.Context) (quiet bool, err error) {
	quiet = true
	for p, cursor := range t.cursors {
		chunks, err := t.c.fetcher.take(cursor, readBytes)
		if err != nil {
			return false, t.c.outOfRange(ctx, t.topic, p, t.next[p])
		}
		if len(chunks) == 0 {
			continue
		}
		quiet = false
		records, err := decode(chunks, t.topic, p, t.next[p])
		if err != nil {
			return false, fmt.Errorf("tail %s/%d: %w", t.topic, p, err)
		}
		t.next[p] = chunks[len(chunks)-1].next
		if len(records) > 0 {
			if err := t.visit(p, records); err != nil {
				return false, err
			}
		}
	}
	return quiet, nil
}
