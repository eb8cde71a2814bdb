package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func invitationCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "invitation",
		Short: "Tell what became of an invitation",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(showCommand("invitation", `  aval invitation show 9f86d081884c7d659a2feaa0c55ad015 --follow
  aval invitation show --seller shop --reference order-1 --receiving-bank AVALBRSPRCV`))
	return c
}

// whichFlags say which invitation is meant: by an identifier, or by what makes it one.
type whichFlags struct{ seller, reference, bank string }

func (w *whichFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&w.seller, "seller", "", "in place of an ID: the seller, with --reference and --receiving-bank")
	c.Flags().StringVar(&w.reference, "reference", "", "the seller's reference")
	c.Flags().StringVar(&w.bank, "receiving-bank", "", "the bank of the seller")
}

// id is the identifier that was given, or the one that follows.
func (w *whichFlags) id(c *cobra.Command, args []string) (string, error) {
	named := w.seller != "" && w.reference != "" && w.bank != ""
	some := w.seller+w.reference+w.bank != ""
	switch {
	case len(args) == 1 && !some && args[0] != "":
		return args[0], nil
	case len(args) == 0 && named:
		return schemas.InvitationID(w.bank, w.seller, w.reference), nil
	case len(args) == 0 && some:
		return "", usage("--seller, --reference and --receiving-bank go together: they make an invitation one")
	}
	return "", usage("%s takes one ID, or --seller, --reference and --receiving-bank; see %s --help",
		c.CommandPath(), c.CommandPath())
}

// showCommand is show of an invitation or of a certificate: the story is the same.
func showCommand(noun, example string) *cobra.Command {
	var flags serverFlags
	var format output
	var which whichFlags
	var follow bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Tell the whole story of one, with times, and where in the log it stands",
		Long: `Tell the whole story of one: what was asked, what each side decided, and why, with times, topics and
offsets. The ID is the invitation's, the certificate's or the hold's. It tells more than a seller may know.

With --follow it goes on telling what happens, until nothing more will.

The stage register keeps where to look, for 90 days; the words are read in the log.`,
		Example: example,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := which.id(c, args)
			if err != nil {
				return err
			}
			s := &show{format: format, follow: follow, stdout: c.OutOrStdout(), stderr: c.ErrOrStderr()}
			return failed(s.run(c.Context(), &flags, id))
		},
	}
	flags.register(c)
	format.register(c)
	which.register(c)
	c.Flags().BoolVar(&follow, "follow", false, "go on until nothing more will happen to the "+noun)
	return c
}

// show tells a story.
type show struct {
	format         output
	follow         bool
	stdout, stderr io.Writer
	told           map[pipeline.Place]bool
	printer        *printer[event]
}

