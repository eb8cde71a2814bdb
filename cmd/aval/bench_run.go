package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// How long the floors are measured: a part of the duration.
const (
	floorPart  = 10
	floorLeast = 200 * time.Millisecond
	floorMost  = 5 * time.Second
)

// measure runs a kind of bench in a namespace of its own, unless one is named.
func (f *benchFlags) measure(c *cobra.Command, kind benchKind, sizes benchSizes) (report bench.Report, err error) {
	if kind.child != nil {
		return kind.child(f, c, sizes)
	}
	ctx := c.Context()
	progress, err := f.newProgress(c)
	if err != nil {
		return report, err
	}
	s, own, err := f.system(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if own {
		defer func() { err = errors.Join(err, s.remove(context.WithoutCancel(ctx))) }()
	}
	run, err := benchName()
	if err != nil {
		return report, err
	}
	r := &benchRun{flags: f, system: s, kind: kind, config: bench.Config{
		Partitions: s.partitions, WarmUp: sizes.warmUp, Duration: sizes.duration, Rate: sizes.rate,
		Outstanding: sizes.outstanding, Parties: sizes.parties, Hot: sizes.hot, HotHolds: sizes.hotHolds,
		OpenLeast: sizes.open, Overload: sizes.overload, Idle: sizes.idle, Run: run, Now: time.Now, Progress: progress,
		Logger: s.logger,
	}}
	return r.measure(ctx, c)
}

func (f *benchFlags) newProgress(c *cobra.Command) (demo.Progress, error) {
	stderr := c.ErrOrStderr()
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return nil, &codeError{code: exitUsage, err: err}
	}
	return progress, nil
}

// system is the one to measure; own says that nobody else uses it, and nobody will.
func (f *benchFlags) system(ctx context.Context, c *cobra.Command) (s *system, own bool, err error) {
	logger, p := f.logger(c.ErrOrStderr()), f.place()
	if f.attach {
		s, err = connect(ctx, p, logger)
		return s, false, err
	}
	own = !f.is("namespace")
	if own {
		if p.namespace, err = benchName(); err != nil {
			return nil, false, err
		}
	}
	s, err = open(ctx, p, logger)
	return s, own && !f.keep, err
}

// benchName is a namespace, or what makes identifiers a run's, that nobody else uses.
func benchName() (string, error) {
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make a name: %w", err)
	}
	return "bench-" + hex.EncodeToString(random[:]), nil
}

// benchRun is a bench at work.
type benchRun struct {
	flags  *benchFlags
	system *system
	kind   benchKind
	config bench.Config
}

// measure runs the bench, and beside it the stages, unless they run elsewhere.
func (r *benchRun) measure(ctx context.Context, c *cobra.Command) (report bench.Report, err error) {
	s := r.system
	keys, err := demonstrationKeys(s.namespace)
	if err != nil {
		return report, err
	}
	p := r.flags.place()
	m := &meter{
		system: s, kafka: listener(p.kafka[0]), redis: listener(p.redis[0]), works: s.works(r.kind.stages, keys),
	}
	deps := bench.Deps{Publisher: s.kafka, Log: s.kafka, Usage: m.usage, Memory: m.memory, Lag: m.lag}
	if !r.flags.attach {
		r.config.Directory = demo.Directory(nil, publicKeys(s.namespace, keys))
		m.stages = newStages(c, s, r.kind.stages)
		deps.Stages = m.stages
		if path := r.flags.profile; path != "" {
			m.stages.args = append(m.stages.args, "--pprof")
			deps.Profile = func(ctx context.Context, d time.Duration) error { return m.stages.profile(ctx, path, d) }
		}
		if err := m.stages.Start(ctx); err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, m.stages.Stop()) }()
	}
	if report, err = r.kind.run(ctx, r.config, deps); err != nil {
		return report, err
	}
	if err := r.floors(ctx, m, deps, &report); err != nil {
		return report, err
	}
	report.Partitions, report.Stages = s.partitions, r.kind.stages
	m.describe(ctx, &report)
	return report, nil
}

// floors measures what the servers do of the same without this system. Nothing else is under way.
func (r *benchRun) floors(ctx context.Context, m *meter, deps bench.Deps, report *bench.Report) error {
	took := min(max(r.config.Duration/floorPart, floorLeast), floorMost)
	if err := m.system.kafka.EnsureTopics(ctx, []kafka.TopicSpec{
		{Name: bench.TopicCopyFrom, Partitions: m.system.partitions},
		{Name: bench.TopicCopyTo, Partitions: m.system.partitions},
	}, 0); err != nil {
		return err
	}
	copied, err := bench.Copy(ctx, r.config, deps, *report, took)
	err = errors.Join(err, m.system.kafka.DeleteTopics(context.WithoutCancel(ctx),
		[]string{bench.TopicCopyFrom, bench.TopicCopyTo}))
	if err != nil {
		return err
	}
	r.config.Progress.Stage("run a bare script", 0)
	defer r.config.Progress.Done()
	batch := int(report.Batches[schemas.TopicEntries].Whole() / 2) // a pair is two entries
	script, err := m.script(ctx, batch, true, took)
	if err != nil {
		return err
	}
	forgetful, err := m.script(ctx, batch, false, took)
	report.Floors = bench.Floors{Copy: &copied, Script: &script, Forgetful: &forgetful}
	return err
}
