package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// errEnd says that nothing more need be read.
var errEnd = errors.New("enough was read")

// shard looks at a shard of a book. Redis is looked at before the journal: what stands there then was decided before.
func (s *system) shard(ctx context.Context, stage string, b book.Book, number int) (view shardView, err error) {
	view = shardView{Book: b.Name(), Shard: number, Epoch: -1}
	st, err := s.store(b).Standing(ctx, number)
	if err != nil {
		return view, fmt.Errorf("look at %s/%d: %w", b.Name(), number, err)
	}
	journal, end, err := s.tail(ctx, stage, b, number)
	if err != nil {
		return view, err
	}
	view.JournalEnd, view.Position, view.JournalDigest = end, journal.To, journal.Digest
	view.RedisPosition, view.RedisDigest, view.State = st.At, st.Digest, stateOf(st, journal.To, journal.Digest)
	if r := st.Recovery; r.Cause != "" {
		view.Recovery = &recoveryView{moment(r.Time), r.Cause, r.From, r.To}
	}
	if end > 0 {
		view.Epoch = journal.Epoch
		if in, found, err := s.message(ctx, b.Journal(), number, journal.Epoch); err != nil {
			return view, err
		} else if found {
			takeover, _ := in.Body.(*schemas.Takeover)
			view.Owner, view.Since = takeover.GetOwner(), moment(in.Time)
		}
	}
	_, commands, err := s.kafka.Bounds(ctx, b.Commands(), number)
	if err != nil {
		return view, err
	}
	if view.LagRecords = max(commands-journal.To, 0); view.LagRecords > 0 {
		in, found, err := s.message(ctx, b.Commands(), number, journal.To)
		if err != nil {
			return view, err
		}
		if found {
			view.LagSeconds = age(in.Time, time.Now())
		}
	}
	return view, nil
}

// tail reads where a book's journal stands, from where its owner has read it back on.
func (s *system) tail(ctx context.Context, stage string, b book.Book, number int) (
	journal pipeline.Journal, end int64, err error,
) {
	marks, err := s.kafka.Committed(ctx, stage, b.Commands())
	if err != nil {
		return journal, 0, err
	}
	_, end, err = s.kafka.Bounds(ctx, b.Journal(), number)
	if err != nil {
		return journal, 0, err
	}
	if from, ok := pipeline.ParsePosition(marks[number].Metadata); ok && from.Next <= end {
		journal.Position = from
	}
	if journal.Next >= end {
		return journal, end, nil
	}
	err = s.kafka.Read(ctx, b.Journal(), number, journal.Next, end, func(records []pipeline.Record) error {
		journal.Read(records)
		return nil
	})
	return journal, end, err
}

// message reads the message at a place; it says no where there is none that can be read.
func (s *system) message(ctx context.Context, topic string, partition int, offset int64) (
	in pipeline.In, found bool, err error,
) {
	first, end, err := s.kafka.Bounds(ctx, topic, partition)
	if err != nil || offset < first || offset >= end {
		return in, false, err
	}
	err = s.kafka.Read(ctx, topic, partition, offset, offset+1, func(records []pipeline.Record) error {
		for _, r := range records {
			if r.Offset != offset {
				continue
			}
			var wrong error
			if in, wrong = pipeline.Decode(r); wrong == nil {
				found = true
			}
			return errEnd
		}
		return nil
	})
	if errors.Is(err, errEnd) {
		err = nil
	}
	return in, found, err
}