func (w *show) run(ctx context.Context, flags *serverFlags, id string) error {
	s, err := connect(ctx, flags.place(), flags.logger(w.stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	patience := time.Duration(0)
	if w.follow {
		patience = comePatience
	}
	story, err := s.story(ctx, id, patience)
	if err != nil {
		return err
	}
	if !w.follow {
		return errors.Join(w.print(taleOf(story)), w.close())
	}
	err = errors.Join(s.follow(ctx, story, w.events), w.close())
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // whoever follows stops when they have seen enough
	}
	return err
}

// Pauses and patience of those who wait for the register.
const (
	lookEvery     = 100 * time.Millisecond
	comePatience  = 10 * time.Second // for what is still to be sent
	finalPatience = 5 * time.Second  // for the register, and what follows from a final decision
)

// story returns a story by any of its identifiers, waiting for one that is still to come.
func (s *system) story(ctx context.Context, id string, patience time.Duration) (register.Story, error) {
	invitation, err := s.find(ctx, id)
	for until := time.Now().Add(patience); err != nil && time.Now().Before(until); {
		if coded := (*codeError)(nil); !errors.As(err, &coded) {
			break
		}
		if err := pipeline.Pause(ctx, lookEvery); err != nil {
			return register.Story{}, err
		}
		invitation, err = s.find(ctx, id)
	}
	if err != nil {
		return register.Story{}, err
	}
	return s.stories().Story(ctx, invitation)
}

// find returns the invitation that an identifier belongs to. What stands in the log when it is asked is found, as soon
// as the register has heard of it.
func (s *system) find(ctx context.Context, id string) (invitation string, err error) {
	stories := s.stories()
	if invitation, err = stories.Find(ctx, id); !errors.Is(err, register.ErrUnknown) {
		return invitation, err
	}
	behind, err := s.registerHears(ctx)
	if err != nil {
		return "", err
	}
	if invitation, err = stories.Find(ctx, id); !errors.Is(err, register.ErrUnknown) {
		return invitation, err
	}
	why := fmt.Sprintf("the register of the namespace %s forgets after 90 days", s.namespace)
	if behind > 0 {
		why = fmt.Sprintf("the register is %d records behind: does the stage register run (aval run)?", behind)
	}
	return "", refused("%s is no invitation, certificate or hold that is known: %s", cell(oneLine(id)), why)
}

// registerHears waits, for a while, until the register has read what stands in the log now, and returns how many
// records it has not.
func (s *system) registerHears(ctx context.Context) (behind int64, err error) {
	r := register.New(s.redis, s.register())
	ends := map[string][]int64{}
	for _, topic := range r.Reads() {
		for partition := range s.partitions {
			_, end, err := s.kafka.Bounds(ctx, topic, partition)
			if err != nil {
				return 0, err
			}
			ends[topic] = append(ends[topic], end)
		}
	}
	for until := time.Now().Add(finalPatience); ; {
		if behind, err = s.registerBehind(ctx, r, ends); err != nil || behind == 0 || time.Now().After(until) {
			return behind, err
		}
		if err := pipeline.Pause(ctx, lookEvery); err != nil {
			return behind, err
		}
	}
}

// registerBehind is how many records before these ends the register has not read yet.
func (s *system) registerBehind(
	ctx context.Context, r *register.Register, ends map[string][]int64,
) (behind int64, err error) {
	for topic, partitions := range ends {
		for partition, end := range partitions {
			mark, err := r.Resume(ctx, topic, partition)
			if err != nil {
				return 0, err
			}
			first := int64(0)
			if mark.Offset < 0 {
				if first, _, err = s.kafka.Bounds(ctx, topic, partition); err != nil {
					return 0, err
				}
			}
			behind += max(end-max(mark.Offset, first), 0)
		}
	}
	return behind, nil
}

// follow tells a story again whenever there is more of it, until nothing more will be.
func (s *system) follow(ctx context.Context, story register.Story, tell func(tale) error) error {
	stories := s.stories()
	row, err := stories.Row(ctx, story.Invitation)
	for err == nil {
		if err = tell(taleOf(story)); err != nil {
			return err
		}
		var more bool
		if row, more, err = awaitMore(ctx, stories, story, row); err != nil || !more {
			return err
		}
		story, err = stories.Story(ctx, story.Invitation)
	}
	return err
}

// awaitMore waits until the register knows more of a story; it says no where nothing more will come.
func awaitMore(
	ctx context.Context, stories *register.Stories, story register.Story, before register.Row,
) (row register.Row, more bool, err error) {
	until := time.Now().Add(finalPatience) // the last words of what is final may still be to come
	for row = before; len(row) == len(before); {
		if story.State.Final() && (ended(row) || time.Now().After(until)) {
			return row, false, nil
		}
		if err := pipeline.Pause(ctx, lookEvery); err != nil {
			return row, false, err
		}
		if row, err = stories.Row(ctx, story.Invitation); err != nil {
			return row, false, err
		}
	}
	return row, true, nil
}

// ended says whether the certificate, or the refusal, has come: the last of all.
func ended(row register.Row) bool {
	for _, m := range row {
		if m.Kind == register.KindIssued || m.Kind == register.KindRefused || m.Kind == register.KindDisputed {
			return true
		}
	}
	return false
}

// print tells a story whole.
func (w *show) print(t tale) error {
	if w.format == outputJSON {
		text, err := json.Marshal(t)
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return printDocument(w.stdout, w.format, text)
	}
	return w.events(t)
}

// events tells what is new in a story: at the beginning, all of it.
func (w *show) events(t tale) error {
	if w.printer == nil {
		if err := w.begin(t); err != nil {
			return err
		}
	}
	for _, e := range t.Events {
		if w.told[e.place()] {
			continue
		}
		w.told[e.place()] = true
		if err := w.printer.print(e); err != nil {
			return err
		}
	}
	return w.printer.flush()
}

func (w *show) begin(t tale) error {
	format := output(w.format.String())
	if format == outputJSON {
		format = outputNDJSON // an array would have no end
	}
	w.told, w.printer = map[pipeline.Place]bool{}, newPrinter(w.stdout, format, eventColumns()...)
	if t.Forgotten > 0 {
		_, _ = fmt.Fprintf(w.stderr, "%d more happened; the log does not keep the words of it any more\n", t.Forgotten)
	}
	if format != outputTable {
		return nil
	}
	if err := printLines(w.stdout, t.lines()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w.stdout)
	return err
}

func (w *show) close() error {
	if w.printer == nil {
		return nil
	}
	return w.printer.close()
}
