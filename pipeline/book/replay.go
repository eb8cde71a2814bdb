package book

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/schemas"
)

// Replay decides recorded commands again, by the book's own script in a store of its own, and compares the answers
// with the journal. The journal's entries say where a batch began and ended, since its digests depend on that.
//
// It holds one entry at a time, and what was read of the commands in one go.
type Replay struct {
	Book       Book
	Store      *Store // of a Redis, or a namespace, that holds nothing
	Log        replay.Log
	Partitions int
	Report     func(replay.Difference) error
	Progress   func(records int)
}

// replayHistory and replayEpoch are what a replay's store knows itself by.
const (
	replayHistory = "replay"
	replayEpoch   = 0
)

// applyChanges is about how many recorded changes are written at a time.
const applyChanges = 2000

// ReplayRange is what is compared of a shard: the commands [From, To).
type ReplayRange struct {
	From, To int64
	Done     int64 // up to which command the stage says that it is done
}

// Shard replays the commands of a shard, as far as the journal answers them, and returns how many commands and answers
// were compared. What lies before is taken from the journal as it stands there: an entry that begins before the range
// is not compared, nor one that ends after it.
func (x *Replay) Shard(ctx context.Context, shard int, r ReplayRange) (inputs, follows int64, err error) {
	s := &replayShard{Replay: x, ReplayRange: r, shard: shard}
	s.runner = &Runner{Book: x.Book, Store: x.Store, Partitions: x.Partitions}
	first, end, err := x.Log.Bounds(ctx, x.Book.Journal(), shard)
	if err != nil {
		return 0, 0, err
	}
	if first > 0 {
		return 0, 0, fmt.Errorf("%s/%d begins at offset %d, and is kept for ever: restore what was before",
			x.Book.Journal(), shard, first)
	}
	header, err := x.Store.Enter(ctx, shard, replayEpoch, replayHistory)
	if err != nil {
		return 0, 0, err
	}
	s.at = place{
		shard: shard, epoch: replayEpoch, generation: header.Generation, seed: seedOf(replayHistory),
		spread: header.spread,
	}
	next, stop := iter.Pull2(s.commands(ctx))
	defer stop()
	s.next = next
	err = x.Log.Read(ctx, x.Book.Journal(), shard, 0, end, func(records []pipeline.Record) error {
		x.Progress(len(records))
		for _, e := range s.journal.Read(records) {
			if err := s.entry(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errReplayed) {
		return s.inputs, s.follows, nil
	}
	if err == nil {
		err = s.tail()
	}
	return s.inputs, s.follows, err
}

// errReplayed ends a replay at the end of its range.
var errReplayed = errors.New("the range was replayed")

// replayShard is the replay of one shard.
type replayShard struct {
	*Replay
	ReplayRange

	runner  *Runner
	shard   int
	journal pipeline.Journal

	at      place             // where the store stands
	digest  string            // of the journal's entry before
	changes []*schemas.Change // of entries before the range, that are not written yet
	skipped int64             // the command up to which they answer

	next    func() ([]pipeline.Record, error, bool)
	pending []pipeline.Record // commands that were read and not decided

	inputs, follows int64
}

// commands are those from the first entry on that is compared.
func (s *replayShard) commands(ctx context.Context) iter.Seq2[[]pipeline.Record, error] {
	return func(yield func([]pipeline.Record, error) bool) {
		_, end, err := s.Log.Bounds(ctx, s.Book.Commands(), s.shard)
		if err == nil {
			err = s.Log.Read(ctx, s.Book.Commands(), s.shard, s.at.at, end, func(records []pipeline.Record) error {
				s.Progress(len(records))
				if !yield(records, nil) {
					return errReplayed
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errReplayed) {
			yield(nil, err)
		}
	}
}

func (s *replayShard) entry(ctx context.Context, e pipeline.Entry) error {
	if e.From < s.From {
		return s.skip(ctx, e)
	}
	if e.To > s.To {
		return errors.Join(s.flush(ctx), errReplayed)
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return s.decide(ctx, e)
}

// skip takes an entry before the range as it stands.
func (s *replayShard) skip(ctx context.Context, e pipeline.Entry) error {
	changes, err := changesOf(e, s.digest)
	if err != nil {
		return err
	}
	s.changes = append(s.changes, changes...)
	s.digest, s.skipped = e.Digest, e.To
	if len(s.changes) < applyChanges {
		return nil
	}
	return s.flush(ctx)
}

// flush writes the entries that were skipped.
func (s *replayShard) flush(ctx context.Context) error {
	if s.skipped <= s.at.at {
		return nil
	}
	now, err := s.Store.apply(ctx, s.at, s.skipped, s.digest, s.changes)
	if err != nil {
		return err
	}
	s.at.at, s.at.digest, s.at.spread = s.skipped, s.digest, now
	s.at.spread, err = s.Store.split(ctx, s.at, len(s.changes))
	s.changes = s.changes[:0]
	return err
}

// decide decides an entry's commands again, and compares.
func (s *replayShard) decide(ctx context.Context, e pipeline.Entry) error {
	commands, err := s.take(e)
	if err != nil {
		return err
	}
	s.inputs += int64(len(commands))
	if len(commands) == 0 {
		return s.report(e.Records[0], "answers commands that the command topic does not hold")
	}
	plans, fields := s.runner.plan(commands)
	answer, err := s.Store.Decide(ctx, s.at, e.To, fields)
	if err != nil {
		return err
	}
	made, err := s.runner.record(&owner{place: place{shard: s.shard, epoch: e.Epoch, at: e.From}}, plans, answer)
	if err != nil {
		return err
	}
	before := s.digest
	s.at.at, s.at.digest, s.at.spread, s.digest = answer.To, answer.Digest, answer.spread, e.Digest
	if s.at.spread, err = s.Store.split(ctx, s.at, len(commands)); err != nil {
		return err
	}
	if len(made) != len(e.Records) {
		return s.report(e.Records[0], fmt.Sprintf("has %d items, and the command topic holds %d commands from %d to %d",
			len(e.Records), len(made), e.From, e.To))
	}
	s.follows += int64(len(made))
	// A history that differed once differs in all digests after it: that is told once.
	if e.Digest != answer.Digest && e.Digest != pipeline.HistoryDigest(before, e.From, e.To, answer.Text) {
		what := fmt.Sprintf("header %s names digest %s, should name %s", pipeline.EntryHeader, e.Digest, answer.Digest)
		if err := s.report(e.Records[0], what); err != nil {
			return err
		}
	}
	return s.compare(made, e.Records)
}

// compare compares the items of an entry, all but the header of the entry itself.
func (s *replayShard) compare(made, stand []pipeline.Record) error {
	for i := range made {
		want, got := withoutEntry(made[i]), withoutEntry(stand[i])
		if equal(want, got) {
			continue
		}
		if err := s.report(stand[i], replay.Differ(want, got)); err != nil {
			return err
		}
	}
	return nil
}

func withoutEntry(r pipeline.Record) pipeline.Record {
	at := slices.IndexFunc(r.Headers, func(h pipeline.Header) bool { return h.Key == pipeline.EntryHeader })
	if at >= 0 {
		r.Headers = slices.Delete(slices.Clone(r.Headers), at, at+1)
	}
	return r
}

func equal(a, b pipeline.Record) bool {
	return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y pipeline.Header) bool {
			return x.Key == y.Key && bytes.Equal(x.Value, y.Value)
		})
}

// take returns the commands that an entry answers.
func (s *replayShard) take(e pipeline.Entry) (commands []pipeline.Record, err error) {
	for {
		for i, r := range s.pending {
			if r.Offset >= e.To {
				s.pending = s.pending[i:]
				return commands, nil
			}
			if r.Offset >= e.From {
				commands = append(commands, r)
			}
		}
		more, err, ok := s.next()
		if s.pending = more; !ok || err != nil {
			return commands, err
		}
	}
}

func (s *replayShard) report(r pipeline.Record, what string) error {
	cause := ""
	for _, h := range r.Headers {
		if h.Key == schemas.HeaderCause {
			cause = string(h.Value)
		}
	}
	return s.Report(replay.Difference{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Cause: cause, What: what,
	})
}

// tail reports commands of the range that the stage has done, and that the journal does not answer.
func (s *replayShard) tail() error {
	if s.Done <= s.journal.To || s.To <= s.journal.To {
		return nil
	}
	return s.Report(replay.Difference{
		Topic: s.Book.Journal(), Partition: s.shard, Offset: s.journal.Next, What: fmt.Sprintf(
			"the journal answers %s/%d up to %d, the stage is done up to %d: entries are missing, or do not count",
			s.Book.Commands(), s.shard, s.journal.To, min(s.Done, s.To)),
	})
}
