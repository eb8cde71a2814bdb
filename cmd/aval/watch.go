package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline"
)

const (
	watchIntervalDefault = 2 * time.Second
	watchIntervalMin     = 200 * time.Millisecond
	// watchPatience is how long one look may take.
	watchPatience = 10 * time.Second
)

// watchFlags are the flags of aval watch.
type watchFlags struct {
	serverFlags

	format   output
	interval time.Duration
	once     bool
}

func watchCommand() *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show live what becomes of certificates, and how far each stage is behind",
		Long: `Show live what becomes of certificates, and how far each stage is behind: on a terminal as a page,
elsewhere as a line each time; -o ndjson has all of it. It reads ends and marks, and of records only new refusals; it
joins no group, and nobody works less for it.

  invited, issued, closed   messages that the log ever took in; one that was sent twice counts twice
  refused … lapsed          of those that were closed without a certificate, since this began to watch
  open                      pre-issues that wait for the buyer now
  held                      certificates whose money is frozen or drawn now

Lag is counted from what a stage has committed, which is up to a second behind what it has done. Seconds are the age of
the oldest record that is not done, of the partition with the most of them.`,
		Example: `  aval watch
  aval watch --interval 500ms
  aval watch --once -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	f.format.register(c)
	c.Flags().DurationVar(&f.interval, "interval", watchIntervalDefault, "how long from one look to the next")
	c.Flags().BoolVar(&f.once, "once", false, "look once, and end")
	return c
}

func (f *watchFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	if f.interval < watchIntervalMin {
		return usage("--interval %v, must be at least %v", f.interval, watchIntervalMin)
	}
	logger := f.logger(stderr)
	live := !f.once && f.format.String() == string(outputTable) && isTerminal(stdout) && os.Getenv("TERM") != "dumb"
	if live {
		logger = slog.New(slog.DiscardHandler) // its lines would break the page, which says the same
	}
	s, err := connect(ctx, f.place(), logger)
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	w := newWatch(s)
	if f.once {
		return f.look(ctx, w, stdout)
	}
	show := func(ctx context.Context) error { return f.lines(ctx, w, stdout, stderr) }
	if live {
		page := &watchPage{
			look: w.look, interval: f.interval, colour: os.Getenv("NO_COLOR") == "",
			size: func() (int, int) { return terminalSize(stdout) },
		}
		show = func(ctx context.Context) error { return page.show(ctx, stdout) }
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	return pipeline.Run(ctx, w.follow, show)
}

// look shows how things stand, once.
func (f *watchFlags) look(ctx context.Context, w *watch, stdout io.Writer) error {
	view, err := w.look(ctx)
	if err != nil {
		return err
	}
	if f.format != "" && f.format != outputTable {
		return printOne(stdout, f.format, view)
	}
	_, err = fmt.Fprintln(stdout, strings.Join(view.lines(), "\n"))
	return err
}

// lines shows how things stand, a line each time, until ctx ends.
func (f *watchFlags) lines(ctx context.Context, w *watch, stdout, stderr io.Writer) error {
	p := newPrinter[watchView](stdout, cmp.Or(f.format, outputTable))
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		view, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return f.closed(p)
		case err != nil:
			_, err = fmt.Fprintln(stderr, "aval:", err) // and it looks again
		case f.format == "" || f.format == outputTable:
			_, err = fmt.Fprintln(stdout, view.line())
		default:
			err = errors.Join(p.print(view), p.flush())
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.closed(p)
		case <-ticker.C:
		}
	}
}

// closed ends a list.
func (f *watchFlags) closed(p *printer[watchView]) error {
	if f.format == "" || f.format == outputTable {
		return nil
	}
	return p.close()
}
