package book

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/fold"
)

// Rebuilder writes the state of shards into Redis from their journals, without owning them.
//
// What it writes is what the journal says at an entry's end, under the epoch of the latest takeover: an owner finds its
// shard there, and applies what follows; so nothing is lost and nothing is decided twice, whoever works meanwhile. An
// owner that finds a shard half written begins it anew, and the rebuilder stops.
type Rebuilder struct {
	Book  Book
	Store *Store
	Log   pipeline.Log
	Force bool // also a shard that is not empty
	// Progress is told of so many records and rows. It may be nil.
	Progress func(n int)
}

// Rebuilt is what became of a shard.
type Rebuilt struct {
	To      int64 // the command up to which the state goes
	Entries int64 // answers that were folded
	Rows    int64
	Kept    bool // an earlier rebuild had written it
}

// NotEmptyError says that Redis has a shard already.
type NotEmptyError struct {
	Book  string
	Shard int
	At    int64
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("Redis has a state of %s/%d, up to command %d", e.Book, e.Shard, e.At)
}

// rebuiltPrefix begins the generation's name of a state that a rebuilder wrote.
const rebuiltPrefix = "rebuilt."

// Look says whether a shard may be written: nil if it may, a *NotEmptyError if that takes force. Kept is a state that
// an earlier rebuild wrote, and that may stay.
func (r *Rebuilder) Look(ctx context.Context, shard int) (kept bool, err error) {
	p, err := r.Store.Place(ctx, shard)
	if wrong := (*HeaderError)(nil); errors.As(err, &wrong) {
		return false, r.notEmpty(shard, p)
	}
	switch {
	case err != nil:
		return false, err
	case !p.Found || p.At == 0 || r.Force: // nothing is there yet, or nothing whole
		return false, nil
	case strings.HasPrefix(p.Generation, rebuiltPrefix):
		return true, nil
	}
	return false, r.notEmpty(shard, p)
}

func (r *Rebuilder) notEmpty(shard int, p Place) error {
	if r.Force {
		return nil
	}
	return &NotEmptyError{Book: r.Book.Name(), Shard: shard, At: p.At}
}

// Shard writes a shard's state as it is at a command offset at most, and as far as the journal goes up to an offset of
// its own; 0 of that is its end.
func (r *Rebuilder) Shard(ctx context.Context, shard int, to, until int64) (done Rebuilt, err error) {
	kept, err := r.Look(ctx, shard)
	if err != nil {
		return done, err
	}
	f := fold.New(r.Log, r.Book.Journal(), shard)
	f.Until, f.Read = until, r.Progress
	if err := f.To(ctx, to); err != nil {
		if broken := (*fold.BrokenError)(nil); errors.As(err, &broken) {
			return done, &LogError{Problem: broken.Problem}
		}
		return done, err
	}
	at := f.Position()
	done = Rebuilt{To: at.To, Entries: f.Items()}
	for _, table := range r.Store.Stored() {
		done.Rows += int64(f.Len(table))
	}
	if f.Epoch() < 0 {
		return done, nil // nobody has ever taken it over: there is nothing
	}
	p, err := r.Store.Place(ctx, shard)
	if wrong := (*HeaderError)(nil); err != nil && !errors.As(err, &wrong) {
		return done, err
	}
	onward := to == fold.ToTheEnd && until == 0 && p.At > at.To // an owner has taken it on
	if kept && (p.At == at.To && p.Digest == at.Digest || onward) {
		done.Kept = true
		return done, nil
	}
	return done, r.write(ctx, shard, max(f.Epoch(), p.Epoch), f, at)
}

// write makes the folded state the shard's.
func (r *Rebuilder) write(ctx context.Context, shard int, epoch int64, f *fold.Fold, at pipeline.Position) error {
	_, end, err := r.Log.Bounds(ctx, r.Book.Journal(), shard)
	if err != nil {
		return err
	}
	if epoch >= end { // rule 16
		return &LogError{Problem: fmt.Sprintf("Redis knows the epoch %d, but %s/%d ends at %d", epoch, r.Book.Journal(),
			shard, end)}
	}
	header, err := r.Store.Enter(ctx, shard, epoch, f.History())
	if err != nil {
		return r.overtaken(err)
	}
	p := place{shard: shard, epoch: epoch, generation: header.Generation, seed: seedOf(f.History())}
	next := fmt.Sprintf("%s%d.%s", rebuiltPrefix, p.epoch, rand.Text())
	if err := r.Store.Reset(ctx, p, next); err != nil {
		return r.overtaken(err)
	}
	p.generation, p.spread = next, spread{depth: r.Store.depth}
	_, err = r.Store.load(ctx, p, f, at)
	return r.overtaken(err)
}

// overtaken says what it means that the shard is not as it was left.
func (r *Rebuilder) overtaken(err error) error {
	if errors.Is(err, errMismatch) || errors.Is(err, errFenced) {
		return fmt.Errorf("its owner, or another rebuild, has begun to write it: %w", err)
	}
	return err
}
