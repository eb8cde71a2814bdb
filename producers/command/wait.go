package command

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// wait is a Send that waits for its answers.
type wait struct {
	client  Client
	answers []Answer
	shards  map[shard]*reading
}

// shard is a book's.
type shard struct {
	route

	partition int
}

// reading is how far the journal of a shard is read, and for what.
type reading struct {
	journal pipeline.Journal
	from    int64                // the command topic's end before the commands were sent: theirs lie behind it
	open    map[string][]pending // commands without an answer, by their ids
}

// pending is a command without an answer.
type pending struct {
	index int
	Command
}

// add makes the command's record, and has its answer waited for.
func (w *wait) add(index int, c Command) (pipeline.Record, error) {
	route, err := routeOf(c.Body)
	if err != nil {
		return pipeline.Record{}, fmt.Errorf("command %s: %w", c.ID, err)
	}
	record, err := pipeline.Encode(route.commands, schemas.Message{
		Attributes: schemas.Attributes{ID: c.ID, Source: source, Time: c.Time, Trace: c.Trace.Follow(c.ID)},
		Body:       c.Body,
	})
	if err != nil {
		return pipeline.Record{}, err
	}
	record.Partition = schemas.PartitionOf(record.Key, w.client.Partitions)
	at := shard{route, record.Partition}
	if w.shards[at] == nil {
		w.shards[at] = &reading{open: map[string][]pending{}}
	}
	w.shards[at].open[c.ID] = append(w.shards[at].open[c.ID], pending{index, c})
	return record, nil
}

// prepare finds where to begin to read, before anything is sent: what is committed then lies before the answers.
func (w *wait) prepare(ctx context.Context) error {
	positions := map[route]map[int]pipeline.Position{}
	for at, r := range w.shards {
		known, ok := positions[at.route]
		if !ok {
			var err error
			if known, err = Positions(ctx, w.client.Marks, at.journal); err != nil {
				return err
			}
			positions[at.route] = known
		}
		var err error
		if _, r.from, err = w.client.Log.Bounds(ctx, at.commands, at.partition); err != nil {
			return err
		}
		r.journal.Position = known[at.partition]
	}
	return nil
}

// Positions are the most advanced ones, by partition, that readers of a book's journal have committed: whoever wants
// to know what comes need not read it from its beginning. A book's owner commits, with the commands, a position of the
// journal that it has read back: it stands alone where no stage follows.
func Positions(ctx context.Context, marks Marks, journal string) (map[int]pipeline.Position, error) {
	topic, _ := schemas.TopicOf(journal)
	type source struct{ group, topic string }
	var sources []source
	for _, reader := range topic.Readers {
		sources = append(sources, source{pipeline.GroupOf(reader, journal), journal})
	}
	for _, t := range schemas.Topics() {
		if t.Kind == schemas.KindCommand && t.Owner == topic.Owner {
			sources = append(sources, source{t.Owner, t.Name})
		}
	}
	best := map[int]pipeline.Position{}
	for _, s := range sources {
		committed, err := marks.Committed(ctx, s.group, s.topic)
		if err != nil {
			return nil, err
		}
		for p, mark := range committed {
			found, ok := pipeline.ParsePosition(mark.Metadata)
			if ok && mark.Offset >= 0 && found.Next > best[p].Next {
				best[p] = found
			}
		}
	}
	return best, nil
}

// until reads the journals until every command has its answer.
func (w *wait) until(ctx context.Context) error {
	for pause := pauseMin; ; pause = min(pause*3/2, pauseMax) {
		for at, r := range w.shards {
			if err := w.read(ctx, at, r); err != nil {
				return err
			}
			if len(r.open) == 0 {
				delete(w.shards, at)
			}
		}
		if len(w.shards) == 0 {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// read takes what the journal has now.
func (w *wait) read(ctx context.Context, at shard, r *reading) error {
	_, end, err := w.client.Log.Bounds(ctx, at.journal, at.partition)
	if err != nil || end <= r.journal.Next {
		return err
	}
	return w.client.Log.Read(ctx, at.journal, at.partition, r.journal.Next, end, func(records []pipeline.Record) error {
		for _, entry := range r.journal.Read(records) {
			if entry.To <= r.from {
				continue
			}
			items, err := entry.Items()
			if err != nil {
				return err
			}
			for _, in := range items {
				w.take(r, in)
			}
		}
		return nil
	})
}

// take gives the item to the command that it answers. The same identifier may have been sent before, and may be sent
// by others meanwhile: it is ours where it says what we said, when we said it.
func (w *wait) take(r *reading, in pipeline.In) {
	id, body, decision := said(in.Body)
	if decision.GetOffset() < r.from {
		return
	}
	for i, p := range r.open[id] {
		if !p.Time.Equal(in.Time) || !proto.Equal(p.Body, body) {
			continue
		}
		w.answers[p.index] = Answer{
			ID: id, Partition: in.Partition, Offset: in.Offset, Item: in.Body, Decision: decision,
		}
		if r.open[id] = append(r.open[id][:i], r.open[id][i+1:]...); len(r.open[id]) == 0 {
			delete(r.open, id)
		}
		return
	}
}

// said takes a journal's item apart.
func said(item proto.Message) (id string, body proto.Message, d *schemas.Decision) {
	switch item := item.(type) {
	case *schemas.Entry:
		return item.GetId(), item.GetMovement(), item.GetDecision()
	case *schemas.PreIssue:
		return item.GetId(), item.GetRequest(), item.GetDecision()
	}
	return "", nil, nil
}

// ended says what has no answer, if it is the context that ended; any other error stays what it is.
func (w *wait) ended(ctx context.Context, err error, how progress) error {
	if ctx.Err() == nil {
		return err
	}
	e := &UnansweredError{Sent: how == sent, Cause: context.Cause(ctx)}
	for i := range w.answers {
		if w.answers[i].Decision == nil {
			e.IDs = append(e.IDs, w.answers[i].ID)
		}
	}
	if len(e.IDs) == 0 {
		return err
	}
	for at, r := range w.shards {
		if _, first := r.open[e.IDs[0]]; first || e.Topic == "" {
			topic, _ := schemas.TopicOf(at.commands)
			e.Topic, e.Stage = topic.Name, topic.Owner
		}
	}
	return e
}
