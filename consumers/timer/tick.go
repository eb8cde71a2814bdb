package timer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	// stepsMax is how many ticks bring a shard up to date at once that was left alone for long.
	stepsMax = 1000
	// ticksAtOnce is how many ticks are written at once.
	ticksAtOnce = 500
)

// again is when a round is tried again that failed.
const again = 5 * time.Second

// tick lets time pass in the shards that the timer has, until ctx ends.
func (t *Timer) tick(ctx context.Context) error {
	failing := false
	for {
		wait, err := t.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it should stop
		case err != nil:
			if !failing {
				t.config.Logger.WarnContext(ctx, "no time passes in the log: it is tried again", "error", err)
			}
			wait = min(again, t.config.Every)
		case failing:
			t.config.Logger.InfoContext(ctx, "time passes in the log again")
		}
		failing = err != nil
		if !t.sleep(ctx, wait) {
			return nil
		}
	}
}

// sleep waits, for no longer than until a shard is taken over. It says no when it is time to stop.
func (t *Timer) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-t.wake:
	}
	return true
}

// round writes the ticks that are due, and returns how long it is until the next ones are.
func (t *Timer) round(ctx context.Context) (wait time.Duration, err error) {
	now, err := t.config.Clock.Now(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the clock: %w", err)
	}
	slot := now.Truncate(t.config.Every)
	wait = slot.Add(t.config.Every).Sub(now)
	var ticks []pipeline.Record
	var ticked []int
	for number, since := range t.behind(slot, now) {
		some, err := t.ticks(ctx, number, slot, since.Before(slot))
		if err != nil {
			return 0, err
		}
		if len(some) == 0 {
			wait = min(wait, again)
			continue
		}
		ticks, ticked = append(ticks, some...), append(ticked, number)
	}
	for some := range slices.Chunk(ticks, ticksAtOnce) {
		if err := t.config.Publisher.Publish(ctx, some); err != nil {
			return 0, fmt.Errorf("publish ticks: %w", err)
		}
	}
	t.ticked(ticked, slot)
	return wait, nil
}

// behind are the shards that the timer has now and has written nothing for since the slot, and since when it has them.
func (t *Timer) behind(slot, now time.Time) map[int]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	behind := map[int]time.Time{}
	for number, s := range t.shards {
		if s.since.IsZero() {
			s.since = now
		}
		if s.ticked.Before(slot) {
			behind[number] = s.since
		}
	}
	return behind
}

func (t *Timer) ticked(numbers []int, slot time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, number := range numbers {
		if s := t.shards[number]; s != nil {
			s.ticked = slot
		}
	}
}

// ticks are those of both books of a shard. One that the timer has had since before the slot gets them anyhow; one
// that it has just taken over was somebody else's to serve, unless it was left alone: it gets none but to bring it up
// to date, and what its log time is may be known in a while only, when the books are back.
func (t *Timer) ticks(ctx context.Context, number int, slot time.Time, own bool) (ticks []pipeline.Record, err error) {
	for _, book := range []string{BookAccounts, BookPreIssues} {
		at, err := t.config.Clock.LogTime(ctx, book, number)
		if err != nil {
			return nil, fmt.Errorf("read log time of %s/%d: %w", book, number, err)
		}
		t.differs(ctx, book, number, at)
		if left := !at.Now.IsZero() && slot.Sub(at.Now) > t.config.Every; !left && !own {
			continue
		}
		more, err := ticksOf(book, number, at, slot, t.config.Remember)
		if err != nil {
			return nil, err
		}
		ticks = append(ticks, more...)
	}
	return ticks, nil
}

// differs says that a shard remembers for another time than it should.
func (t *Timer) differs(ctx context.Context, book string, number int, at LogTime) {
	if at.Remember != 0 && at.Remember != t.config.Remember {
		t.config.Logger.DebugContext(ctx, "the shard's first tick said for how long identifiers are remembered",
			"book", book, "shard", number, "remembered", at.Remember, "set", t.config.Remember)
	}
}

// ticksOf are the ticks that bring a shard's log time to the slot: one, or as many as it takes where it was left alone
// for longer than a tick may move it.
func ticksOf(book string, number int, at LogTime, slot time.Time, remember time.Duration) ([]pipeline.Record, error) {
	var times []time.Time
	if at.Now.IsZero() {
		times = []time.Time{slot}
	} else {
		remember = at.Remember
		for next := at.Now; next.Before(slot) && len(times) < stepsMax; {
			if next = next.Add(remember); next.After(slot) {
				next = slot
			}
			times = append(times, next)
		}
	}
	ticks := make([]pipeline.Record, 0, len(times))
	for _, at := range times {
		tick, err := tickOf(book, number, at, remember)
		if err != nil {
			return nil, err
		}
		ticks = append(ticks, tick)
	}
	return ticks, nil
}

// tickOf is the tick of a shard at a time: the same, whoever writes it.
func tickOf(book string, number int, at time.Time, remember time.Duration) (pipeline.Record, error) {
	tick := &schemas.Tick{Retention: durationpb.New(remember)}
	topic, body := schemas.TopicMovements, proto.Message(
		&schemas.Movement{Verb: &schemas.Movement_Tick{Tick: tick}})
	if book == BookPreIssues {
		topic, body = schemas.TopicIssuanceRequests,
			&schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Tick{Tick: tick}}
	}
	record, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{
			ID:     schemas.DeriveID("tick", book, strconv.Itoa(number), strconv.FormatInt(at.UnixMilli(), 10)),
			Source: source, Time: at.UTC(),
		},
		Body: body,
	})
	record.Partition, record.Key = number, nil
	return record, err
}
