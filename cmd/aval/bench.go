package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// benchFlags are the flags of aval bench.
type benchFlags struct {
	serverFlags

	attach      bool
	keep        bool
	duration    time.Duration
	warmUp      time.Duration
	rate        int
	overload    bool
	idle        time.Duration
	outstanding int
	parties     int
	hot         bool
	without     []string
	progress    string
	output      output
}

// Defaults of a bench.
const (
	benchDuration = 60 * time.Second
	benchWarmUp   = 30 * time.Second // a cold JVM costs twice to three times as much for so long

	floorPart = 10 // of the duration, for each floor
	floorMost = 5 * time.Second
)

// benchKind is a kind of load.
type benchKind struct {
	name   string
	stages []string // that it needs
	run    func(context.Context, bench.Config, bench.Deps) (bench.Report, error)
}

func benchKinds() []benchKind {
	return []benchKind{
		{name: "certificates", stages: stageNames(), run: bench.Certificates},
		{name: "accounts", stages: []string{"ledger"}, run: bench.Accounts},
	}
}

func benchCommand() *cobra.Command {
	var names []string
	for _, kind := range benchKinds() {
		names = append(names, kind.name)
	}
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench KIND",
		Short: "Measure how fast a system is, and what it costs",
		Long: `Measure how fast a system is, and what it costs, on real servers.

  certificates   invitations become certificates: all stages
  accounts       holds and their captures, two movements each: the accounts book alone; with --hot on one account
                 that has a million live holds

The stages run in a process of their own, which the bench starts in a namespace of its own and removes in the end, or,
with --attach, where they run already. Without --rate as much is offered as is taken, with a bounded number on its way:
that finds the sustained maximum. With --rate so many a second are offered, whatever becomes of them, and the latency
counts from the moment at which each was to be sent. What comes before the measurement (--warm-up) and after it is in
no figure but those of Redis and of the topics.

Processor time of servers on this machine is read from the system.`,
		Example: `  aval bench certificates
  aval bench certificates --duration 20s --rate 3000 -o json`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			for _, kind := range benchKinds() {
				if kind.name == args[0] {
					return f.run(c, kind)
				}
			}
			return usage("there is no bench %q", args[0])
		},
	}
	f.defaults = map[string]string{"namespace": ""} // one of its own
	f.register(c, groupNew)
	c.Flags().BoolVar(&f.attach, "attach", false, "measure the stages that run elsewhere (aval run) in --namespace")
	c.Flags().BoolVar(&f.keep, "keep", false, "keep the topics and the keys of the bench's own namespace")
	c.Flags().DurationVar(&f.duration, "duration", benchDuration, "how long to measure")
	c.Flags().DurationVar(&f.warmUp, "warm-up", benchWarmUp, "how long to offer the same before it is measured")
	c.Flags().IntVar(&f.rate, "rate", 0, "items a second to offer (default: as many as are taken)")
	c.Flags().StringSliceVar(&f.without, "without", nil, "stages to leave out, to see what they cost: notice,register")
	c.Flags().BoolVar(&f.overload, "overload", false, "of certificates: offer twice the maximum, too")
	c.Flags().DurationVar(&f.idle, "idle", 0, "of certificates: measure the stages at rest for so long, too")
	c.Flags().IntVar(&f.outstanding, "outstanding", bench.OutstandingDefault,
		"without --rate, how many items are on their way at most")
	c.Flags().IntVar(&f.parties, "parties", bench.PartiesDefault, "how many buyers there are, and how many sellers")
	c.Flags().BoolVar(&f.hot, "hot", false, "of accounts: one account, with a million live holds")
	c.Flags().StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	f.output.register(c)
	return c
}

func (f *benchFlags) check() error {
	switch {
	case f.attach && !f.is("namespace"):
		return usage("--attach needs --namespace, where the stages run")
	case f.duration < time.Second:
		return usage("--duration %s, must be at least 1s", f.duration)
	case f.warmUp < 0 || f.rate < 0 || f.outstanding < 1 || f.parties < 1:
		return usage("--warm-up and --rate must not be below 0, --outstanding and --parties be at least 1")
	}
	if len(f.without) > 0 {
		if err := checkStages(f.without); err != nil {
			return usage("--without: %w", err)
		}
	}
	return f.serverFlags.check()
}

