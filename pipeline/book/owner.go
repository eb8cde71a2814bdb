package book

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/fold"
	"github.com/aval-systems/aval/schemas"
)

// LogError says that the log itself is wrong: shorter, or another, than what is known of it (rule 16). The shard
// stops and nothing of it is reset: what Redis holds may be all that is left.
type LogError struct{ Problem string }

func (e *LogError) Error() string {
	return e.Problem + "; the shard stops: restore the log that this namespace wrote, or, if it is lost on purpose, " +
		"begin a new namespace"
}

// owner holds one shard.
type owner struct {
	place
	appender pipeline.Appender
	since    time.Time
	end      int64 // the journal offset after this owner's last acknowledged record
	lost     bool  // somebody else took over, or what was appended is not known
	stale    bool  // the state must be recovered before the next decision

	// readBack is a position of the journal that was read, not merely acknowledged: where the next takeover
	// may begin to read (rule 4).
	readBack pipeline.Position
}

// takeover makes this process the shard's owner: from its record on, the broker refuses the former one's
// batches, and every reader skips them (rule 2).
func (r *Runner) takeover(ctx context.Context, shard int) (*owner, error) {
	id := fmt.Sprintf("%s-%d", r.Book.Name(), shard)
	appender, err := r.Log.Claim(ctx, id, r.Book.Journal(), shard)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("name the history: %w", err)
	}
	history := hex.EncodeToString(random[:])
	now := r.Now()
	record, err := pipeline.Encode(r.Book.Journal(), schemas.Message{
		Attributes: schemas.Attributes{ID: history, Source: r.source(), Time: now},
		Body: &schemas.Takeover{
			History: history, Partitions: int32(r.Partitions), Owner: r.Owner, //nolint:gosec // few
		},
	})
	if err != nil {
		return nil, err
	}
	record.Headers = append(record.Headers, pipeline.Header{Key: pipeline.TakeoverHeader, Value: []byte(history)})
	epoch, err := appender.Append(ctx, []pipeline.Record{record})
	if err != nil {
		return nil, fmt.Errorf("write takeover: %w", err)
	}
	r.count(pipeline.EventTakeover)
	return &owner{
		place:    place{shard: shard, epoch: epoch},
		appender: appender, since: now, end: epoch + 1, stale: true,
	}, nil
}

// recover brings the shard's state to the journal's end, whatever it was (rules 4 to 8), and leaves the owner
// there. It decides nothing.
func (r *Runner) recover(ctx context.Context, o *owner, hint pipeline.Position) error {
	at, _, err := r.Store.at(ctx, o.shard)
	if err != nil {
		return err
	}
	start := pipeline.Position{}
	if hint.Next > 0 && hint.Next <= o.epoch && at >= hint.To {
		start = hint
	}
	chain, err := r.scan(ctx, o, start)
	if err != nil {
		return err
	}
	tail := chain[len(chain)-1]
	if err := r.checkLog(ctx, o, tail); err != nil {
		return err
	}
	header, err := r.Store.Enter(ctx, o.shard, o.epoch, tail.History)
	if err != nil {
		return r.fencedOrLog(ctx, o, err)
	}
	o.generation, o.seed, o.spread = header.Generation, seedOf(tail.History), header.spread
	o.at, o.digest = header.At, header.Digest
	if err := r.align(ctx, o, header, chain); err != nil {
		return err
	}
	return r.remark(ctx, o, header, tail)
}

// align brings the state from where its header says it stands to the journal's end (rule 6).
func (r *Runner) align(ctx context.Context, o *owner, header Header, chain []pipeline.Position) error {
	start, tail := chain[0], chain[len(chain)-1]
	for _, p := range chain {
		if p.To == header.At && p.Digest == header.Digest {
			if p.To == 0 && tail.To > 0 {
				return r.rebuild(ctx, o, tail)
			}
			return r.apply(ctx, o, p, tail)
		}
	}
	if header.LastFrom == tail.To && header.LastDigest == tail.Digest {
		r.Logger.InfoContext(ctx, "redis is one unpublished batch ahead", "book", r.Book.Name(), "shard", o.shard)
		r.settle(o, tail)
		return nil
	}
	if start.Next > 0 && header.At < start.To { // it went back after it was looked at
		return r.recover(ctx, o, pipeline.Position{})
	}
	r.Logger.WarnContext(ctx, "redis contradicts the journal; the shard is rebuilt", "book", r.Book.Name(),
		"shard", o.shard, "redis_at", header.At, "journal_at", tail.To)
	return r.rebuild(ctx, o, tail)
}

