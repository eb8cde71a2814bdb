package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Certificates measures the way from invitations to certificates, all stages together.
func Certificates(ctx context.Context, c Config, d Deps) (Report, error) {
	c.fill()
	version, err := directory(ctx, c, d)
	if err != nil {
		return Report{}, err
	}
	x, err := newDeals(c, d, version)
	if err != nil {
		return Report{}, err
	}
	if err := openAccounts(ctx, c, d, 0, x.sellers...); err != nil {
		return Report{}, err
	}
	if err := openAccounts(ctx, c, d, funds, x.buyers...); err != nil {
		return Report{}, err
	}
	return x.run(ctx)
}

// directory is the version of the directory that invitations name.
func directory(ctx context.Context, c Config, d Deps) (uint64, error) {
	_, end, err := d.Log.Bounds(ctx, schemas.TopicDirectory, 0)
	if err != nil {
		return 0, err
	}
	if end == 0 && c.Directory == nil {
		return 0, errors.New("no directory of participants was published, and the stages run elsewhere")
	}
	if c.Directory != nil && end == 0 {
		record, err := pipeline.Encode(schemas.TopicDirectory, schemas.Message{
			Attributes: schemas.Attributes{ID: schemas.DeriveID("directory", c.Run), Source: source, Time: c.Now()},
			Body:       c.Directory,
		})
		if err != nil {
			return 0, err
		}
		if err := d.Publisher.Publish(ctx, []pipeline.Record{record}); err != nil {
			return 0, err
		}
		end = 1
	}
	return uint64(end), nil //nolint:gosec // offsets are not below zero
}

// stand is what there is at a moment.
type stand struct {
	ends map[string][]int64
	held Held
}

func (x *deals) run(ctx context.Context) (Report, error) {
	follows := []string{schemas.TopicPreIssues, schemas.TopicCertificates, schemas.TopicRefusals}
	before, err := x.look(ctx)
	if err != nil {
		return Report{}, err
	}
	tail := func(topic string, visit func(int, []pipeline.Record) error) func(context.Context) error {
		return func(ctx context.Context) error { return x.deps.Log.Tail(ctx, topic, before.ends[topic], visit) }
	}
	r := Report{Kind: "certificates", Offered: Closed, Warmed: Seconds(x.WarmUp), Wanted: Number(x.Rate) * thousand}
	if x.Rate > 0 {
		r.Offered = Open
	}
	var window map[string][]int64
	err = during(ctx, func(ctx context.Context) (err error) {
		window, err = x.measure(ctx, &r)
		return err
	}, x.offer, x.reply, x.watch, tail(follows[0], x.preIssues), tail(follows[1], x.certificates), tail(follows[2], x.refusals))
	if err != nil {
		return Report{}, err
	}
	after, err := x.look(ctx)
	if err != nil {
		return Report{}, err
	}
	r.account(x.all, before.ends, after.ends)
	r.remember(x.all, before.held, after.held)
	return r, r.batches(ctx, x.deps, window, after.ends)
}

// look says what there is, in topics and in Redis.
func (x *deals) look(ctx context.Context) (s stand, err error) {
	if s.ends, err = x.deps.ends(ctx, x.Partitions, keyedTopics()...); err != nil {
		return s, err
	}
	s.held, err = x.deps.Memory(ctx)
	return s, err
}

func keyedTopics() (names []string) {
	for _, t := range schemas.Topics() {
		if t.Keyed() {
			names = append(names, t.Name)
		}
	}
	return names
}

// measure offers, first unmeasured, then measured, and waits until all that was offered has come out.
func (x *deals) measure(ctx context.Context, r *Report) (window map[string][]int64, err error) {
	x.Progress.Stage("warm up", seconds(x.WarmUp))
	err = x.wait(ctx, x.WarmUp)
	x.Progress.Done()
	if err != nil {
		return nil, err
	}
	if window, err = x.window(ctx, r); err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.ended = true
	x.mu.Unlock()
	return window, x.drain(ctx, r)
}

// window measures for the duration.
func (x *deals) window(ctx context.Context, r *Report) (map[string][]int64, error) {
	ends, err := x.deps.ends(ctx, x.Partitions, keyedTopics()...)
	if err != nil {
		return nil, err
	}
	before, err := x.deps.Usage(ctx)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.from, x.measuring = x.since(), true
	x.mu.Unlock()
	x.Progress.Stage("measure", seconds(x.Duration))
	err = x.wait(ctx, x.Duration)
	x.Progress.Done()
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	x.to, x.measuring = x.since(), false
	r.Count = x.count
	took := x.to - x.from
	x.mu.Unlock()
	after, err := x.deps.Usage(ctx)
	if err != nil {
		return nil, err
	}
	r.Seconds, r.Rate = Seconds(took), Rate(r.Count, took)
	r.Between(before, after, r.Count)
	return ends, nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// wait waits, and tells of each second.
func (x *deals) wait(ctx context.Context, d time.Duration) error {
	for ; d > 0; d -= time.Second {
		if err := pause(ctx, min(d, time.Second)); err != nil {
			return err
		}
		x.Progress.Add(1)
	}
	return nil
}

// Records that a stage may have before it, for each item that may be on its way; and how often that is looked at.
const (
	lagEach  = 4
	lagEvery = 500 * time.Millisecond
)

// watch holds the offers back while any stage is too far behind: what is certified and not told is not done.
func (x *deals) watch(ctx context.Context) error {
	for {
		if err := pause(ctx, lagEvery); err != nil {
			return nil //nolint:nilerr // the run is over
		}
		lag, err := x.deps.Lag(ctx)
		if err != nil {
			return err
		}
		x.mu.Lock()
		x.behind = largest(lag) > int64(lagEach*x.Outstanding)
		if x.measuring {
			x.lag = lag
		}
		x.mu.Unlock()
	}
}

func largest(lag map[string]int64) int64 {
	most := int64(0)
	for _, n := range lag {
		most = max(most, n)
	}
	return most
}

// drain waits until all that was offered has come out, and was told and kept; what does not come out is lost.
func (x *deals) drain(ctx context.Context, r *Report) error {
	x.Progress.Stage("wait for the rest", 0)
	defer x.Progress.Done()
	s := newStandstill(x.Now)
	for {
		lag, err := x.deps.Lag(ctx)
		if err != nil {
			return err
		}
		x.mu.Lock()
		r.Lost, r.Refused, r.Twice = int64(len(x.open)), x.refused, x.twice
		r.Latency, r.LatencyRate = LatencyOf(&x.latency), r.Rate
		r.Behind = x.lag
		x.mu.Unlock()
		left := r.Lost
		for _, n := range lag {
			left += n
		}
		if left == 0 || s.at(left) {
			r.Undone = left - r.Lost
			break
		}
		if err := pause(ctx, lagEvery); err != nil {
			return err
		}
	}
	if r.Latency == (Latency{}) {
		return fmt.Errorf("nothing came out of %d invitations: do all stages run?", x.sent)
	}
	return nil
}
