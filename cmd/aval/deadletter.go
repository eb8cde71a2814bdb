package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/schemas"
)

func deadLetterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "deadletter",
		Short: "See what nobody could read, and have it read again",
		Long: `See what nobody could read, and have it read again. A record that no stage and no book can read stops
nobody: it becomes a dead letter, which keeps its bytes and says why. A letter is named after where its original stands:
TOPIC/PARTITION/OFFSET. When the cause is mended it can be redriven, else it can be discarded; each such act stands on
the topic audits, with who did it and when.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(letterListCommand(), letterShowCommand(), letterActCommand(schemas.ActKind_ACT_KIND_REDRIVE),
		letterActCommand(schemas.ActKind_ACT_KIND_DISCARD))
	return c
}

func letterListCommand() *cobra.Command {
	var f keptFlags
	var format output
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, and why nobody could read them",
		Long: `List dead letters, and why nobody could read them: those on which nobody has acted, or all. The time is
what the original says of itself, where it does. Bytes that are no letters are shown as \x1b, what looks like the number
of a card as ************1111.`,
		Example: `  aval deadletter list
  aval deadletter list --all -o ndjson --data-dir data`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return failed(withLetters(c.Context(), &f, c.ErrOrStderr(), func(ctx context.Context, l *letters) error {
				return l.list(ctx, c.OutOrStdout(), format, all)
			}))
		},
	}
	f.register(c)
	format.register(c)
	c.Flags().BoolVar(&all, "all", false, "those that were redriven or discarded, too")
	return c
}

func letterShowCommand() *cobra.Command {
	var f keptFlags
	var format output
	var bytes int
	c := &cobra.Command{
		Use:   "show LETTER",
		Short: "Show a dead letter with its original, safely",
		Long: `Show a dead letter with its original's key, headers and value. What could harm a terminal is shown as
\x1b, what looks like the number of a card as ************1111, in JSON too: the bytes themselves stand in the log
alone.`,
		Example: `  aval deadletter show movements/3/1207
  aval deadletter show movements/3/1207 --bytes 100000 -o json`,
		Args: oneArgument("LETTER"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if bytes < 1 {
				return usage("--bytes %d, must be at least 1", bytes)
			}
			return failed(withLetters(c.Context(), &f, c.ErrOrStderr(), func(ctx context.Context, l *letters) error {
				return l.show(ctx, c.OutOrStdout(), format, args[0], bytes)
			}))
		},
	}
	f.register(c)
	format.register(c)
	c.Flags().IntVar(&bytes, "bytes", bytesShown, "of each part so many bytes at most")
	return c
}

// bytesShown is how much of an original is shown.
const bytesShown = 4096

// letterActCommand is redrive or discard.
func letterActCommand(kind schemas.ActKind) *cobra.Command {
	var f keptFlags
	var format output
	a := act{kind: kind, by: userName()}
	c := &cobra.Command{
		Use:   "redrive LETTER...",
		Short: "Publish the originals of dead letters again, as they are",
		Long: `Publish the originals of dead letters again, as they are: each to its topic, in the partition of its key.
Do so when the cause is mended: what still cannot be read becomes a letter again, of another offset. What can be read is
done once, however often it is published, since its id is its own; and a letter that was redriven is not published
again but with --again. What stands in a journal is not published: its owner alone writes there.`,
		Example: `  aval deadletter redrive movements/3/1207
  aval deadletter redrive --all --note "parser mended"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			switch {
			case a.all == (len(args) > 0):
				return usage("name the letters (TOPIC/PARTITION/OFFSET), or give --all")
			case a.by == "":
				return usage("--by is missing: who does it?")
			case len(a.by) > schemas.NameMax || len(a.note) > schemas.NameMax:
				return usage("--by and --note have at most %d bytes", schemas.NameMax)
			}
			return failed(withLetters(c.Context(), &f, c.ErrOrStderr(), func(ctx context.Context, l *letters) error {
				return l.act(ctx, c.OutOrStdout(), format, args, a)
			}))
		},
	}
	if kind == schemas.ActKind_ACT_KIND_DISCARD {
		c.Use, c.Short = "discard LETTER...", "Say of dead letters that they need nothing more"
		c.Long = `Say of dead letters that they need nothing more. Nothing is removed: they are no longer listed, and
the topic audits keeps who said so.`
		c.Example = `  aval deadletter discard movements/3/1207 --note "a test"`
	} else {
		c.Flags().BoolVar(&a.again, "again", false, "those that were redriven before, too")
	}
	f.register(c)
	format.register(c)
	c.Flags().BoolVar(&a.all, "all", false, "all on which nobody has acted")
	c.Flags().StringVar(&a.by, "by", a.by, "who does it")
	c.Flags().StringVar(&a.note, "note", "", "why, for whoever asks later")
	return c
}

// withLetters does something with the dead letters of the namespace.
func withLetters(
	ctx context.Context, f *keptFlags, stderr io.Writer, do func(context.Context, *letters) error,
) error {
	s, closeAll, err := f.connect(ctx, f.logger(stderr), connectKafka)
	if err != nil {
		return err
	}
	l := &letters{kafka: s.kafka, namespace: s.namespace}
	if l.partitions, err = s.kafka.Partitions(ctx, schemas.TopicDeadLetters); err == nil {
		err = do(ctx, l)
	}
	if closed := closeAll(); err == nil {
		err = closed
	}
	return err
}

// checkLetters refuses what names no letter.
func checkLetters(names ...string) error {
	for _, name := range names {
		if err := checkLetter(name); err != nil {
			return err
		}
	}
	return nil
}

func checkLetter(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) == 3 {
		_, known := schemas.TopicOf(parts[0])
		_, wrong := strconv.ParseUint(parts[1], 10, 31)
		if _, err := strconv.ParseUint(parts[2], 10, 63); known && wrong == nil && err == nil {
			return nil
		}
	}
	return usage("%q is no dead letter, must be TOPIC/PARTITION/OFFSET: movements/3/1207", name)
}

func noLetter(name, namespace string) error {
	return &codeError{code: exitInvalid, err: fmt.Errorf("there is no dead letter %s in the namespace %s; "+
		"`aval deadletter list --all` shows those that there are", name, namespace)}
}