// foldsMax bounds how many shards a process has in its memory at a time, to write their states anew.
const foldsMax = 4

// rebuild begins the state anew: it is folded from the journal in memory, and written once.
func (r *Runner) rebuild(ctx context.Context, o *owner, tail pipeline.Position) error {
	leave, err := r.enterFold(ctx)
	if err != nil {
		return err
	}
	defer leave()
	began := time.Now()
	f := fold.New(r.Log, r.Book.Journal(), o.shard)
	if err := f.To(ctx, tail.To); err != nil {
		if broken := (*fold.BrokenError)(nil); errors.As(err, &broken) {
			return &LogError{Problem: broken.Problem}
		}
		return fmt.Errorf("rebuild: %w", err)
	}
	if at := f.Position(); at.To != tail.To || at.Digest != tail.Digest {
		return &LogError{Problem: fmt.Sprintf("%s was read to command %d, and now goes to %d", f, tail.To, at.To)}
	}
	next := fmt.Sprintf("%d.%d", o.epoch, r.Now().UnixNano())
	if err := r.Store.Reset(ctx, o.place, next); err != nil {
		return err
	}
	r.count(pipeline.EventRebuilt)
	r.count(pipeline.EventRecovered)
	o.generation, o.spread, o.at, o.digest = next, spread{depth: r.Store.depth}, 0, ""
	if o.spread, err = r.Store.load(ctx, o.place, f, tail); err != nil {
		return err
	}
	r.Logger.InfoContext(ctx, "rebuilt", "book", r.Book.Name(), "shard", o.shard, "to", tail.To,
		"entries", f.Items(), "took", time.Since(began))
	r.settle(o, tail)
	return nil
}

