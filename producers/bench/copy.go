package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// The topics of a bare copy, which a bench makes for itself.
const (
	TopicCopyFrom = "bench-copy-from"
	TopicCopyTo   = "bench-copy-to"
)

const (
	copyBatch   = 4_000     // records that are published at a time
	copyQueue   = 4         // chunks that wait to be written
	copyRecords = 2_000_000 // at most
)

// Copy is how many items a second there would be if all that is done with their records were to read them from one
// topic and to write them to another, through the same transport: what no system on these servers can exceed by much.
// Both topics must be there. It takes about twice the time given.
func Copy(ctx context.Context, c Config, d Deps, r Report, took time.Duration) (Number, error) {
	if r.Records <= 0 || r.Bytes <= 0 {
		return 0, nil
	}
	c.fill()
	size := int(int64(r.Bytes) / int64(r.Records))
	c.Progress.Stage("write what is to be copied", seconds(took))
	ends, err := d.ends(ctx, c.Partitions, TopicCopyFrom)
	if err != nil {
		return 0, err
	}
	count, err := fillCopy(ctx, c, d, size, took)
	c.Progress.Done()
	if err != nil {
		return 0, err
	}
	c.Progress.Stage("copy", 0)
	defer c.Progress.Done()
	began := c.Now()
	if err := copyAll(ctx, d, ends[TopicCopyFrom], count); err != nil {
		return 0, err
	}
	rate := Rate(count, c.Now().Sub(began))
	return Number(int64(rate) * thousand / int64(r.Records)), nil
}

// fillCopy writes records of about that size for so long, and says how many.
func fillCopy(ctx context.Context, c Config, d Deps, size int, took time.Duration) (count int64, err error) {
	began := c.Now()
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i)
	}
	records := make([]pipeline.Record, copyBatch)
	for c.Now().Sub(began) < took && count < copyRecords {
		for i := range records {
			records[i] = pipeline.Record{Topic: TopicCopyFrom, Partition: i % c.Partitions, Value: value}
		}
		if err := d.Publisher.Publish(ctx, records); err != nil {
			return count, fmt.Errorf("write what is to be copied: %w", err)
		}
		count += copyBatch
	}
	return count, nil
}

// copying is a copy that is under way.
type copying struct {
	deps    Deps
	queue   chan []pipeline.Record
	written chan int // of each batch
}

// copyWriters write at a time: while one waits for the broker the other one has the next batch ready.
const copyWriters = 2

// copyAll copies so many records.
func copyAll(ctx context.Context, d Deps, from []int64, count int64) error {
	x := &copying{deps: d, queue: make(chan []pipeline.Record, copyQueue), written: make(chan int)}
	actors := []func(context.Context) error{
		func(ctx context.Context) error {
			return d.Log.Tail(ctx, TopicCopyFrom, from, func(_ int, records []pipeline.Record) error {
				return x.read(ctx, records)
			})
		},
	}
	for range copyWriters {
		actors = append(actors, x.write)
	}
	return during(ctx, func(ctx context.Context) error {
		for left := count; left > 0; {
			select {
			case n := <-x.written:
				left -= int64(n)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}, actors...)
}

func (x *copying) read(ctx context.Context, records []pipeline.Record) error {
	for i := range records {
		records[i].Topic = TopicCopyTo
	}
	select {
	case x.queue <- records:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write publishes what was read. What comes while a batch is under way goes with the next.
func (x *copying) write(ctx context.Context) error {
	for {
		var records []pipeline.Record
		select {
		case records = <-x.queue:
		case <-ctx.Done():
			return nil
		}
		for more := true; more; {
			select {
			case next := <-x.queue:
				records = append(records, next...)
			default:
				more = false
			}
		}
		if err := x.deps.Publisher.Publish(ctx, records); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		select {
		case x.written <- len(records):
		case <-ctx.Done():
			return nil
		}
	}
}
