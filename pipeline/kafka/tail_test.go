package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// Several who read one partition, from where each of them stands, all get all that is there, in order, while more
// comes.
func TestManyReadOnePartition(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 100))
	const all = 200
	readers := []int64{100, 0, 60, 100, 25}
	got := make([]handled, len(readers))
	actors := []func(context.Context) error{func(ctx context.Context) error {
		for i := 100; i < all; i += 5 {
			if err := c.Publish(ctx, numbered("entries", 0, i, i+5)); err != nil {
				return err
			}
		}
		return nil
	}}
	for i, from := range readers {
		actors = append(actors, func(ctx context.Context) error {
			err := c.Tail(ctx, "entries", []int64{from}, func(p int, records []pipeline.Record) error {
				got[i].add(&pipeline.Batch{Partition: p, Records: records})
				if got[i].total() >= all-int(from) {
					return context.Canceled
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var running sync.WaitGroup
	for _, actor := range actors {
		running.Go(func() {
			if err := actor(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	for i, from := range readers {
		var want []string
		for n := from; n < all; n++ {
			want = append(want, strconv.FormatInt(n, 10))
		}
		if !slices.Equal(got[i].values[0], want) {
			t.Errorf("who began at %d got %v", from, got[i].values[0])
		}
	}
}
