// Package timer lets time pass in the log: no stage and no book looks at a clock, they are told.
//
//	reads   pre-issues
//	effect  none
//	emits   movements (tick), issuance-requests (tick, lapse)
//
// A tick moves the log time of one shard of one book; a lapse says that nobody has answered a pre-issue in time. The
// one place where a clock is looked at is where ticks are written. Lapses follow from the log alone: what is open when
// a tick is decided whose time is at or after its accept-by lapses, at the tick's time.
//
// Several timers at once are harmless: what they write is named after the shard and the slot of time, or the
// invitation, and the book decides. So is one that writes again what it wrote before.
package timer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Name is the stage's.
const Name = "timer"

// source is who the commands are from.
const source = "/aval/" + Name

// Defaults and limits of a Config.
const (
	EveryDefault    = time.Minute
	RememberDefault = 7 * 24 * time.Hour
	// RememberMax is as long as commands stay in their topics: what may still be read there must not be stale.
	RememberMax = schemas.RetentionOthers
	// OpenMaxDefault is how many open pre-issues of a shard a timer keeps in mind, at some hundred bytes each.
	OpenMaxDefault = 1 << 18
)

// Names of the books, as a Clock is asked for them.
const (
	BookAccounts  = "accounts"
	BookPreIssues = "pre-issues"
)

// Clock knows what time it is.
type Clock interface {
	// Now is the time outside the log.
	Now(ctx context.Context) (time.Time, error)
	// LogTime is the log time of a book's shard, as a hint: who is told an older one writes ticks that are refused.
	LogTime(ctx context.Context, book string, shard int) (LogTime, error)
}

// LogTime is the log time of a shard, and for how long it remembers identifiers. Without a tick it has neither.
type LogTime struct {
	Now      time.Time
	Remember time.Duration
}

// Config is what a timer needs to know.
type Config struct {
	Publisher pipeline.Publisher
	Log       pipeline.Log
	Clock     Clock
	Every     time.Duration // a tick of each shard; zero: EveryDefault
	// Remember is how long identifiers are remembered at least. A shard whose first tick said otherwise keeps to that.
	// Zero: RememberDefault.
	Remember time.Duration
	OpenMax  int // zero: OpenMaxDefault
	Logger   *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Every = cmp.Or(c.Every, EveryDefault)
	c.Remember = cmp.Or(c.Remember, RememberDefault)
	c.OpenMax = cmp.Or(c.OpenMax, OpenMaxDefault)
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if c.Every < time.Millisecond {
		errs = append(errs, fmt.Errorf("a tick every %v, must be at least a millisecond apart", c.Every))
	}
	if c.Remember < c.Every || c.Remember > RememberMax {
		errs = append(errs, fmt.Errorf("identifiers remembered for %v, must be at least as long as from tick to tick "+
			"(%v) and at most as long as commands are kept (%v)", c.Remember, c.Every, RememberMax))
	}
	return errors.Join(errs...)
}

// Timer writes ticks and lapses for the shards whose partition of pre-issues it has been given.
type Timer struct {
	config Config
	wake   chan struct{} // a shard was taken over

	mu     sync.Mutex
	shards map[int]*shard
}

// New returns a timer.
func New(c Config) *Timer {
	return &Timer{config: c.withDefaults(), wake: make(chan struct{}, 1), shards: map[int]*shard{}}
}

// Works are what the timer does.
func (t *Timer) Works() []pipeline.Work {
	return []pipeline.Work{{
		Name: Name, Topic: schemas.TopicPreIssues,
		Config: pipeline.SubscriberConfig{
			Group: pipeline.GroupOf(Name, schemas.TopicPreIssues), Resume: t.resume, Revoked: t.revoked,
		},
		Handle: t.handle, Beside: t.tick,
	}}
}

// resume takes a shard over. What is open there is read from where the oldest of it was offered, up to the end: what
// was decided before this timer came does not lapse anew.
func (t *Timer) resume(ctx context.Context, topic string, partition int, committed pipeline.Mark) (int64, error) {
	s := newShard(topic, partition, t.config.OpenMax)
	if from, ok := pipeline.ParsePosition(committed.Metadata); ok && from.Next <= committed.Offset {
		s.journal.Position = from
	}
	_, end, err := t.config.Log.Bounds(ctx, topic, partition)
	if err != nil {
		return 0, fmt.Errorf("read bounds of %s/%d: %w", topic, partition, err)
	}
	if s.journal.Next > end { // the journal is another than what was committed is of
		s = newShard(topic, partition, t.config.OpenMax)
	}
	if err := s.readTo(ctx, t.config.Log, end); err != nil {
		return 0, err
	}
	t.mu.Lock()
	t.shards[partition] = s
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // it is awake
	}
	return s.journal.Next, nil
}

func (t *Timer) revoked(_ string, partition int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.shards, partition)
}

// handle folds a batch of the journal, and writes the lapses of what is due. What was folded is not folded again when
// the batch comes again.
func (t *Timer) handle(ctx context.Context, b *pipeline.Batch) error {
	t.mu.Lock()
	s := t.shards[b.Partition]
	t.mu.Unlock()
	if s == nil {
		return fmt.Errorf("%s/%d was given up", b.Topic, b.Partition)
	}
	s.fold(b.Records)
	if err := t.lapse(ctx, s); err != nil {
		return err
	}
	b.Commit(s.mark())
	return nil
}
