package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/producers/demo"
)

// replayFlags are the flags of aval replay.
type replayFlags struct {
	keptFlags

	stages   []string
	from, to string
	tempDir  string
	progress string
	format   output

	bounds offsetBounds
}

func replayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay",
		Short: "Do recorded work again, and compare it with what the log says",
		Long: `Do the work of stages again, over their recorded input, and compare: what follows from each input must
be what stands in the log, byte for byte. Follows are matched by the identifier of their cause; where they stand, and
whether they stand there more than once, makes no difference. Books decide their recorded commands again, by their own
script, in an empty Redis inside this process; the answers and the digests must be the journal's. Signatures are
verified, with the keys of the directory in the log, and not made again. Nothing is written, and the system may go on
meanwhile: input that its stage is not done with is not compared.

The stages are ` + strings.Join(replayNames(), ", ") + `; without --stage all of them are
replayed, and -o json prints a line for each. --from and --to bound the input: both are an offset, the same in every
partition of what the stage reads, or a time at which the broker took a record in (RFC 3339, or how long ago: 90m, 24h,
7d). The state that a book begins with is then what its journal says.

Memory does not depend on how much is compared: what does not fit goes into files in --temp-dir, about 130 bytes for
each follow.

Exit codes: 0 no difference, 1 differences, 2 wrong usage or a range that the topics do not keep, 4 it could not be
checked.`,
		Example: `  aval replay
  aval replay --stage certificate --from 24h
  aval replay --stage ledger --from 10000 --to 20000 -o json
  aval replay --data-dir data`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return unchecked(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	f.format.register(c)
	c.Flags().StringSliceVar(&f.stages, "stage", nil, "the stages, such as "+strings.Join(replayNames()[:3], ",")+
		" (default: all)")
	completeWords(c, "stage", replayNames()...)
	c.Flags().StringVar(&f.from, "from", "", "the first input: an offset, a time (RFC 3339), or how long ago: 24h, 7d")
	c.Flags().StringVar(&f.to, "to", "", "the input to stop before: an offset, a time (RFC 3339), or how long ago")
	registerTempDir(c, &f.tempDir)
	c.Flags().StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	return c
}

// registerTempDir gives the command the flag for what does not fit into memory.
func registerTempDir(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "temp-dir", "",
		"keep what does not fit into memory in this folder (default: the system's)")
	_ = c.MarkFlagDirname("temp-dir")
}

// replayNames are the stages that can be replayed, in the order of the flow: those that have no effect outside.
func replayNames() []string {
	return []string{
		"invitation", "ledger", "routing", "request", "relay", "funding", "certificate", "advice", "deadletter",
	}
}

// check refuses what contradicts itself.
func (f *replayFlags) check() (err error) {
	if err := f.keptFlags.check(); err != nil {
		return err
	}
	for i, name := range f.stages {
		switch {
		case slices.Contains(f.stages[:i], name):
			return usage("--stage %s is named twice", name)
		case slices.Contains(replayNames(), name):
		case slices.Contains(stageNames(), name):
			return usage("stage %s has effects outside, and cannot be replayed; there are %s", name,
				strings.Join(replayNames(), ", "))
		default:
			return usage("there is no stage %q%s; there are %s", name, didYouMean(name, replayNames()),
				strings.Join(replayNames(), ", "))
		}
	}
	if len(f.stages) == 0 {
		f.stages = replayNames()
	}
	if err := checkTempDir(f.tempDir); err != nil {
		return err
	}
	f.bounds, err = parseOffsetBounds(f.from, f.to)
	return err
}

// replayed is what a replay of one stage found.
type replayed struct {
	Stage       string              `json:"stage"`
	Inputs      int64               `json:"inputs"`
	Follows     int64               `json:"follows"`
	Differences []replay.Difference `json:"differences"`
}

func (f *replayFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return &codeError{code: exitUsage, err: err}
	}
	s, closeAll, err := f.connect(ctx, f.logger(stderr), findLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	different := false
	for _, name := range f.stages {
		r := &replayRun{system: s, flags: f, name: name, progress: progress}
		r.print = newReplayPrinter(stdout, f.format, name)
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("replay %s: %w", name, err)
		}
		different = different || r.print.differences > 0
	}
	if different {
		return &codeError{code: exitFailed}
	}
	return nil
}

// findLog finds a system's log: what there is in Redis does not matter.
func findLog(ctx context.Context, p place, logger *slog.Logger) (*system, error) {
	s, err := connectKafka(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	if s.partitions, err = s.stands(ctx, p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// replayPrinter prints the differences of one stage as they are found, and then what was compared.
type replayPrinter struct {
	w           io.Writer
	format      output
	stage       string
	differences int
	rows        *printer[replay.Difference]
}

func newReplayPrinter(w io.Writer, format output, stage string) *replayPrinter {
	p := &replayPrinter{w: w, format: format, stage: stage}
	if output(format.String()) == outputTable {
		p.rows = newPrinter(w, outputTable,
			column[replay.Difference]{"where", func(d replay.Difference) string {
				return pipeline.Place{Topic: d.Topic, Partition: d.Partition, Offset: d.Offset}.String()
			}},
			column[replay.Difference]{"cause", func(d replay.Difference) string { return d.Cause }},
			column[replay.Difference]{"what", func(d replay.Difference) string { return d.What }})
	}
	return p
}

// difference prints one.
func (p *replayPrinter) difference(d replay.Difference) error {
	p.differences++
	if p.rows != nil {
		return p.rows.print(d)
	}
	before := ","
	if p.differences == 1 {
		name, err := json.Marshal(p.stage)
		if err != nil {
			return err
		}
		before = fmt.Sprintf(`{"stage":%s,"differences":[`, name)
	}
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.w, "%s%s", before, text)
	return err
}

// end prints what was compared.
func (p *replayPrinter) end(inputs, follows int64) error {
	if p.rows == nil && p.differences == 0 {
		return json.NewEncoder(p.w).Encode(replayed{
			Stage: p.stage, Inputs: inputs, Follows: follows, Differences: []replay.Difference{},
		})
	}
	if p.rows == nil {
		_, err := fmt.Fprintf(p.w, "],\"inputs\":%d,\"follows\":%d}\n", inputs, follows)
		return err
	}
	if err := p.rows.close(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.w, "%s: %d inputs, %d follows, %s\n", p.stage, inputs, follows, differences(p.differences))
	return err
}

func differences(n int) string {
	switch n {
	case 0:
		return "no difference"
	case 1:
		return "1 difference"
	}
	return fmt.Sprintf("%d differences", n)
}
