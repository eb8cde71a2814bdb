package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

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
	take := func(f register.Fact) error {
		if k, ok := invite.KnownOf(f.Body); ok {
			known = append(known, k)
		}
		return nil
	}
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		rows, err := stories.Rows(ctx, p, byPartition[p]...)
		if err != nil {
			return nil, err
		}
		for topic, offsets := range recalled(rows) {
			if err := stories.Facts(ctx, topic, p, offsets, take); err != nil {
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
