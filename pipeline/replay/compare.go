package replay

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Compare reports every difference, cause by cause. It may be called once Read is done.
func (x *Replay) Compare(ctx context.Context, report func(Difference) error) error {
	for p := range x.items.Parts() {
		var items []item
		err := x.items.Each(p, func(b []byte) error {
			items = append(items, x.item(b))
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(items, func(a, b item) int { return bytes.Compare(a.cause[:], b.cause[:]) })
		for from := 0; from < len(items); {
			to := from + 1
			for to < len(items) && items[to].cause == items[from].cause {
				to++
			}
			if err := x.compare(ctx, items[from:to], report); err != nil {
				return err
			}
			from = to
		}
	}
	return nil
}

// same is what items have in common that are the same follow.
type same struct {
	topic byte
	sum   [16]byte
}

func (i item) same() same { return same{i.topic, i.sum} }

// compare compares what follows from one cause with what says that it does.
func (x *Replay) compare(ctx context.Context, items []item, report func(Difference) error) error {
	made := map[same]bool{} // whether it was found
	seals := map[uint64]bool{}
	for _, i := range items {
		if i.kind == kindMade {
			made[i.same()] = false
		} else if i.checked && !i.fault {
			seals[i.seal] = true
		}
	}
	extra, err := x.compareFound(ctx, items, made, seals, report)
	if err != nil {
		return err
	}
	for _, i := range items {
		if i.kind != kindMade || made[i.same()] {
			continue
		}
		made[i.same()] = true // told once
		if err := x.tellMissing(ctx, i, &extra, report); err != nil {
			return err
		}
	}
	for _, i := range extra {
		if err := x.tellExtra(ctx, i, items, report); err != nil {
			return err
		}
	}
	return nil
}

// compareFound looks at what stands in the log, notes which of what follows is there, and returns what does not follow.
func (x *Replay) compareFound(
	ctx context.Context, items []item, made map[same]bool, seals map[uint64]bool, report func(Difference) error,
) (extra []item, err error) {
	for _, i := range items {
		if i.kind == kindMade {
			continue
		}
		if _, ok := made[i.same()]; !ok {
			extra = append(extra, i)
			continue
		}
		made[i.same()] = true
		if what := i.wrong(seals); what != "" {
			if err := x.tellFound(ctx, i, what, report); err != nil {
				return nil, err
			}
		}
	}
	return extra, nil
}

// tellExtra reports a record that does not follow; where it says that it is one that does, what is different.
func (x *Replay) tellExtra(ctx context.Context, extra item, items []item, report func(Difference) error) error {
	for _, i := range items {
		if i.kind == kindMade && i.topic == extra.topic && i.id == extra.id {
			return x.tellMissing(ctx, i, &[]item{extra}, report)
		}
	}
	return x.tellFound(ctx, extra, whatExtra, report)
}

// What may be wrong with a record that stands in the log.
const (
	whatExtra     = "does not follow from its cause"
	whatFault     = "seal"
	whatSeal      = "its signature is another than its certificate's"
	whatMisplaced = "stands in another partition than its key's"
)

// wrong is what is wrong with a record whose bytes are right.
func (i item) wrong(seals map[uint64]bool) string {
	switch {
	case i.fault:
		return whatFault
	case i.misplaced:
		return whatMisplaced
	case i.seal != 0 && !i.checked && len(seals) > 0 && !seals[i.seal]:
		return whatSeal
	}
	return ""
}

// tellFound reports a record that stands in the log and is not as it should be.
func (x *Replay) tellFound(ctx context.Context, i item, what string, report func(Difference) error) error {
	r, err := x.read(ctx, i.at)
	if err != nil {
		return err
	}
	cause, _ := headerOf(r, schemas.HeaderCause)
	switch what {
	case whatFault:
		opened, err := x.Seals.Open(r)
		if err != nil {
			return err
		}
		what = opened.Fault
	case whatExtra:
		what = fmt.Sprintf("%s: %s has no such follow", whatExtra, x.causeOf(r))
	case whatMisplaced:
		what = fmt.Sprintf("stands in partition %d; its key belongs to %d", i.at.Partition,
			schemas.PartitionOf(r.Key, x.Partitions))
	}
	return report(Difference{
		Topic: i.at.Topic, Partition: i.at.Partition, Offset: i.at.Offset, Cause: string(cause), What: what,
	})
}

// causeOf names the cause that a record claims.
func (x *Replay) causeOf(r pipeline.Record) string {
	at, ok := causeOf(r)
	switch {
	case !ok:
		return "it does not say from where; the stage"
	case at.Partition < len(x.ends[at.Topic]) && at.Offset >= x.ends[at.Topic][at.Partition].To:
		return at.String() + " is not there, and"
	}
	return at.String()
}

// tellMissing reports what follows and does not stand in the log; or, where something else stands in its place, what
// is different about that.
func (x *Replay) tellMissing(ctx context.Context, i item, extra *[]item, report func(Difference) error) error {
	want, err := x.makeAgain(ctx, i)
	if err != nil {
		return err
	}
	cause, _ := headerOf(want, schemas.HeaderCause)
	for n, other := range *extra {
		if other.topic != i.topic || other.id != i.id {
			continue
		}
		*extra = slices.Delete(*extra, n, n+1)
		r, err := x.read(ctx, other.at)
		if err != nil {
			return err
		}
		if x.Seals != nil {
			opened, err := x.Seals.Open(r)
			if err != nil {
				return err
			}
			r.Value = opened.Value
		}
		return report(Difference{
			Topic: other.at.Topic, Partition: other.at.Partition, Offset: other.at.Offset, Cause: string(cause),
			What: Differ(want, r),
		})
	}
	id, _ := headerOf(want, schemas.HeaderID)
	return report(Difference{
		Topic: i.at.Topic, Partition: i.at.Partition, Offset: i.at.Offset, Cause: string(cause),
		What: fmt.Sprintf("%s that follows is missing: it should stand in %s", id,
			where(want.Topic, schemas.PartitionOf(want.Key, x.Partitions))),
	})
}

// makeAgain makes a follow once more.
func (x *Replay) makeAgain(ctx context.Context, i item) (pipeline.Record, error) {
	record, err := x.read(ctx, i.at)
	if err != nil {
		return pipeline.Record{}, err
	}
	follows, err := x.follow(record)
	if err != nil {
		return pipeline.Record{}, err
	}
	for _, f := range follows {
		if x.topic(f.Topic) == i.topic && sumOf(f, f.Value) == i.sum {
			return f, nil
		}
	}
	return pipeline.Record{}, fmt.Errorf("%s was followed twice, and differently: the stage is not pure", i.at)
}

// read reads one record.
func (x *Replay) read(ctx context.Context, at pipeline.Place) (found pipeline.Record, err error) {
	err = x.Log.Read(ctx, at.Topic, at.Partition, at.Offset, at.Offset+1, func(records []pipeline.Record) error {
		for _, r := range records {
			if r.Offset == at.Offset {
				found = r
			}
		}
		return nil
	})
	if err == nil && found.Topic == "" {
		err = fmt.Errorf("%s is gone", at)
	}
	return found, err
}
