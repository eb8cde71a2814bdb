package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/producers/bench"
)

// benchIdle is how long all of a bench look at the stages at rest, and benchOpen over how many certificates at Redis.
const (
	benchIdle = 20 * time.Second
	benchOpen = 1_000_000
)

// all runs every kind, and prints the figures in one table, beside what they should be. Slow is no failure: the
// figures are there to be read; a figure that is missing is, and what was lost.
func (f *benchFlags) all(c *cobra.Command) error {
	var reports []bench.Report
	var faults []string
	for _, step := range f.steps() {
		_, _ = fmt.Fprintf(c.ErrOrStderr(), "bench %s\n", step.name)
		report, err := f.measure(c, step.benchKind, step.sizes)
		if err != nil {
			return failed(fmt.Errorf("bench %s: %w", step.name, err))
		}
		reports = append(reports, report)
		faults = append(faults, report.Faults(known())...)
	}
	if err := printGoals(c.OutOrStdout(), f.output, reports); err != nil {
		return failed(err)
	}
	return faulty(faults)
}

// faulty is the error of what must not be, however slow the machine is.
func faulty(faults []string) error {
	if len(faults) == 0 {
		return nil
	}
	return failed(fmt.Errorf("this is not a good run: %s", strings.Join(faults, "; ")))
}

// benchStep is a kind with its sizes.
type benchStep struct {
	benchKind

	sizes benchSizes
}

func (f *benchFlags) steps() []benchStep {
	sizes := f.benchSizes
	sizes.idle, sizes.open, sizes.overload = benchIdle, benchOpen, true
	if f.short {
		sizes = benchSizes{
			duration: 4 * time.Second, warmUp: 2 * time.Second, idle: time.Second, overload: true,
			outstanding: 2000, parties: 100, hotHolds: 10_000, rows: 20_000,
		}
	}
	var steps []benchStep
	for _, kind := range benchKinds() {
		if kind.name == benchAll {
			continue
		}
		steps = append(steps, benchStep{kind, sizes})
		if kind.name == bench.KindAccounts {
			hot := sizes
			hot.hot = true
			steps = append(steps, benchStep{kind, hot})
		}
	}
	return steps
}

// printGoals prints what all benches found.
func printGoals(w io.Writer, format output, reports []bench.Report) error {
	if format.String() != string(outputTable) {
		out := newPrinter[bench.Report](w, format)
		for _, r := range reports {
			if err := out.print(r); err != nil {
				return err
			}
		}
		return out.close()
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "FIGURE\tMEASURED\tFLOOR\tAIM\tMET") // Flush says what went wrong
	for _, g := range bench.Goals(reports...) {
		_, _ = fmt.Fprintln(table, strings.Join([]string{g.Name, g.Figure, g.Floor, g.Aim, g.Met}, "\t"))
	}
	if err := table.Flush(); err != nil || len(reports) == 0 {
		return err
	}
	r := reports[0]
	_, err := fmt.Fprintf(w, "\n%d cores, %s, %s; %s; %d partitions; %s\n", r.Machine.Cores, r.Machine.Model,
		r.Machine.System, versionsText(r.Versions), r.Partitions, r.At.Format(time.RFC3339))
	return err
}

// reportJSON prints one report.
func reportJSON(w io.Writer, format output, r bench.Report) error {
	out := json.NewEncoder(w)
	if format.String() == string(outputJSON) {
		out.SetIndent("", "  ")
	}
	return out.Encode(r)
}
