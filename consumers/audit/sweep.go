package audit

import (
	"context"
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// plain adds a topic to the sweep that is no book's journal. What cannot be read goes to the handler as a
// record without a message, and the reason.
func (a *auditor) plain(name string, handle func(r pipeline.Record, in pipeline.In, err error)) {
	topic, _ := schemas.TopicOf(name)
	for number := range topic.PartitionCount(a.Partitions) {
		next := int64(0)
		a.steps = append(a.steps, func(ctx context.Context, _ bool) error {
			var err error
			next, _, err = a.records(ctx, name, number, next, func(r pipeline.Record) {
				in, err := a.search(r)
				if err == nil && topic.Keyed() {
					err = pipeline.CheckKey(in, a.Partitions)
				}
				if handle != nil {
					handle(r, in, err)
				}
			})
			return err
		})
	}
}

// book adds a book to the sweep: its journal, compared with Redis the first time, and then its commands.
func (a *auditor) book(name, journal, commands string, fold func(number int) fold) {
	for number := range a.Partitions {
		o := &outcomes{topic: commands, number: number, facts: a.facts, violate: a.violate}
		s := &shard{
			book: name, topic: journal, number: number, fold: fold(number), outcomes: o, violate: a.violate,
			search: func(r pipeline.Record) { _, _ = a.search(r) }, last: -1,
		}
		a.steps = append(a.steps, func(ctx context.Context, first bool) error {
			if !first {
				return s.advance(ctx, a.Log)
			}
			accounts, unchecked, err := s.meet(ctx, a.Config)
			if unchecked != nil {
				a.unchecked = append(a.unchecked, unchecked)
			}
			for id, account := range accounts {
				a.report.Accounts[id] = account.plus(a.report.Accounts[id])
			}
			return err
		})
		next := int64(0)
		a.steps = append(a.steps, func(ctx context.Context, _ bool) error {
			end, kept, err := a.records(ctx, commands, number, next, func(r pipeline.Record) {
				in, err := a.search(r)
				o.command(r, in, err)
			})
			if err != nil {
				return err
			}
			next = end
			o.match(kept, s.at, a.AtRest)
			return nil
		})
	}
}

// records visits what a partition has from an offset on, and returns where it ends and what it keeps.
func (a *auditor) records(ctx context.Context, topic string, partition int, next int64,
	visit func(pipeline.Record),
) (end, first int64, err error) {
	first, end, err = a.Log.Bounds(ctx, topic, partition)
	if err != nil {
		return next, 0, fmt.Errorf("read bounds of %s/%d: %w", topic, partition, err)
	}
	from := max(next, first)
	if from >= end {
		return max(next, end), first, nil
	}
	err = a.Log.Read(ctx, topic, partition, from, end, func(records []pipeline.Record) error {
		for _, r := range records {
			visit(r)
		}
		return nil
	})
	if err != nil {
		return next, first, fmt.Errorf("read %s/%d: %w", topic, partition, err)
	}
	return end, first, nil
}

// search counts a record, looks in it for what must be nowhere, and reads it.
func (a *auditor) search(r pipeline.Record) (pipeline.In, error) {
	a.report.Records++
	in, err := pipeline.Decode(r)
	for _, what := range secrets(r, in.Body, a.Canaries) {
		a.violate(Violation{"I-14", r.Partition, place(r), what})
	}
	return in, err
}

func place(r pipeline.Record) string { return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset) }
