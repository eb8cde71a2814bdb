package timer_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/timer"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// clock is a clock that the test sets. When it is looked at for the first time, it is a minute earlier.
type clock struct {
	now     time.Time
	looked  *atomic.Bool
	logTime map[string]timer.LogTime // by book
	err     error
}

func (c clock) Now(context.Context) (time.Time, error) {
	if c.looked != nil && !c.looked.Swap(true) {
		return c.now.Truncate(time.Minute).Add(-time.Millisecond), c.err
	}
	return c.now, c.err
}

func (c clock) LogTime(_ context.Context, name string, _ int) (timer.LogTime, error) {
	return c.logTime[name], c.err
}

// round runs a timer that has taken over these shards, until it has written; it must not write more.
func round(t *testing.T, c clock, every time.Duration, shards ...int) []pipeline.Record {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.looked = &atomic.Bool{}
	heard := &heard{stop: cancel}
	work := timer.New(timer.Config{
		Publisher: heard, Log: emptyLog{}, Clock: c, Every: every, Remember: remember,
		Logger: slog.New(slog.DiscardHandler),
	}).Works()[0]
	for _, shard := range shards {
		if _, err := work.Config.Resume(ctx, schemas.TopicPreIssues, shard, pipeline.Mark{Offset: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := work.Beside(ctx); err != nil {
		t.Fatal(err)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	slices.SortStableFunc(heard.records, func(a, b pipeline.Record) int { return a.Partition - b.Partition })
	return heard.records
}

// heard keeps what is published, and stops the timer then.
type heard struct {
	mu      sync.Mutex
	records []pipeline.Record
	stop    func()
}

func (h *heard) Publish(_ context.Context, records []pipeline.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, records...)
	h.stop()
	return nil
}

type emptyLog struct{ pipeline.Log }

func (emptyLog) Bounds(context.Context, string, int) (first, end int64, err error) { return 0, 0, nil }

// Each shard of both books gets a tick at the slot of time, and two timers write the same one.
func TestTick(t *testing.T) {
	t.Parallel()
	now := noon.Add(37 * time.Second)
	ticks := round(t, clock{now: now}, time.Minute, 0, 1)
	got := map[string][]int{}
	for _, r := range ticks {
		in, err := pipeline.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		if !in.Time.Equal(noon) || len(r.Key) > 0 {
			t.Errorf("the tick of %s/%d is of %v, key %q, want noon and none", r.Topic, r.Partition, in.Time, r.Key)
		}
		got[r.Topic] = append(got[r.Topic], r.Partition)
	}
	want := map[string][]int{schemas.TopicMovements: {0, 1}, schemas.TopicIssuanceRequests: {0, 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ticks are written to %v, want %v", got, want)
	}
	if other := round(t, clock{now: now.Add(20 * time.Second)}, time.Minute, 1, 0); !reflect.DeepEqual(other, ticks) {
		t.Errorf("another timer writes\n%v\nwant\n%v", other, ticks)
	}
}

// Where log time stands at the slot already, nothing is written; a timer that waits stops when it should.
func TestTickOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	at := timer.LogTime{Now: noon, Remember: remember}
	published := &publisher{}
	work := timer.New(timer.Config{
		Publisher: published, Log: emptyLog{}, Logger: slog.New(slog.DiscardHandler), Every: time.Minute,
		Clock: clock{
			now:     noon.Add(59 * time.Second),
			logTime: map[string]timer.LogTime{timer.BookAccounts: at, timer.BookPreIssues: at},
		},
	}).Works()[0]
	if _, err := work.Config.Resume(ctx, schemas.TopicPreIssues, 0, pipeline.Mark{Offset: -1}); err != nil {
		t.Fatal(err)
	}
	if err := work.Beside(ctx); err != nil {
		t.Fatal(err)
	}
	if len(published.records) > 0 {
		t.Errorf("%d ticks are written of a slot that was", len(published.records))
	}
}

// A timer that cannot ask for the time, or cannot write, tries again, and ends when it should.
func TestTickFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]clock{"clock": {now: noon, err: errors.New("away")}, "log": {now: noon}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		work := timer.New(timer.Config{
			Publisher: &publisher{down: true}, Log: emptyLog{}, Logger: slog.New(slog.DiscardHandler), Clock: c,
			Every: time.Millisecond,
		}).Works()[0]
		if _, err := work.Config.Resume(ctx, schemas.TopicPreIssues, 0, pipeline.Mark{Offset: -1}); err != nil {
			t.Fatal(err)
		}
		if err := work.Beside(ctx); err != nil {
			t.Errorf("%s: the timer ends with %v", name, err)
		}
	}
}

// A shard that was left alone for long comes up to date, by ticks that its book takes, each of them; and it keeps to
// what its first tick said, whatever is set.
func TestTickAfterLong(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, address string) {
		t.Helper()
		for _, b := range []book.Book{ledger.Book{}, preissue.Book{}} {
			shard := booktest.New(t, b, address)
			kept := 90 * time.Minute
			at := map[string]timer.LogTime{
				timer.BookAccounts: {Now: noon, Remember: kept}, timer.BookPreIssues: {Now: noon, Remember: kept},
			}
			first := round(t, clock{now: noon, logTime: map[string]timer.LogTime{}}, time.Minute, 0)
			first = setRetention(t, first, kept)
			later := round(t, clock{now: noon.Add(100 * time.Hour), logTime: at}, time.Minute, 0)
			for _, r := range slices.Concat(first, later) {
				if r.Topic != b.Commands() {
					continue
				}
				in, err := pipeline.Decode(r)
				if err != nil {
					t.Fatal(err)
				}
				item, _ := shard.Decide(booktest.Command{
					Message: schemas.Message{Attributes: in.Attributes, Body: in.Body},
				})[0].Body.(pipeline.Item)
				if d := item.GetDecision(); d.GetOutcome() != schemas.Outcome_OUTCOME_DONE {
					t.Fatalf("%s answers the tick of %v with %v %v", b.Name(), in.Time, d.GetOutcome(), d.GetReason())
				}
			}
			want := book.Millis(noon.Add(100*time.Hour - time.Minute))
			if got := shard.Tables()["clock"]["time"]; got != want {
				t.Errorf("log time of %s is %s, want %s", b.Name(), got, want)
			}
		}
	})
}

// setRetention has ticks say another retention.
func setRetention(t *testing.T, records []pipeline.Record, kept time.Duration) []pipeline.Record {
	t.Helper()
	for i, r := range records {
		in, err := pipeline.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		switch body := in.Body.(type) {
		case *schemas.Movement:
			body.GetTick().Retention.Seconds = int64(kept / time.Second)
		case *schemas.IssuanceRequest:
			body.GetTick().Retention.Seconds = int64(kept / time.Second)
		}
		changed, err := pipeline.Encode(r.Topic, schemas.Message{Attributes: in.Attributes, Body: in.Body})
		if err != nil {
			t.Fatal(err)
		}
		records[i] = changed
	}
	return records
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config timer.Config
		want   bool
	}{
		"defaults":          {timer.Config{}, true},
		"the longest":       {timer.Config{Remember: timer.RememberMax}, true},
		"too long":          {timer.Config{Remember: timer.RememberMax + 1}, false},
		"shorter than tick": {timer.Config{Every: time.Hour, Remember: time.Minute}, false},
		"no time":           {timer.Config{Every: -1}, false},
	} {
		if err := c.config.Validate(); (err == nil) != c.want {
			t.Errorf("%s: Validate = %v", name, err)
		}
	}
}
