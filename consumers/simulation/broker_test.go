package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// shards is how many partitions every keyed topic has.
const shards = 2

// broker holds topics and what groups have committed.
type broker struct {
	topics map[string][][]pipeline.Record
	marks  map[seat]pipeline.Mark
	owners map[seat]*task // who works on it, as far as the broker knows
	claims map[string]int // the latest epoch of each transactional id
	fences map[place]int  // the latest epoch that wrote to a partition
	late   []batch        // what may still land
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// seat is a partition of a group.
type seat struct {
	group     string
	partition int
}

// batch is a record batch that its writer has lost sight of.
type batch struct {
	place
	epoch   int // of a claimed partition's writer; -1: anybody's
	records []pipeline.Record
}

func newBroker() *broker {
	b := &broker{
		topics: map[string][][]pipeline.Record{}, marks: map[seat]pipeline.Mark{}, owners: map[seat]*task{},
		claims: map[string]int{}, fences: map[place]int{},
	}
	for _, topic := range schemas.Topics() {
		b.topics[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(shards))
	}
	return b
}

func (b *broker) add(at place, records []pipeline.Record) int64 {
	log := b.topics[at.topic][at.partition]
	base := int64(len(log))
	for i, r := range records {
		r.Topic, r.Partition, r.Offset = at.topic, at.partition, base+int64(i)
		log = append(log, r)
	}
	b.topics[at.topic][at.partition] = log
	return base
}

func (b *broker) end(at place) int64 { return int64(len(b.topics[at.topic][at.partition])) }

// batches are the records by partition, in the order of their first ones.
func (b *broker) batches(records []pipeline.Record) []batch {
	var batches []batch
	for _, r := range records {
		at := place{r.Topic, r.Partition}
		if at.partition < 0 {
			at.partition = schemas.PartitionOf(r.Key, len(b.topics[r.Topic]))
		}
		i := slices.IndexFunc(batches, func(o batch) bool { return o.place == at })
		if i < 0 {
			i, batches = len(batches), append(batches, batch{place: at, epoch: -1})
		}
		batches[i].records = append(batches[i].records, r)
	}
	return batches
}

// port is a broker as one process sees it.
type port struct{ w *world }

var (
	_ pipeline.Publisher      = port{}
	_ pipeline.Log            = port{}
	_ certificate.Directories = port{}
)

// Publish writes a batch to each partition. Where it fails, each of them may have arrived, or may arrive later.
func (p port) Publish(_ context.Context, records []pipeline.Record) error {
	w := p.w
	batches := w.broker.batches(records)
	what := func() string {
		text := []string{"publish"}
		for _, b := range batches {
			text = append(text, fmt.Sprintf("%d×%s", len(b.records), b.place))
		}
		return strings.Join(text, " ")
	}
	torn := false
	err := w.call("publish", what, func() {
		torn = w.dice.strikes("publish torn", w.odds.torn)
		for _, b := range batches {
			switch {
			case torn && w.dice.one("publish torn lost", 2):
				w.note("    the batch to %s is refused", b.place)
			case torn && w.dice.one("publish torn late", 2):
				w.note("    the batch to %s may land later", b.place)
				w.broker.late = append(w.broker.late, b)
			default:
				w.broker.add(b.place, b.records)
			}
		}
	})
	if err == nil && torn {
		err = errDown
	}
	return err
}

// Bounds is all that was written.
func (p port) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	at := place{topic, partition}
	err = p.w.call("bounds", func() string { return "bounds of " + at.String() }, func() { end = p.w.broker.end(at) })
	return 0, end, err
}

// Read visits the records in pieces of any size.
func (p port) Read(
	_ context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	w, at := p.w, place{topic, partition}
	for from < end {
		var piece []pipeline.Record
		err := w.call("read", func() string { return fmt.Sprintf("read %s from %d to %d", at, from, end) }, func() {
			last := min(end, w.broker.end(at))
			piece = w.broker.topics[topic][partition][min(from, last):last]
			if len(piece) > 1 && w.dice.one("read piece", 4) {
				piece = piece[:1+w.dice.below("read size", len(piece))]
			}
		})
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			return fmt.Errorf("%s ends before %d", at, end)
		}
		if err := visit(piece); err != nil {
			return err
		}
		from += int64(len(piece))
	}
	return nil
}

// Claim begins the next epoch of the id.
func (p port) Claim(_ context.Context, id, topic string, partition int) (pipeline.Appender, error) {
	a := &appender{w: p.w, at: place{topic, partition}}
	err := p.w.call("claim", func() string { return "claim " + id }, func() {
		p.w.broker.claims[id]++
		a.epoch = p.w.broker.claims[id]
	})
	return a, err
}

// At reads a version of the directory.
func (p port) At(version uint64) (*certificate.Directory, error) {
	err := p.w.call("directory", func() string { return fmt.Sprintf("read directory %d", version) }, func() {})
	switch {
	case err != nil:
		return nil, err
	case version != 1:
		return nil, certificate.ErrNoVersion
	}
	return p.w.directory, nil
}

// appender writes to a claimed partition. The fence holds from the first batch of the next epoch on; now and then the
// broker has forgotten whom to fence.
type appender struct {
	w     *world
	at    place
	epoch int
}

// Append repeats by itself, in the real client, until it knows; here a lost answer stands for a process that stops.
func (a *appender) Append(_ context.Context, records []pipeline.Record) (base int64, err error) {
	w := a.w
	what := func() string { return fmt.Sprintf("append %d×%s in epoch %d", len(records), a.at, a.epoch) }
	failed := w.call("append", what, func() {
		switch {
		case !w.broker.mayWrite(w, a.at, a.epoch):
			err = fmt.Errorf("append to %s: %w", a.at, pipeline.ErrFenced)
		case w.dice.strikes("append late", w.odds.torn):
			w.note("    the entry may land later")
			w.broker.late = append(w.broker.late, batch{place: a.at, epoch: a.epoch, records: records})
			err = context.Canceled
		default:
			base = w.broker.add(a.at, records)
		}
	})
	return base, errors.Join(err, failed)
}

func (b *broker) mayWrite(w *world, at place, epoch int) bool {
	if epoch < b.fences[at] && !w.dice.strikes("fence forgotten", w.odds.leak) {
		return false
	}
	b.fences[at] = max(b.fences[at], epoch)
	return true
}

// land lets a batch arrive that nobody waits for any more.
func (b *broker) land(w *world) {
	if len(b.late) == 0 {
		return
	}
	i := w.dice.below("which lands", len(b.late))
	late := b.late[i]
	b.late = slices.Delete(b.late, i, i+1)
	if late.epoch >= 0 && !b.mayWrite(w, late.place, late.epoch) {
		w.note("  a late batch to %s is fenced", late.place)
		return
	}
	w.note("  a late batch lands in %s at %d", late.place, b.add(late.place, late.records))
}
