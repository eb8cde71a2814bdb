package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/producers/demo"
)

// benchFlags are the flags of aval bench.
type benchFlags struct {
	serverFlags
	benchSizes

	attach   bool
	keep     bool
	short    bool
	without  []string
	profile  string
	progress string
	output   output
}

// benchSizes say how much is done, and what is looked at.
type benchSizes struct {
	duration    time.Duration
	warmUp      time.Duration
	idle        time.Duration
	rate        int
	outstanding int
	parties     int
	open        int
	rows        int
	hotHolds    int
	hot         bool
	overload    bool
}

// Defaults of a bench.
const (
	benchDuration = 60 * time.Second
	benchWarmUp   = 30 * time.Second // a cold JVM costs twice to three times as much for so long
	inviteRows    = 1_000_000
)

// benchKind is a kind of load.
type benchKind struct {
	name   string
	help   string
	stages []string // that it runs
	run    func(context.Context, bench.Config, bench.Deps) (bench.Report, error)
	child  func(*benchFlags, *cobra.Command, benchSizes) (bench.Report, error) // in the place of both
}

// benchAll is the kind that is all of them.
const benchAll = "all"

func benchKinds() []benchKind {
	return []benchKind{
		{
			name: bench.KindCertificates, stages: stageNames(), run: bench.Certificates,
			help: "invitations become certificates: all stages",
		},
		{
			name: bench.KindAccounts, stages: []string{"ledger"}, run: bench.Accounts,
			help: "holds and their captures, two movements each: the accounts book alone",
		},
		{
			name: bench.KindInvite, child: (*benchFlags).invite,
			help: "a file of invitations goes into Kafka: aval invite",
		},
		{name: bench.KindDemo, child: (*benchFlags).demo, help: "aval demo, as it is"},
		{name: benchAll, help: "all of these, one after the other, held against what they should be"},
	}
}

func benchCommand() *cobra.Command {
	var f benchFlags
	var names, lines []string
	for _, kind := range benchKinds() {
		names = append(names, kind.name)
		lines = append(lines, fmt.Sprintf("  %-14s %s", kind.name, kind.help))
	}
	c := &cobra.Command{
		Use:   "bench KIND",
		Short: "Measure how fast a system is, and what it costs",
		Long: `Measure how fast a system is, and what it costs, on real servers.

` + strings.Join(lines, "\n") + `

The stages run in a process of their own, which the bench starts in a namespace of its own and removes in the end, or,
with --attach, where they run already.

Without --rate as much is offered as is taken, with a bounded number on its way: that finds the sustained maximum;
then the latency is taken at half of it. With --rate so many a second are offered, whatever becomes of them. The
latency counts from the moment at which each was to be sent until its certificate, or its entry, was read back.
What comes before the measurement (--warm-up) and after it is in no figure but those of Redis and of the topics.

Processor time and memory of what runs on this machine are read from the system; what runs elsewhere is null.

` + exitHelp,
		Example: `  aval bench certificates
  aval bench certificates --duration 20s --rate 3000 -o json
  aval bench accounts --hot
  aval bench all --kafka localhost:9092 --redis localhost:6379`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(args[0]); err != nil {
				return err
			}
			if args[0] == benchAll {
				return f.all(c)
			}
			at := slices.IndexFunc(benchKinds(), func(kind benchKind) bool { return kind.name == args[0] })
			return f.one(c, benchKinds()[at])
		},
	}
	f.flags(c)
	return c
}

func (f *benchFlags) flags(c *cobra.Command) {
	f.defaults = map[string]string{"namespace": ""} // one of its own
	f.register(c, groupNew)
	s := c.Flags()
	s.BoolVar(&f.attach, "attach", false, "measure the stages that run elsewhere (aval run) in --namespace")
	s.BoolVar(&f.keep, "keep", false, "keep the topics and the keys of the bench's own namespace")
	s.DurationVar(&f.duration, "duration", benchDuration, "how long to measure")
	s.DurationVar(&f.warmUp, "warm-up", benchWarmUp, "how long to offer the same before it is measured")
	s.IntVar(&f.rate, "rate", 0, "items a second to offer (default: as many as are taken)")
	s.IntVar(&f.outstanding, "outstanding", bench.OutstandingDefault, "without --rate, items on their way at most")
	s.IntVar(&f.parties, "parties", bench.PartiesDefault, "how many buyers there are, and how many sellers")
	s.BoolVar(&f.hot, "hot", false, "of accounts: one account, with --hot-holds live holds")
	s.IntVar(&f.hotHolds, "hot-holds", bench.HotHoldsDefault, "live holds of a hot account")
	s.IntVar(&f.rows, "rows", inviteRows, "of invite: rows of the file")
	s.BoolVar(&f.overload, "overload", false, "of certificates: offer twice the maximum, too")
	s.IntVar(&f.open, "open", 0, "of certificates: open so many in all before Redis is looked at")
	s.DurationVar(&f.idle, "idle", 0, "of certificates: measure the stages at rest for so long, too")
	s.StringSliceVar(&f.without, "without", nil, "stages to leave out, to see what they cost: notice,register")
	s.StringVar(&f.profile, "profile", "", "write the stages' processor profile of the measurement into this file")
	s.BoolVar(&f.short, "short", false, "of all: some seconds of each, to see that all figures are there")
	s.StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	f.output.register(c)
}

func (f *benchFlags) check(kind string) error {
	switch {
	case f.attach && !f.is("namespace"):
		return usage("--attach needs --namespace, where the stages run")
	case f.profile != "" && (f.attach || kind != bench.KindCertificates && kind != bench.KindAccounts):
		return usage("--profile is of stages that the bench starts: bench certificates or accounts, without --attach")
	case kind == benchAll && (f.attach || f.is("namespace")):
		return usage("bench all makes a namespace for each: leave --attach and --namespace")
	case f.duration < time.Second:
		return usage("--duration %s, must be at least 1s", f.duration)
	case f.warmUp < 0 || f.idle < 0 || f.rate < 0 || f.open < 0:
		return usage("--warm-up, --idle, --rate and --open must not be below 0")
	case f.outstanding < 1 || f.parties < 1 || f.hotHolds < 1 || f.rows < 1:
		return usage("--outstanding, --parties, --hot-holds and --rows must be at least 1")
	}
	if len(f.without) > 0 {
		if err := checkStages(f.without); err != nil {
			return usage("--without: %w", err)
		}
	}
	return nil
}

// one runs one kind and prints what it found.
func (f *benchFlags) one(c *cobra.Command, kind benchKind) error {
	kind.stages = slices.DeleteFunc(kind.stages, func(name string) bool { return slices.Contains(f.without, name) })
	report, err := f.measure(c, kind, f.benchSizes)
	if err != nil {
		return failed(err)
	}
	if err := printReport(c.OutOrStdout(), f.output, report); err != nil {
		return failed(err)
	}
	return faulty(report.Faults(false))
}
