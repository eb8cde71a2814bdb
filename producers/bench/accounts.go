package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Sizes of an accounts bench.
const (
	warmPairs    = 10_000 // at a time
	roundSeconds = 10
	roundLeast   = 20_000
	// latencyPart of the duration is given to the latency at half the rate that was found.
	latencyPart = 4
)

// Accounts measures the accounts book alone: a pair is a hold and its capture. Work is piled up in the command topic
// while the book rests, and then measured is how fast the book's journal grows; so what it costs to make the work is
// in no figure. Rounds follow each other until the duration is full. Latency is taken after that, at half the rate
// that was found, or at the given rate. A hot bench has one account, with a million live holds.
func Accounts(ctx context.Context, c Config, d Deps) (Report, error) {
	c.fill()
	accounts := parties(2*c.Parties, buyerOf)
	if c.Hot {
		accounts = accounts[:1]
	}
	x, err := newPairs(c, d, accounts)
	if err != nil {
		return Report{}, err
	}
	if err := openAccounts(ctx, c, d, funds, accounts...); err != nil {
		return Report{}, err
	}
	r := Report{Kind: KindAccounts, Offered: Backlog, Wanted: Number(c.Rate) * thousand}
	if c.Hot {
		r.Kind = KindHot
	}
	if err := x.begin(ctx, &r); err != nil {
		return r, err
	}
	if c.Rate == 0 {
		if err := x.rounds(ctx, &r); err != nil {
			return r, err
		}
	}
	return r, x.timed(ctx, &r)
}

// begin warms up, and makes the live holds of a hot account, which cost what they cost in Redis.
func (x *pairs) begin(ctx context.Context, r *Report) error {
	ends, err := x.deps.ends(ctx, x.Partitions, schemas.TopicEntries)
	if err != nil {
		return err
	}
	from := ends[schemas.TopicEntries]
	if x.Hot {
		if err := x.makeHot(ctx, r, from); err != nil {
			return err
		}
	}
	x.Progress.Stage("warm up", 0)
	defer x.Progress.Done()
	holds, began := x.sent, x.Now()
	for x.sent == holds || x.Now().Sub(began) < x.WarmUp {
		if err := x.pile(ctx, min(warmPairs, x.RoundPairs), true, true); err != nil {
			return err
		}
		done := 2*x.sent - holds
		if err := x.await(ctx, from, done, nil); err != nil {
			return err
		}
	}
	took := x.Now().Sub(began)
	r.Warmed = Seconds(took)
	// A round takes some seconds of what the warm-up did, which was slower: it made its work beside.
	found := Rate(x.sent-holds, took).Whole()
	x.RoundPairs = int(min(max(found*roundSeconds, roundLeast), int64(x.RoundPairs)))
	return nil
}

// makeHot makes an account's live holds.
func (x *pairs) makeHot(ctx context.Context, r *Report, from []int64) error {
	before, err := x.deps.Memory(ctx)
	if err != nil {
		return err
	}
	x.Progress.Stage("hold", x.HotHolds)
	defer x.Progress.Done()
	if err := x.pile(ctx, x.HotHolds, true, false); err != nil {
		return err
	}
	if err := x.await(ctx, from, x.sent, nil); err != nil {
		return err
	}
	after, err := x.deps.Memory(ctx)
	if err != nil {
		return err
	}
	r.remember(x.sent, before, after)
	return nil
}

