// Package replay does recorded work again and compares: what follows from the input of a stage must be what stands in
// the log, byte for byte.
//
//	reads   the topics that a stage reads, and those that it writes
//	effect  none outside; what does not fit into memory goes into files that are removed in the end
//	emits   the differences
//
// Follows may stand far behind their input, in any partition, and more than once. So neither side is held: of each
// follow, made anew or read, 64 bytes go into a part by the hash of its cause, and the parts are compared one by one.
// In memory are at most spill.MemoryDefault of them, one part, and what readersMax readers have just read.
package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/spill"
	"github.com/aval-systems/aval/schemas"
)

// readersMax is how many partitions are read at a time.
const readersMax = 8

// Difference is what is not as it should be.
type Difference struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"` // of what is wrong; of what is missing: of what it should follow from
	Cause     string `json:"cause"`  // the identifier of what it follows from
	What      string `json:"what"`
}

// Log is the part of pipeline.Log that a replay needs.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64,
		visit func([]pipeline.Record) error,
	) error
}

// Range is the input of one partition that is compared: the records [From, To).
type Range struct{ From, To int64 }

// Seals knows what a stage cannot make again, such as a signature.
type Seals interface {
	// Open returns the record's value with a blank in place of its seal, as the stage makes it in a replay; the seal,
	// nil where it has none; whether the seal was looked at by itself, or need only be the one of its cause's other
	// follows; and what is wrong with it. An error means that it could not be checked.
	Open(r pipeline.Record) (x Opened, err error)
}

// Opened is a record without its seal.
type Opened struct {
	Value   []byte
	Seal    []byte
	Checked bool
	Fault   string
}

// Config is what a replay of a stage needs to know.
type Config struct {
	Log        Log
	Stage      pipeline.Stage
	Partitions int // of every keyed topic
	IsJournal  pipeline.IsJournal
	Ranges     map[string][]Range // what is compared of each topic that the stage reads, by partition
	Seals      Seals              // nil: nothing has one
	TempDir    string             // empty: the system's
	Memory     int                // bytes; zero: spill.MemoryDefault
	Progress   func(records int)  // nil: nobody wants to know
}

// Replay is a replay of one stage.
type Replay struct {
	Config
	Inputs, Follows int64 // that were compared

	topics []string // those that the stage writes, then those that it reads
	items  *spill.Store
	ends   map[string][]Range // what the topics keep that the stage reads and writes, as of the beginning
	mu     sync.Mutex         // of the counts and of progress
}

// New looks at what there is to compare. Who makes a replay, closes it.
func New(ctx context.Context, c Config) (*Replay, error) {
	if c.Memory == 0 {
		c.Memory = spill.MemoryDefault
	}
	x := &Replay{Config: c, topics: slices.Concat(c.Stage.Writes, c.Stage.Reads), ends: map[string][]Range{}}
	// What a stage has done with its input, which the ranges say, was written before.
	for _, topic := range x.topics {
		for p := range c.Partitions {
			first, end, err := c.Log.Bounds(ctx, topic, p)
			if err != nil {
				return nil, err
			}
			x.ends[topic] = append(x.ends[topic], Range{first, end})
		}
	}
	written := int64(0)
	for _, topic := range c.Stage.Writes {
		for _, kept := range x.ends[topic] {
			written += kept.To - kept.From
		}
	}
	x.items = spill.New(c.TempDir, spill.PartsFor(2*written*(itemBytes+1)), c.Memory)
	return x, nil
}

// Close removes what did not fit into memory.
func (x *Replay) Close() error { return x.items.Close() }

// Total is how many records are read, for who shows progress.
func (x *Replay) Total() int64 {
	total := int64(0)
	for _, topic := range x.Stage.Writes {
		for _, kept := range x.ends[topic] {
			total += kept.To - kept.From
		}
	}
	for _, topic := range x.Stage.Reads {
		for p, r := range x.Ranges[topic] {
			from, to := x.span(topic, p, r)
			total += to - from
		}
	}
	return total
}

// span is what is read of an input: of a journal all before the range too, since that says which of its entries count.
func (x *Replay) span(topic string, p int, r Range) (from, to int64) {
	switch {
	case r.From >= r.To:
		return 0, 0
	case x.IsJournal(topic):
		return 0, x.ends[topic][p].To
	}
	return r.From, r.To
}

// Read does the work again, and reads what it should have come to.
func (x *Replay) Read(ctx context.Context) error {
	var tasks []func(context.Context) error
	for _, topic := range x.Stage.Reads {
		for p, r := range x.Ranges[topic] {
			tasks = append(tasks, func(ctx context.Context) error { return x.input(ctx, topic, p, r) })
		}
	}
	for _, topic := range x.Stage.Writes {
		for p, kept := range x.ends[topic] {
			tasks = append(tasks, func(ctx context.Context) error { return x.output(ctx, topic, p, kept) })
		}
	}
	return All(ctx, readersMax, tasks)
}

