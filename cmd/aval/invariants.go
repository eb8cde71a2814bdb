package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
)

// invariantsFlags are the flags of aval invariants.
type invariantsFlags struct {
	keptFlags

	atRest   bool
	watch    bool
	every    time.Duration
	progress string
	format   output
}

// watchEvery is how long it is from one check to the next.
const watchEvery = time.Minute

func invariantsCommand() *cobra.Command {
	var f invariantsFlags
	c := &cobra.Command{
		Use:   "invariants",
		Short: "Check what must always hold, over the whole system",
		Long: `Check what must always hold, over the whole system: money is neither made nor lost (I-1), balances, holds
and certificates agree (I-2 to I-6), certificates say what was agreed (I-8), what came to nothing moved nothing (I-10),
every input has exactly one outcome (I-12), what comes again changes nothing (I-13), no card's number stands anywhere
(I-14), Redis holds what the journals say (I-16), nothing goes back or leaves a final state (I-22), amounts are whole
and exact (I-23).

It reads every topic, folds the journals by what commands mean, believes no stage, and changes nothing. It may run
while the system works: each shard is held against Redis at one position of its journal, and what is on its way may
come. With --at-rest nothing is on its way, and what is missing is lost. It holds the way of every invitation in
memory, about a kilobyte each.

Of a folder (--data-dir) there is no Redis: the balances are what the journals' changes add up to, and nothing is on
its way.

Exit codes: 0 all hold, 1 one does not, 2 wrong usage, 4 something could not be checked.`,
		Example: `  aval invariants
  aval invariants --watch --every 5m
  aval invariants --at-rest -o json
  aval invariants --data-dir data`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.register(c)
	f.format.register(c)
	c.Flags().BoolVar(&f.atRest, "at-rest", false, "nobody is at work, and nothing is on its way")
	c.Flags().BoolVar(&f.watch, "watch", false, "check again and again, until it is interrupted or one does not hold")
	c.Flags().DurationVar(&f.every, "every", watchEvery, "with --watch: how long to wait from one check to the next")
	c.Flags().StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	return c
}

func (f *invariantsFlags) check() error {
	if f.every <= 0 {
		return usage("--every %v, must be above 0", f.every)
	}
	if f.watch && f.atRest {
		return usage("--watch and --at-rest contradict each other: what is at rest does not change")
	}
	return f.keptFlags.check()
}

func (f *invariantsFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return usage("%w", err)
	}
	s, closeAll, err := f.connect(ctx, f.logger(stderr), connect)
	if err != nil {
		return unchecked(err)
	}
	defer func() { err = errors.Join(err, unchecked(closeAll())) }()
	for {
		report, err := f.look(ctx, s, progress)
		if ctx.Err() != nil && f.watch {
			return nil // it was interrupted, and all did hold
		}
		if failure := printInvariants(stdout, f.format, report, err == nil); failure != nil {
			return failed(failure)
		}
		switch {
		case !report.OK():
			return &codeError{code: exitFailed, err: fmt.Errorf("%d violations of what must always hold", report.Total)}
		case err != nil && !f.watch:
			return unchecked(err)
		case err != nil:
			s.logger.WarnContext(ctx, "could not be checked: it is tried again", "error", err)
		case !f.watch:
			return nil
		}
		if pipeline.Pause(ctx, f.every) != nil {
			return nil
		}
	}
}

// look checks once.
func (f *invariantsFlags) look(ctx context.Context, s *system, progress demo.Progress) (audit.Report, error) {
	log := &shown{Log: s.kafka, to: demo.Late(progress, time.Now)}
	c := audit.Config{
		Log: log, Partitions: s.partitions, AtRest: f.atRest || f.dataDir != "",
		State: states{audit.BookAccounts: s.store(ledger.Book{}), audit.BookPreIssues: s.store(preissue.Book{})},
	}
	if f.dataDir != "" {
		c.State = journalStates{log: s.kafka}
	}
	log.to.Stage("read the log", 0)
	report, err := audit.Run(ctx, c)
	log.to.Done()
	return report, err
}

// invariantsReport is what was found, as it is printed.
type invariantsReport struct {
	Checked    []string        `json:"checked"`
	Records    int64           `json:"records"`
	Violations []violationView `json:"violations"`
}

// violationView is a violation, as it is printed.
type violationView struct {
	Invariant string `json:"invariant"`
	Shard     int    `json:"shard"` // -1: of no single shard
	Where     string `json:"where"`
	What      string `json:"what"`
}

// printInvariants prints a report: in JSON one object, else what does not hold, or that all do.
func printInvariants(w io.Writer, format output, r audit.Report, whole bool) error {
	view := invariantsReport{Checked: r.Checked, Records: r.Records, Violations: []violationView{}}
	for _, v := range r.Violations {
		view.Violations = append(view.Violations, violationView{v.Invariant, v.Shard, v.Where, v.What})
	}
	if format.String() != string(outputTable) {
		return printOne(w, format, view)
	}
	if len(view.Violations) == 0 {
		if !whole {
			return nil
		}
		_, err := fmt.Fprintf(w, "all of %d invariants hold, over %d records: %d certificates, %d live holds\n",
			len(r.Checked), r.Records, r.Certificates, r.Holds)
		return err
	}
	p := newPrinter(w, format,
		column[violationView]{"invariant", func(v violationView) string { return v.Invariant }},
		column[violationView]{"shard", func(v violationView) string { return shardCell(v.Shard) }},
		column[violationView]{"where", func(v violationView) string { return v.Where }},
		column[violationView]{"what", func(v violationView) string { return v.What }},
	)
	for _, v := range view.Violations {
		if err := p.print(v); err != nil {
			return err
		}
	}
	return p.close()
}

func shardCell(shard int) string {
	if shard < 0 {
		return "-"
	}
	return strconv.Itoa(shard)
}
