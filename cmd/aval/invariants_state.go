package main

import (
	"context"
	"fmt"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// shown is a log that shows how much was read of it.
type shown struct {
	audit.Log

	to demo.Progress
}

// Read implements audit.Log.
func (l *shown) Read(
	ctx context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	return l.Log.Read(ctx, topic, partition, from, end, func(records []pipeline.Record) error {
		l.to.Add(len(records))
		return visit(records)
	})
}

// journalStates are the books' states where there is no Redis: what the changes in their journals add up to.
type journalStates struct{ log audit.Log }

// State implements audit.State.
func (s journalStates) State(ctx context.Context, book string, shard int) (
	at int64, digest string, tables map[string]map[string]string, err error,
) {
	topic := map[string]string{
		audit.BookAccounts: schemas.TopicEntries, audit.BookPreIssues: schemas.TopicPreIssues,
	}[book]
	first, end, err := s.log.Bounds(ctx, topic, shard)
	if err != nil || first == end {
		return 0, "", nil, err
	}
	var journal pipeline.Journal
	tables = map[string]map[string]string{}
	err = s.log.Read(ctx, topic, shard, first, end, func(records []pipeline.Record) error {
		for _, e := range journal.Read(records) {
			items, err := e.Items()
			if err != nil {
				return err
			}
			for _, in := range items {
				if item, ok := in.Body.(pipeline.Item); ok {
					addUp(tables, item.GetDecision().GetChanges())
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, "", nil, fmt.Errorf("fold %s/%d: %w", topic, shard, err)
	}
	return journal.To, journal.Digest, tables, nil
}

// addUp does to the tables what changes say.
func addUp(tables map[string]map[string]string, changes []*schemas.Change) {
	for _, c := range changes {
		switch rows := tables[c.GetTable()]; {
		case c.GetField() == "":
			delete(tables, c.GetTable())
		case c.GetValue() == "":
			delete(rows, c.GetField())
		case rows == nil:
			tables[c.GetTable()] = map[string]string{c.GetField(): c.GetValue()}
		default:
			rows[c.GetField()] = c.GetValue()
		}
	}
}
