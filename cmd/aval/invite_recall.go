package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

// recallGap is how many records that nobody asked for are read rather than the log be asked once more.
const recallGap = 200

// recall finds out what was decided on invitations that are handed in again: the register knows where the log tells it.
func (s *system) recall(ctx context.Context, invitations []string) ([]invite.Known, error) {
	stories := register.NewStories(s.redis, s.kafka, register.Config{
		Namespace: s.namespace, Partitions: s.partitions, Now: time.Now,
	})
	byPartition := map[int][]string{}
	for _, id := range invitations {
		p := schemas.PartitionOf([]byte(id), s.partitions)
		byPartition[p] = append(byPartition[p], id)
	}
	var known []invite.Known
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		rows, err := stories.Rows(ctx, p, byPartition[p]...)
		if err != nil {
			return nil, err
		}
		for topic, offsets := range recalled(rows) {
			if known, err = s.recallFrom(ctx, topic, p, offsets, known); err != nil {
				return nil, err
			}
		}
	}
	return known, nil
}

// recalled are the places, by topic, where the log tells what was decided.
func recalled(rows []register.Row) map[string][]int64 {
	places := map[string][]int64{}
	for _, row := range rows {
		for _, mark := range row {
			switch mark.Kind {
			case register.KindOffered, register.KindIssued, register.KindRefused, register.KindDisputed:
				places[mark.Kind.Topic()] = append(places[mark.Kind.Topic()], mark.Offset)
			case register.KindInvited, register.KindRequested, register.KindDeclined, register.KindWithdrawn,
				register.KindLapsed, register.KindAnswered:
			}
		}
	}
	return places
}

// recallFrom reads the records at the offsets, those that lie near to each other at once. What the log does not keep
// any more is not known.
func (s *system) recallFrom(
	ctx context.Context, topic string, partition int, offsets []int64, known []invite.Known,
) ([]invite.Known, error) {
	slices.Sort(offsets)
	for offsets = slices.Compact(offsets); len(offsets) > 0; {
		n := 1
		for n < len(offsets) && offsets[n]-offsets[n-1] <= recallGap {
			n++
		}
		run := offsets[:n]
		offsets = offsets[n:]
		err := s.kafka.Read(ctx, topic, partition, run[0], run[n-1]+1, func(records []pipeline.Record) error {
			for _, r := range records {
				if _, wanted := slices.BinarySearch(run, r.Offset); !wanted {
					continue
				}
				if in, err := pipeline.Decode(r); err == nil {
					if k, ok := invite.KnownOf(in); ok {
						known = append(known, k)
					}
				}
			}
			return nil
		})
		if gone := (*kafka.RangeError)(nil); err != nil && !errors.As(err, &gone) {
			return nil, err
		}
	}
	return known, nil
}
