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
	version, err := Directory(ctx, c, d)
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

// Directory is the version of the directory that invitations name; it publishes one where there is none.
func Directory(ctx context.Context, c Config, d Deps) (uint64, error) {
	_, end, err := d.Log.Bounds(ctx, schemas.TopicDirectory, 0)
	if err != nil {
		return 0, err
	}
	if end == 0 && c.Directory == nil {
		return 0, errors.New("the namespace has no directory of participants: `aval directory publish` makes one, " +
			"with the demo's banks and the keys of the stages that run")
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
	return uint64(end), nil
}

// stand is what there is at a moment.
type stand struct {
	ends map[string][]int64
	held Held
}

// run offers in one way after the other. What it found first is the report.
func (x *deals) run(ctx context.Context) (Report, error) {
	before, err := x.look(ctx)
	if err != nil {
		return Report{}, err
	}
	tail := func(topic string, visit func(int, []pipeline.Record) error) func(context.Context) error {
		return func(ctx context.Context) error { return x.deps.Log.Tail(ctx, topic, before.ends[topic], visit) }
	}
	r := Report{Kind: KindCertificates, Offered: Closed, Warmed: Seconds(x.WarmUp), Wanted: Number(x.Rate) * thousand}
	if x.Rate > 0 {
		r.Offered = Open
	}
	var window map[string][]int64
	err = during(ctx, func(ctx context.Context) (err error) {
		window, err = x.phases(ctx, &r)
		return err
	}, x.offer, x.reply, x.watch, tail(schemas.TopicPreIssues, x.preIssues),
		tail(schemas.TopicCertificates, x.certificates), tail(schemas.TopicRefusals, x.refusals))
	if err != nil {
		return Report{}, err
	}
	after, err := x.look(ctx)
	if err != nil {
		return Report{}, err
	}
	x.Progress.Stage("look at the topics", 0)
	defer x.Progress.Done()
	items := x.sent - r.Lost - r.Refused
	r.account(items, before.ends, after.ends)
	r.remember(items, before.held, after.held)
	return r, r.batches(ctx, x.deps, window, after.ends)
}

// Parts of the duration, and the warming up, of what is measured after the maximum.
const (
	halfPart     = 4
	overloadPart = 2
	warmAgain    = 2 * time.Second
)

// phases measures at the rate; or the maximum, then the latency at half of it, then what twice of it does.
func (x *deals) phases(ctx context.Context, r *Report) (window map[string][]int64, err error) {
	f, err := x.phase(ctx, "measure", x.Rate, x.WarmUp, x.Duration)
	if err != nil {
		return nil, err
	}
	r.found(f)
	r.Latency, r.LatencyRate = LatencyOf(&f.latency), r.Rate
	if x.Rate > 0 {
		return f.ends, x.last(ctx, r)
	}
	saturated := r.Latency
	half := max(r.Rate.Whole()/2, 1)
	h, err := x.phase(ctx, "measure at half of it", int(half), warmAgain, max(x.Duration/halfPart, time.Second))
	if err != nil {
		return nil, err
	}
	r.Saturated, r.Latency, r.LatencyRate = &saturated, LatencyOf(&h.latency), Number(half)*thousand
	r.left(h)
	if x.Overload {
		rate := 2 * max(r.Rate.Whole(), 1)
		o, err := x.phase(ctx, "measure at twice of it", int(rate), 0, max(x.Duration/overloadPart, time.Second))
		if err != nil {
			return nil, err
		}
		r.left(o)
		r.Overload = &Overload{
			Wanted: Number(rate) * thousand, Seconds: Seconds(o.took), Rate: Rate(o.count, o.took), Waiting: o.waiting,
			Lost: o.lost, Drained: Rate(o.count+o.waiting-o.lost, o.took+o.drained), RSS: mebibytes(o.after.Resident),
		}
	}
	return f.ends, x.last(ctx, r)
}

// last opens what is missing of the certificates that are to be open in the end, and lets the system rest.
func (x *deals) last(ctx context.Context, r *Report) error {
	x.mu.Lock()
	missing := int64(x.OpenLeast) - x.sent
	x.rate, x.most, x.offers = 0, int64(x.OpenLeast), missing > 0
	x.mu.Unlock()
	if missing <= 0 {
		return x.idle(ctx, r)
	}
	x.Progress.Stage("open the rest", int(missing))
	told := missing
	for left := missing; left > 0; {
		if err := pipeline.Pause(ctx, lagEvery); err != nil {
			return err
		}
		x.mu.Lock()
		left = int64(x.OpenLeast) - x.sent
		x.mu.Unlock()
		x.Progress.Add(int(told - left))
		told = left
	}
	x.Progress.Done()
	var f found
	if err := x.drain(ctx, &f); err != nil {
		return err
	}
	r.left(f)
	return x.idle(ctx, r)
}

// found is what a phase found.
type found struct {
	tally

	took          time.Duration
	before, after Usage
	ends          map[string][]int64 // of the topics, when it began
	waiting       int64              // items on their way when it ended
	drained       time.Duration      // how long those took
	lost          int64
	refused       int64
	twice         int64
	undone        int64
}

// found fills in what the first phase found.
func (r *Report) found(f found) {
	r.Count, r.Seconds, r.Rate = f.count, Seconds(f.took), Rate(f.count, f.took)
	r.Between(f.before, f.after, f.count)
	r.Behind, r.RSS = f.lag, mebibytes(f.after.Resident)
	r.left(f)
}

// left adds what should not be left of a phase.
func (r *Report) left(f found) {
	r.Lost, r.Refused, r.Twice, r.Undone = r.Lost+f.lost, r.Refused+f.refused, r.Twice+f.twice, f.undone
}

// phase offers at a rate, first unmeasured, then measured, and waits until all that was offered has come out.
func (x *deals) phase(ctx context.Context, name string, rate int, warm, measured time.Duration) (f found, err error) {
	x.mu.Lock()
	x.tally, x.refused, x.twice = tally{}, 0, 0
	x.rate, x.pace, x.paced, x.offers = rate, x.since(), 0, true
	x.mu.Unlock()
	if err := x.wait(ctx, "warm up", warm); err != nil {
		return f, err
	}
	if f.ends, err = x.deps.ends(ctx, x.Partitions, keyedTopics()...); err != nil {
		return f, err
	}
	if f.before, err = x.deps.Usage(ctx); err != nil {
		return f, err
	}
	x.mu.Lock()
	x.from, x.measuring = x.since(), true
	x.mu.Unlock()
	err = x.deps.profiled(ctx, measured, func(ctx context.Context) error { return x.wait(ctx, name, measured) })
	if err != nil {
		return f, err
	}
	x.deps.Profile = nil // the first phase is what is profiled
	x.mu.Lock()
	x.to, x.measuring, x.offers = x.since(), false, false
	f.took, f.waiting = x.to-x.from, int64(len(x.open))
	x.mu.Unlock()
	if f.after, err = x.deps.Usage(ctx); err != nil {
		return f, err
	}
	began := x.since()
	if err := x.drain(ctx, &f); err != nil {
		return f, err
	}
	f.drained = x.since() - began
	if f.count == 0 {
		return f, fmt.Errorf("nothing came out of %d invitations in time: do all stages run?", x.sent)
	}
	return f, nil
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

func seconds(d time.Duration) int { return int(d / time.Second) }

// wait waits, and tells of each second.
func (x *deals) wait(ctx context.Context, name string, d time.Duration) error {
	if d == 0 {
		return nil
	}
	x.Progress.Stage(name, seconds(d))
	defer x.Progress.Done()
	for ; d > 0; d -= time.Second {
		if err := pipeline.Pause(ctx, min(d, time.Second)); err != nil {
			return err
		}
		x.Progress.Add(1)
	}
	return nil
}

// idleAfter is how long a system that has done all is left alone before it counts as idle.
const idleAfter = 5 * time.Second

// idle measures what the system costs that has nothing to do.
func (x *deals) idle(ctx context.Context, r *Report) error {
	if x.Idle == 0 {
		return nil
	}
	if err := x.wait(ctx, "come to rest", idleAfter); err != nil {
		return err
	}
	before, err := x.deps.Usage(ctx)
	if err != nil {
		return err
	}
	began := x.since()
	if err := x.wait(ctx, "measure at rest", x.Idle); err != nil {
		return err
	}
	after, err := x.deps.Usage(ctx)
	if err != nil || before.Aval < 0 || after.Aval < 0 {
		return err
	}
	n := Per(100*(after.Aval-before.Aval).Microseconds(), (x.since() - began).Microseconds())
	r.Idle = &n
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
		if err := pipeline.Pause(ctx, lagEvery); err != nil {
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
func (x *deals) drain(ctx context.Context, f *found) error {
	x.Progress.Stage("wait for the rest", 0)
	defer x.Progress.Done()
	s := newStandstill(x.Now)
	for {
		lag, err := x.deps.Lag(ctx)
		if err != nil {
			return err
		}
		f.undone = 0
		for _, n := range lag {
			f.undone += n
		}
		x.mu.Lock()
		f.tally, f.lost, f.refused, f.twice = x.tally, int64(len(x.open)), x.refused, x.twice
		if left := f.lost + f.undone; left == 0 || s.at(left) {
			clear(x.open) // the next phase begins without them
			x.mu.Unlock()
			return nil
		}
		x.mu.Unlock()
		if err := pipeline.Pause(ctx, lagEvery); err != nil {
			return err
		}
	}
}
