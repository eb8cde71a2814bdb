package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

// inviteFlags are the flags of aval invite.
type inviteFlags struct {
	serverFlags

	input     string
	report    string
	resume    bool
	wait      string
	timeout   time.Duration
	directory uint64
	columns   bool
	progress  string
	format    output
}

func inviteCommand() *cobra.Command {
	var f inviteFlags
	c := &cobra.Command{
		Use:   "invite FILE",
		Short: "Hand a file of invitations in, row by row",
		Long: `Hand a file of invitations in, each of which asks for a certificate: CSV with a header (--columns lists
what it may name), or NDJSON, where each line is an object of the message Invitation as ProtoJSON writes it. FILE is a
file, or - for the standard input.

Rows are handed to Kafka in their order, many at a time. What is wrong with a row is told, and its neighbours go on.
It is safe to do twice: an invitation's id is derived from receiving bank, seller and reference, and the same again
changes nothing.

With --report REPORT each row is told in a CSV file once Kafka has it: its line, the seller's reference, the
invitation's id, the outcome (sent, invalid; offered, issued, refused, undecided), the reason, and the certificate's
id. A run that was cut off, started again, goes on where its report ends; REPORT.progress says where that is.

With --wait each row is told once it is refused, issued, or the buyer's to answer (offered); with --wait=final an offer
is waited for too. Where no decision comes for --timeout, the row that is waited for is told as undecided; it may be
decided later.

` + exitHelp,
		Example: `  aval invite orders.csv --report report.csv
  aval invite orders.ndjson --report report.csv --wait --timeout 2m
  zcat orders.csv.gz | aval invite - --report report.csv -o json`,
		Args: func(c *cobra.Command, args []string) error {
			if f.columns {
				return nil
			}
			return oneArgument("FILE")(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.columns {
				return failed(listColumns(f.format, c.OutOrStdout()))
			}
			return failed(f.run(c.Context(), args[0], c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	return c
}

func (f *inviteFlags) register(c *cobra.Command) {
	f.serverFlags.register(c, groupTrace)
	c.Flags().StringVar(&f.input, "format", string(invite.FormatAuto),
		"how FILE is written: csv, ndjson, or auto, by its name or its first byte")
	c.Flags().StringVar(&f.report, "report", "", "tell what became of each row in this CSV file")
	c.Flags().BoolVar(&f.resume, "resume", true, "go on where the report of a cut run ends; =false begins anew")
	c.Flags().StringVar(&f.wait, "wait", "",
		"wait until each row is refused, issued or offered (=final: until offers are answered)")
	c.Flags().Lookup("wait").NoOptDefVal = string(invite.WaitOffered)
	c.Flags().DurationVar(&f.timeout, "timeout", invite.TimeoutDefault, "how long to wait while no decision comes")
	c.Flags().Uint64Var(&f.directory, "directory-version", 0,
		"version of the directory for rows that give none (default: the newest)")
	c.Flags().BoolVar(&f.columns, "columns", false, "list the columns that a CSV file may have, and end")
	c.Flags().StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	f.format.register(c)
	completeWords(c, "format", invite.Formats()...)
	completeWords(c, "wait", string(invite.WaitOffered), string(invite.WaitFinal))
	completeWords(c, "progress", demo.ProgressAuto, demo.ProgressPlain, demo.ProgressJSON, demo.ProgressNone)
	_ = c.MarkFlagFilename("report", "csv")
}

// config is the flags' part of a run.
func (f *inviteFlags) config(stderr io.Writer) (invite.Config, error) {
	c := invite.Config{
		Format: invite.Format(f.input), Version: f.directory, Report: f.report, Resume: f.resume,
		Wait: invite.Wait(f.wait), Timeout: f.timeout, Now: time.Now,
	}
	switch c.Format {
	case invite.FormatAuto, invite.FormatCSV, invite.FormatNDJSON:
	default:
		return c, usage("--format %q, must be auto, csv or ndjson", f.input)
	}
	switch c.Wait {
	case invite.WaitNone, invite.WaitOffered, invite.WaitFinal:
	default:
		return c, usage("--wait=%s, must be offered or final", f.wait)
	}
	if c.Timeout <= 0 {
		return c, usage("--timeout %v, must be above 0", f.timeout)
	}
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return c, &codeError{code: exitUsage, err: err}
	}
	if c.Progress = progress; f.progress == demo.ProgressAuto {
		c.Progress = demo.Late(progress, time.Now)
	}
	return c, nil
}

func (f *inviteFlags) run(ctx context.Context, path string, stdin io.Reader, stdout, stderr io.Writer) error {
	c, err := f.config(stderr)
	if err != nil {
		return err
	}
	in, err := invite.Open(ctx, path, stdin)
	if err != nil {
		return usage("%w", err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	if err := invite.Check(in, c); err != nil {
		return badInput(err)
	}
	s, err := connect(ctx, f.place(), f.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	if c.Partitions = s.partitions; c.Version == 0 {
		if c.Version, err = s.newestDirectory(ctx); err != nil {
			return err
		}
	}
	summary, err := invite.Run(ctx, in, c, invite.Deps{
		Publisher: s.entrance(), Log: s.kafka, Marks: s.kafka, Recall: s.recall,
	})
	if fault := (*invite.InputError)(nil); errors.As(err, &fault) {
		return badInput(err)
	}
	return f.finish(c, summary, err, stdout, stderr)
}

// badInput is wrong usage where nothing of the input can be taken.
func badInput(err error) error {
	if fault := (*invite.InputError)(nil); errors.As(err, &fault) {
		return usage("%w", err)
	}
	return err
}

// newestDirectory is the newest version of the directory.
func (s *system) newestDirectory(ctx context.Context) (version uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = readDirectory(ctx, s.kafka, 0, func(offset int64, body *schemas.Directory) {
		if body != nil {
			version = uint64(offset) + 1 //nolint:gosec // offsets are not below zero
		}
	})
	if err == nil && version == 0 {
		err = usage("no directory of participants, by which issuing banks are found, was published in the "+
			"namespace %s: `aval directory publish` publishes one", s.namespace)
	}
	return version, err
}

// finish prints what became of the rows, and says by its error what did not go well.
func (f *inviteFlags) finish(c invite.Config, s invite.Summary, err error, stdout, stderr io.Writer) error {
	columns := inviteColumns(c.Wait != invite.WaitNone)
	if err := printOne(stdout, f.format, newInviteSummary(c, s), columns...); err != nil {
		return err
	}
	for i, fault := range s.Faults {
		_, _ = fmt.Fprintf(stderr, "line %d: %s\n", fault.Line, fault.Reason)
		if more := s.Invalid - len(s.Faults); more > 0 && i == len(s.Faults)-1 {
			_, _ = fmt.Fprintf(stderr, "and %d more\n", more)
		}
	}
	var stop *invite.StopError
	switch {
	case errors.As(err, &stop):
		return &codeError{code: exitInvalid, err: err}
	case err != nil:
		return f.unfinished(s, err)
	case s.Undecided > 0:
		return fmt.Errorf("%d of %d rows are undecided, and no decision came for %v: are all stages running "+
			"(aval run)? Kafka has them; run again with --wait to see what became of them",
			s.Undecided, s.Rows, f.timeout)
	case s.Offered > 0 && c.Wait == invite.WaitFinal:
		return fmt.Errorf("%d of %d rows wait for their buyers, and no decision came for %v: they may answer later; "+
			"run again to see", s.Offered, s.Rows, f.timeout)
	case s.Invalid+s.Refused > 0:
		return &codeError{code: exitInvalid, err: errors.New(f.unwell(s))}
	}
	return nil
}

// unwell says how many rows came to nothing.
func (f *inviteFlags) unwell(s invite.Summary) string {
	var texts []string
	if s.Invalid > 0 {
		texts = append(texts, fmt.Sprintf("%d invalid", s.Invalid))
	}
	if s.Refused > 0 {
		texts = append(texts, fmt.Sprintf("%d refused", s.Refused))
	}
	return fmt.Sprintf("of %d rows, %s%s", s.Rows, strings.Join(texts, " and "), f.where())
}

// where says where each row is told.
func (f *inviteFlags) where() string {
	if f.report == "" {
		return ": give --report FILE to see which, and why"
	}
	return ": " + f.report + " says which, and why"
}

// unfinished says how to go on.
func (f *inviteFlags) unfinished(s invite.Summary, err error) error {
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted after %d rows", s.Rows)
	}
	if f.report == "" {
		return fmt.Errorf("%w; the same again is safe, and goes on where it was cut off with --report", err)
	}
	return fmt.Errorf("%w; the same again goes on after what %s tells", err, f.report)
}

// inviteSummary is what became of the rows, as it is printed.
type inviteSummary struct {
	invite.Counts

	Resumed       int            `json:"resumed"`
	Milliseconds  int64          `json:"milliseconds"`
	RowsPerSecond int64          `json:"rows_per_second"`
	Directory     uint64         `json:"directory_version"`
	Report        string         `json:"report,omitempty"`
	Faults        []invite.Fault `json:"faults,omitempty"`
}

func newInviteSummary(c invite.Config, s invite.Summary) inviteSummary {
	out := inviteSummary{
		Counts: s.Counts, Resumed: s.Resumed, Milliseconds: s.Took.Milliseconds(), Directory: c.Version,
		Report: c.Report, Faults: s.Faults,
	}
	if s.Took > 0 {
		out.RowsPerSecond = int64(s.Rows-s.Resumed) * int64(time.Second) / int64(s.Took)
	}
	return out
}

func inviteColumns(waits bool) []column[inviteSummary] {
	number := func(of func(inviteSummary) int) func(inviteSummary) string {
		return func(s inviteSummary) string { return strconv.Itoa(of(s)) }
	}
	columns := []column[inviteSummary]{
		{"rows", number(func(s inviteSummary) int { return s.Rows })},
		{"sent", number(func(s inviteSummary) int { return s.Sent })},
		{"invalid", number(func(s inviteSummary) int { return s.Invalid })},
	}
	if waits {
		columns = append(columns,
			column[inviteSummary]{"offered", number(func(s inviteSummary) int { return s.Offered })},
			column[inviteSummary]{"issued", number(func(s inviteSummary) int { return s.Issued })},
			column[inviteSummary]{"refused", number(func(s inviteSummary) int { return s.Refused })},
			column[inviteSummary]{"undecided", number(func(s inviteSummary) int { return s.Undecided })})
	}
	return append(columns,
		column[inviteSummary]{"resumed", number(func(s inviteSummary) int { return s.Resumed })},
		column[inviteSummary]{"took", func(s inviteSummary) string {
			return (time.Duration(s.Milliseconds) * time.Millisecond).String()
		}},
		column[inviteSummary]{"rows/s", number(func(s inviteSummary) int { return int(s.RowsPerSecond) })})
}

// csvColumn is a column of a CSV of invitations, as it is printed.
type csvColumn struct {
	Name   string `json:"name"`
	Needed bool   `json:"needed"`
	Help   string `json:"help"`
}

func listColumns(format output, stdout io.Writer) error {
	p := newPrinter(stdout, format,
		column[csvColumn]{"column", func(c csvColumn) string { return c.Name }},
		column[csvColumn]{"needed", func(c csvColumn) string {
			if c.Needed {
				return "yes"
			}
			return "no"
		}},
		column[csvColumn]{"what it holds", func(c csvColumn) string { return c.Help }})
	for _, c := range invite.Columns() {
		if err := p.print(csvColumn{c.Name, c.Needed, c.Help}); err != nil {
			return err
		}
	}
	return p.close()
}