// enterFold waits until there is memory for one more shard.
func (r *Runner) enterFold(ctx context.Context) (leave func(), err error) {
	r.mu.Lock()
	if r.folds == nil {
		r.folds = make(chan struct{}, foldsMax)
	}
	folds := r.folds
	r.mu.Unlock()
	select {
	case folds <- struct{}{}:
		return func() { <-folds }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// scan reads the journal from start up to the owner's own last record and returns the positions at the entries'
// ends, start first: the chain.
func (r *Runner) scan(ctx context.Context, o *owner, start pipeline.Position) ([]pipeline.Position, error) {
	journal := pipeline.Journal{Position: start}
	chain := []pipeline.Position{start}
	err := r.Log.Read(ctx, r.Book.Journal(), o.shard, start.Next, o.end, func(records []pipeline.Record) error {
		for _, record := range records {
			if err := r.checkTakeover(record); err != nil {
				return err
			}
			if entries := journal.Read([]pipeline.Record{record}); len(entries) > 0 {
				chain = append(chain, journal.Position)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if journal.Epoch < o.epoch {
		return nil, &LogError{Problem: fmt.Sprintf("the takeover at offset %d of %s/%d was acknowledged and is gone",
			o.epoch, r.Book.Journal(), o.shard)}
	}
	for i := range chain { // the first takeover may have been read after the first position
		chain[i].History = journal.History
	}
	chain[len(chain)-1].Next, chain[len(chain)-1].Epoch = journal.Next, journal.Epoch
	return chain, nil
}

// checkTakeover compares what a takeover record says of the namespace with what this process knows.
func (r *Runner) checkTakeover(record pipeline.Record) error {
	for _, h := range record.Headers {
		if h.Key != pipeline.TakeoverHeader {
			continue
		}
		in, err := pipeline.Decode(record)
		if err != nil {
			return &LogError{Problem: fmt.Sprintf("the takeover at offset %d of %s/%d cannot be read: %v",
				record.Offset, record.Topic, record.Partition, err)}
		}
		if t, ok := in.Body.(*schemas.Takeover); !ok || int(t.GetPartitions()) != r.Partitions {
			return &LogError{Problem: fmt.Sprintf("the namespace has %d partitions for ever, this process sees %d",
				t.GetPartitions(), r.Partitions)}
		}
	}
	return nil
}

// checkLog refuses a command topic that does not hold what the journal goes on with (rule 16).
func (r *Runner) checkLog(ctx context.Context, o *owner, tail pipeline.Position) error {
	first, end, err := r.Log.Bounds(ctx, r.Book.Commands(), o.shard)
	if err != nil {
		return fmt.Errorf("read bounds: %w", err)
	}
	if tail.To < first || tail.To > end {
		return &LogError{Problem: fmt.Sprintf("the journal goes on at offset %d of %s/%d, which keeps %d to %d",
			tail.To, r.Book.Commands(), o.shard, first, end)}
	}
	return nil
}

// fencedOrLog tells a later owner, who has written to the journal, from a journal that lost what Redis has seen.
func (r *Runner) fencedOrLog(ctx context.Context, o *owner, err error) error {
	if !errors.Is(err, errFenced) {
		return err
	}
	_, epoch, atErr := r.Store.at(ctx, o.shard)
	if atErr != nil {
		return atErr
	}
	_, end, boundsErr := r.Log.Bounds(ctx, r.Book.Journal(), o.shard)
	if boundsErr != nil {
		return boundsErr
	}
	if epoch >= end {
		return &LogError{Problem: fmt.Sprintf("Redis knows the epoch %d, but %s/%d ends at %d", epoch, r.Book.Journal(),
			o.shard, end)}
	}
	o.lost = true
	return err
}

// apply writes the entries between two positions of the journal into the state: recorded decisions, whole entries.
func (r *Runner) apply(ctx context.Context, o *owner, from, tail pipeline.Position) error {
	o.at, o.digest = from.To, from.Digest
	if from.To == tail.To {
		r.settle(o, tail)
		return nil
	}
	journal := pipeline.Journal{Position: from}
	visit := func(records []pipeline.Record) error {
		for _, e := range journal.Read(records) {
			changes, err := changesOf(e, o.digest)
			if err != nil {
				return &LogError{Problem: err.Error()}
			}
			if o.spread, err = r.Store.apply(ctx, o.place, e.To, e.Digest, changes); err != nil {
				return err
			}
			o.at, o.digest = e.To, e.Digest
			if o.spread, err = r.Store.split(ctx, o.place, len(changes)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := r.Log.Read(ctx, r.Book.Journal(), o.shard, from.Next, tail.Next, visit); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	r.Logger.InfoContext(ctx, "recovered", "book", r.Book.Name(), "shard", o.shard,
		"from", from.To, "to", tail.To)
	r.count(pipeline.EventRecovered)
	r.settle(o, tail)
	return nil
}

// settle leaves the owner at the journal's end, ready to decide.
func (*Runner) settle(o *owner, tail pipeline.Position) {
	o.at, o.digest, o.readBack, o.stale = tail.To, tail.Digest, tail, false
}

// changesOf returns an entry's changes, in order, if they are those that its digest names.
func changesOf(e pipeline.Entry, before string) ([]*schemas.Change, error) {
	items, err := e.Items()
	if err != nil {
		return nil, err
	}
	var changes []*schemas.Change
	decisions := make([]*schemas.Decision, len(items))
	for i, in := range items {
		item, _ := in.Body.(pipeline.Item)
		decisions[i] = item.GetDecision()
		changes = append(changes, decisions[i].GetChanges()...)
	}
	if d := pipeline.HistoryDigest(before, e.From, e.To, pipeline.Answer(decisions)); d != e.Digest {
		return nil, fmt.Errorf("the entry at %s/%d/%d has the digest %s, its items make %s", e.Records[0].Topic,
			e.Records[0].Partition, e.Offset, e.Digest, d)
	}
	return changes, nil
}