func (f *benchFlags) run(c *cobra.Command, kind benchKind) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	kind.stages = slices.DeleteFunc(kind.stages, func(name string) bool { return slices.Contains(f.without, name) })
	ctx, stderr := c.Context(), c.ErrOrStderr()
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return &codeError{code: exitUsage, err: err}
	}
	logger := f.logger(stderr)
	p := f.place()
	name, err := benchName()
	if err != nil {
		return failed(err)
	}
	if !f.is("namespace") {
		p.namespace = name
	}
	reach := open
	if f.attach {
		reach = connect
	}
	s, err := reach(ctx, p, logger)
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, failed(s.close())) }()
	if !f.keep && p.namespace == name {
		defer func() { err = errors.Join(err, failed(s.remove(context.WithoutCancel(ctx)))) }()
	}
	report, err := f.measure(c, kind, s, p, bench.Config{
		Partitions: s.partitions, WarmUp: f.warmUp, Duration: f.duration, Rate: f.rate, Outstanding: f.outstanding,
		Parties: f.parties, Hot: f.hot, Overload: f.overload, Idle: f.idle, Run: name,
		Now: time.Now, Progress: progress, Logger: logger,
	})
	if err != nil {
		return failed(err)
	}
	return printReport(c.OutOrStdout(), f.output, report)
}

// measure runs the bench, and beside it the stages, unless they run elsewhere.
func (f *benchFlags) measure(
	c *cobra.Command, kind benchKind, s *system, p place, config bench.Config,
) (report bench.Report, err error) {
	ctx := c.Context()
	keys, err := demonstrationKeys(p.namespace)
	if err != nil {
		return report, err
	}
	m := &meter{system: s, kafka: listener(p.kafka[0]), redis: listener(p.redis[0]), works: s.works(kind.stages, keys)}
	deps := bench.Deps{Publisher: s.kafka, Log: s.kafka, Usage: m.usage, Memory: m.memory, Lag: m.lag}
	if !f.attach {
		config.Directory = demo.Directory(nil, publicKeys(p.namespace, keys))
		m.stages = newStages(c.Flags(), p, s.partitions, kind.stages)
		m.stages.stderr = c.ErrOrStderr()
		deps.Stages = m.stages
		if err := m.stages.Start(ctx); err != nil {
			return report, err
		}
		defer func() { err = errors.Join(err, m.stages.Stop()) }()
	}
	report, err = kind.run(ctx, config, deps)
	if err != nil {
		return report, err
	}
	if err := f.floors(ctx, m, config, deps, &report); err != nil {
		return report, err
	}
	report.Partitions, report.At, report.Machine = s.partitions, time.Now().UTC(), machine()
	report.Client(peak(selfPID))
	report.Versions, report.Stages = m.versions(ctx), kind.stages
	return report, nil
}

// floors measures what the servers do of the same without this system. Nothing else is under way.
func (f *benchFlags) floors(
	ctx context.Context, m *meter, config bench.Config, deps bench.Deps, report *bench.Report,
) error {
	took := min(max(f.duration/floorPart, time.Second), floorMost)
	if err := m.system.kafka.EnsureTopics(ctx, []kafka.TopicSpec{
		{Name: bench.TopicCopyFrom, Partitions: m.system.partitions},
		{Name: bench.TopicCopyTo, Partitions: m.system.partitions},
	}, 0); err != nil {
		return err
	}
	copied, err := bench.Copy(ctx, config, deps, *report, took)
	if err != nil {
		return err
	}
	config.Progress.Stage("run a bare script", 0)
	defer config.Progress.Done()
	batch := int(report.Batches[schemas.TopicEntries].Whole() / 2)
	script, err := m.script(ctx, batch, true, took)
	if err != nil {
		return err
	}
	forgetful, err := m.script(ctx, batch, false, took)
	report.Floors = bench.Floors{Copy: &copied, Script: &script, Forgetful: &forgetful}
	return err
}

// benchName is a namespace that nobody else uses.
func benchName() (string, error) {
	var random [5]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("make a name: %w", err)
	}
	return "bench-" + hex.EncodeToString(random[:]), nil
}