// All runs tasks, so many at a time. The first error stops the rest.
func All(ctx context.Context, atATime int, tasks []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan func(context.Context) error, len(tasks))
	for _, task := range tasks {
		queue <- task
	}
	close(queue)
	var workers sync.WaitGroup
	errs := make([]error, atATime)
	for i := range errs {
		workers.Go(func() {
			if errs[i] = work(ctx, queue); errs[i] != nil {
				cancel()
			}
		})
	}
	workers.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// work runs tasks until there are none, or ctx has ended: whoever ended it says why.
func work(ctx context.Context, queue <-chan func(context.Context) error) error {
	for task := range queue {
		err := task(ctx)
		switch {
		case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// errEnough ends a reading early.
var errEnough = errors.New("enough was read")

// input does again what a partition of an input asked for.
func (x *Replay) input(ctx context.Context, topic string, partition int, r Range) error {
	from, to := x.span(topic, partition, r)
	if from >= to {
		return nil
	}
	var journal pipeline.Journal
	isJournal := x.IsJournal(topic)
	if first := x.ends[topic][partition].From; isJournal && first > 0 {
		return fmt.Errorf("%s/%d begins at offset %d, and is kept for ever: restore what was before", topic, partition,
			first)
	}
	err := x.Log.Read(ctx, topic, partition, from, to, func(records []pipeline.Record) error {
		x.progress(len(records))
		if isJournal {
			if journal.Mark().Offset >= r.To {
				return errEnough
			}
			read := records
			records = nil
			for _, e := range journal.Read(read) {
				records = append(records, e.Records...)
			}
		}
		return x.again(records, r)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// again follows records of the input.
func (x *Replay) again(records []pipeline.Record, r Range) error {
	inputs, count := 0, 0
	for _, record := range records {
		if record.Offset < r.From || record.Offset >= r.To {
			continue
		}
		follows, err := x.follow(record)
		if err != nil {
			return err
		}
		inputs, count = inputs+1, count+len(follows)
		for _, follow := range follows {
			i := itemOf(follow, x.topic(follow.Topic), Opened{Value: follow.Value})
			i.at = pipeline.Place{Topic: record.Topic, Partition: record.Partition, Offset: record.Offset}
			if err := x.add(i); err != nil {
				return err
			}
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.Inputs += int64(inputs)
	x.Follows += int64(count)
	return nil
}

// follow returns what follows from a record of the input.
func (x *Replay) follow(record pipeline.Record) ([]pipeline.Record, error) {
	partitions := x.Partitions
	if x.IsJournal(record.Topic) {
		partitions = 0
	}
	in, letter, ok := pipeline.Take(x.Stage, &record, partitions)
	switch {
	case letter != nil:
		return []pipeline.Record{*letter}, nil
	case !ok:
		return nil, nil
	}
	follows, err := pipeline.Follows(x.Stage, in)
	if err != nil {
		return nil, fmt.Errorf("follow %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
	}
	for _, f := range follows {
		if x.topic(f.Topic) == 0 {
			return nil, fmt.Errorf("stage %s writes %s, and does not say so", x.Stage.Name, f.Topic)
		}
	}
	return follows, nil
}

// output reads what stands in a partition of what the stage writes.
func (x *Replay) output(ctx context.Context, topic string, partition int, kept Range) error {
	if kept.From >= kept.To {
		return nil
	}
	return x.Log.Read(ctx, topic, partition, kept.From, kept.To, func(records []pipeline.Record) error {
		x.progress(len(records))
		for _, r := range records {
			if !x.wrote(r) || !x.inRange(r) {
				continue
			}
			i, err := x.found(r)
			if err != nil {
				return err
			}
			if err := x.add(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// found is what the comparison needs of a record that stands in the log.
func (x *Replay) found(r pipeline.Record) (item, error) {
	opened := Opened{Value: r.Value}
	if x.Seals != nil {
		var err error
		if opened, err = x.Seals.Open(r); err != nil {
			return item{}, fmt.Errorf("check %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
	}
	i := itemOf(r, x.topic(r.Topic), opened)
	i.kind = kindFound
	i.misplaced = len(r.Key) > 0 && schemas.PartitionOf(r.Key, x.Partitions) != r.Partition
	i.at = pipeline.Place{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	return i, nil
}

// wrote says whether the stage says of itself that it wrote the record.
func (x *Replay) wrote(r pipeline.Record) bool {
	source, ok := headerOf(r, schemas.HeaderSource)
	return ok && string(source) == "/aval/"+x.Stage.Name
}

// inRange says whether the record says that it follows from the input that is compared, or from nothing that there is.
func (x *Replay) inRange(r pipeline.Record) bool {
	cause, ok := causeOf(r)
	if !ok || cause.Partition >= len(x.Ranges[cause.Topic]) {
		return true
	}
	if cause.Offset >= x.ends[cause.Topic][cause.Partition].To {
		return true
	}
	within := x.Ranges[cause.Topic][cause.Partition]
	return cause.Offset >= within.From && cause.Offset < within.To
}

func (x *Replay) progress(records int) {
	if x.Progress == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.Progress(records)
}

// topic is the number of a topic that the stage writes or reads, from 1 on; 0 of another one.
func (x *Replay) topic(name string) byte {
	return byte(slices.Index(x.topics, name) + 1) //nolint:gosec // few
}