// await waits until the journal has grown by so many items; see is shown how far it is.
func (x *pairs) await(ctx context.Context, from []int64, items int64, see func(grown int64) error) error {
	s := newStandstill(x.Now)
	for {
		ends, err := x.deps.ends(ctx, x.Partitions, schemas.TopicEntries)
		if err != nil {
			return err
		}
		n := grown(from, ends[schemas.TopicEntries])
		if see != nil {
			if err := see(n); err != nil {
				return err
			}
		}
		if n >= items {
			return nil
		}
		if s.at(n) {
			return fmt.Errorf("the journal got %d items of %d and nothing for %s: does the ledger run?", n, items,
				patience)
		}
		if err := pipeline.Pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// spent is what rounds have added up.
type spent struct {
	took  time.Duration
	pairs int64
	usage Usage
}

// rounds measures rounds until the duration is full.
func (x *pairs) rounds(ctx context.Context, r *Report) error {
	var all spent
	topics := []string{schemas.TopicMovements, schemas.TopicEntries}
	first, err := x.deps.ends(ctx, x.Partitions, topics...)
	if err != nil {
		return err
	}
	began := x.sent
	for all.took < x.Duration {
		if err := x.round(ctx, &all); err != nil {
			return err
		}
	}
	last, err := x.deps.ends(ctx, x.Partitions, topics...)
	if err != nil {
		return err
	}
	r.Count, r.Seconds, r.Rate = all.pairs, Seconds(all.took), Rate(all.pairs, all.took)
	r.Between(Usage{Done: &Done{}}, all.usage, all.pairs)
	r.account(x.sent-began, first, last)
	if err := r.batches(ctx, x.deps, first, last); err != nil {
		return err
	}
	return x.verify(ctx, r, first[schemas.TopicEntries], 2*(x.sent-began))
}

// round piles work up while the stages rest, and measures from the first sign of life to when nine tenths are done:
// then some partitions may have ended, and the rest would not show what all can do.
func (x *pairs) round(ctx context.Context, all *spent) error {
	if x.deps.Stages != nil {
		if err := x.deps.Stages.Stop(); err != nil {
			return err
		}
	}
	ends, err := x.deps.ends(ctx, x.Partitions, schemas.TopicEntries)
	if err != nil {
		return err
	}
	from := ends[schemas.TopicEntries]
	n := x.RoundPairs
	m := &measured{pairs: x, all: all, most: int64(2*n) * 9 / 10}
	if x.deps.Stages == nil { // they begin with the first pair
		if err := m.begin(ctx); err != nil {
			return err
		}
	}
	x.Progress.Stage("pile up", n)
	err = x.pile(ctx, n, true, true)
	x.Progress.Done()
	if err != nil {
		return err
	}
	if x.deps.Stages != nil {
		if err := errors.Join(x.deps.Stages.Start(ctx), m.begin(ctx)); err != nil {
			return err
		}
	}
	x.Progress.Stage("measure", 2*n)
	defer x.Progress.Done()
	return x.deps.profiled(ctx, roundSeconds*time.Second/2, func(ctx context.Context) error {
		return x.await(ctx, from, int64(2*n), func(grown int64) error { return m.see(ctx, grown) })
	})
}

// measured is a round that is being measured.
type measured struct {
	*pairs

	all     *spent
	most    int64 // items up to which it is measured
	told    int64
	started bool
	ended   bool
	start   int64 // items that were there when it began
	began   time.Time
	before  Usage
}

func (m *measured) begin(ctx context.Context) (err error) {
	m.before, err = m.deps.Usage(ctx)
	m.began = m.Now()
	return err
}

// see is shown how far the journal has grown. A round that is over before it was seen to begin counts from when the
// stages were started; the next one is larger.
func (m *measured) see(ctx context.Context, grown int64) error {
	m.Progress.Add(int(grown - m.told))
	m.told = grown
	switch {
	case m.ended:
	case grown >= m.most:
		m.ended = true
		if !m.started {
			m.RoundPairs *= 2
		}
		m.all.took += m.Now().Sub(m.began)
		m.all.pairs += (grown - m.start) / 2
		after, err := m.deps.Usage(ctx)
		m.all.usage = m.all.usage.plus(m.before, after)
		return err
	case !m.started && grown > int64(m.Partitions) && m.deps.Stages != nil: // takeovers alone are no work
		m.started, m.start = true, grown
		return m.begin(ctx)
	}
	return nil
}

// verify reads the journal back: each movement was done, once.
func (x *pairs) verify(ctx context.Context, r *Report, from []int64, items int64) error {
	x.Progress.Stage("read back", 0)
	defer x.Progress.Done()
	a := &answered{}
	return during(ctx, func(ctx context.Context) error { return x.rest(ctx, r, a, items) },
		func(ctx context.Context) error { return x.deps.Log.Tail(ctx, schemas.TopicEntries, from, a.visit) })
}

// timed takes the latency at a rate, from when a pair was to be sent until its capture was read in the journal.
func (x *pairs) timed(ctx context.Context, r *Report) error {
	rate, d := int64(x.Rate), x.Duration
	if rate == 0 {
		rate, d = max(r.Rate.Whole()/2, 1), max(x.Duration/latencyPart, time.Second)
	}
	ends, err := x.deps.ends(ctx, x.Partitions, schemas.TopicEntries)
	if err != nil {
		return err
	}
	x.Progress.Stage("measure latency", seconds(d))
	defer x.Progress.Done()
	first, began := x.sent, x.Now()
	var latency Histogram
	a := &answered{captures: func(id []byte) {
		if n, ok := x.numberOf(id); ok && n >= first {
			latency.Add(x.Now().Sub(began) - time.Duration((n-first)*int64(time.Second)/rate))
		}
	}}
	var before, after Usage
	done := int64(0)
	err = during(ctx, func(ctx context.Context) (err error) {
		if before, err = x.deps.Usage(ctx); err != nil {
			return err
		}
		if err := x.pace(ctx, began, first, rate, d); err != nil {
			return err
		}
		done, _ = a.counts()
		if after, err = x.deps.Usage(ctx); err != nil {
			return err
		}
		took := x.Now().Sub(began)
		if x.Rate > 0 {
			r.Offered, r.Count, r.Seconds, r.Rate = Open, done/2, Seconds(took), Rate(done/2, took)
			r.Between(before, after, done/2)
		}
		r.RSS = mebibytes(after.Resident)
		return x.rest(ctx, r, a, 2*(x.sent-first))
	}, func(ctx context.Context) error {
		return x.deps.Log.Tail(ctx, schemas.TopicEntries, ends[schemas.TopicEntries], a.visit)
	})
	r.Latency, r.LatencyRate = LatencyOf(&latency), Number(rate)*thousand
	return err
}

// rest waits until so many items were read back, or nothing comes any more.
func (x *pairs) rest(ctx context.Context, r *Report, a *answered, items int64) error {
	s := newStandstill(x.Now)
	for {
		done, other := a.counts()
		if left := items - done - other; left <= 0 || s.at(left) {
			r.Lost, r.Refused, r.Twice = r.Lost+max(left, 0), r.Refused+other, r.Twice+max(-left, 0)
			return nil
		}
		if err := pipeline.Pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// pace publishes pairs as they are due.
func (x *pairs) pace(ctx context.Context, began time.Time, first, rate int64, d time.Duration) error {
	told := 0
	for {
		since := x.Now().Sub(began)
		if since >= d {
			return nil
		}
		x.Progress.Add(seconds(since) - told)
		told = seconds(since)
		if n := int64(since)*rate/int64(time.Second) - (x.sent - first); n > 0 {
			if err := x.deps.Publisher.Publish(ctx, x.make(int(min(n, pileMost)), true, true)); err != nil {
				return fmt.Errorf("publish movements: %w", err)
			}
		}
		if err := pipeline.Pause(ctx, linger); err != nil {
			return err
		}
	}
}
