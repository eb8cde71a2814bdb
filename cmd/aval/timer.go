package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/timer"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
)

// timing says how time passes in the log.
type timing struct {
	every    time.Duration // zero: the timer's default
	remember time.Duration // zero: the timer's default
}

// timingFaults is what is wrong with how time passes in the log.
func (f *serverFlags) timingFaults() []error {
	c := timer.Config{Every: f.values.TickEvery, Remember: f.values.Remember}
	if err := c.Validate(); err != nil {
		return []error{fmt.Errorf("tick-every, remember: %w", err)}
	}
	return nil
}

// timer writes the ticks and the lapses of the shards.
func (s *system) timer() []pipeline.Work {
	return timer.New(timer.Config{
		Publisher: s.kafka, Log: s.kafka, Logger: s.logger, Every: s.place.timing.every,
		Remember: s.place.timing.remember,
		Clock: clock{
			redis: s.redis,
			books: map[string]*book.Store{
				timer.BookAccounts: s.store(ledger.Book{}), timer.BookPreIssues: s.store(preissue.Book{}),
			},
		},
	}).Works()
}

// clock is what time it is outside, and in the log.
type clock struct {
	redis redis.UniversalClient
	books map[string]*book.Store
}

// Now implements timer.Clock. It is the earlier one of this machine's time and of Redis': log time never goes back,
// and what lies too far behind it is refused, so that one clock that runs wild must not be believed.
func (c clock) Now(ctx context.Context) (time.Time, error) {
	other, err := c.redis.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ask Redis for the time: %w", err)
	}
	now := time.Now()
	if other.Before(now) {
		now = other
	}
	return now.UTC(), nil
}

// LogTime implements timer.Clock.
func (c clock) LogTime(ctx context.Context, name string, shard int) (at timer.LogTime, err error) {
	var ms [2]int64
	for i, field := range []string{"time", "retention"} {
		text, found, err := c.books[name].Row(ctx, shard, "clock", field)
		if err != nil || !found {
			return timer.LogTime{}, err
		}
		if ms[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return timer.LogTime{}, fmt.Errorf("%s of the clock: %w", field, err)
		}
	}
	return timer.LogTime{Now: time.UnixMilli(ms[0]), Remember: time.Duration(ms[1]) * time.Millisecond}, nil
}
