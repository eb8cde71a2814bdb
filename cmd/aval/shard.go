package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book"
)

// shardLookFlags are the flags of aval shard.
type shardLookFlags struct {
	keptFlags

	book   string
	format output
}

func shardCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shard",
		Short: "See who owns the shards of the books, and how they stand",
		Long: `See who owns the shards of the books, and how they stand. A shard is one partition of a book: it has one
owner at a time, which decides its commands in order and keeps its state in Redis; the journal is the truth.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(shardListCommand(), shardShowCommand())
	return c
}

const shardHelp = `The epoch is the offset of the owner's takeover in the journal. The position is the command up to
which the journal answers, and the lag is what is not decided yet: records, and the age of the oldest of them. The state
in Redis is level with the journal, behind, ahead (one batch that is decided and not written yet, for a moment), apart
(it contradicts the journal, and is made anew as soon as its owner sees that), or empty. The last recovery tells how its
owner found the state: as-it-was, behind, ahead, empty, or rebuilt because it contradicted the journal.`

func shardListCommand() *cobra.Command {
	var f shardLookFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the shards of the books",
		Long: `List the shards of the books: who owns each, how far it has come, and how it was recovered last.

` + shardHelp,
		Example: `  aval shard list
  aval shard list --book accounts -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.run(c.Context(), "", c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	f.format.register(c)
	c.Flags().StringVar(&f.book, "book", "", "only those of the book: accounts or pre-issues")
	completeWords(c, "book", shardBooks()...)
	return c
}

func shardShowCommand() *cobra.Command {
	var f shardLookFlags
	c := &cobra.Command{
		Use:   "show BOOK/SHARD",
		Short: "Show a shard of a book",
		Long: `Show a shard of a book, with the digests of its history in Redis and in the journal: where both stand
at the same position they are the same.

` + shardHelp,
		Example: `  aval shard show accounts/3
  aval shard show pre-issues/0 -o json`,
		Args: oneArgument("BOOK/SHARD"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(f.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	f.format.register(c)
	return c
}

func shardBooks() []string { return []string{ledger.Book{}.Name(), preissue.Book{}.Name()} }

// run prints one shard, or all.
func (f *shardLookFlags) run(ctx context.Context, name string, stdout, stderr io.Writer) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	only := -1
	if name != "" {
		var text string
		f.book, text, _ = strings.Cut(name, "/")
		if only, err = strconv.Atoi(text); err != nil || only < 0 {
			return usage("%q is no shard, must be BOOK/SHARD: accounts/3", name)
		}
	}
	if f.book != "" && f.book != shardBooks()[0] && f.book != shardBooks()[1] {
		return usage("there is no book %q, there are %s", f.book, strings.Join(shardBooks(), " and "))
	}
	s, closeAll, err := f.connect(ctx, f.logger(stderr), connect)
	if err != nil {
		return unchecked(err)
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if only >= s.partitions {
		return &codeError{code: exitInvalid, err: fmt.Errorf("there is no shard %s: the namespace %s has %d, from 0 on",
			name, s.namespace, s.partitions)}
	}
	return f.print(ctx, s, only, stdout)
}

func (f *shardLookFlags) print(ctx context.Context, s *system, only int, stdout io.Writer) error {
	p := newPrinter(stdout, f.format, shardColumns(only >= 0)...)
	for _, of := range []struct {
		stage string
		book  book.Book
	}{{"ledger", ledger.Book{}}, {"request", preissue.Book{}}} {
		switch {
		case f.book != "" && f.book != of.book.Name():
			continue
		case only >= 0:
			view, err := s.shard(ctx, of.stage, of.book, only)
			if err != nil {
				return unchecked(err)
			}
			return printOne(stdout, f.format, view, shardColumns(true)...)
		}
		for number := range s.partitions {
			view, err := s.shard(ctx, of.stage, of.book, number)
			if err == nil {
				err = p.print(view)
			}
			if err != nil {
				return errors.Join(unchecked(err), p.close())
			}
		}
	}
	return p.close()
}

// shardView is a shard as it is printed.
type shardView struct {
	Book          string        `json:"book"`
	Shard         int           `json:"shard"`
	Owner         string        `json:"owner,omitempty"` // of the last takeover
	Epoch         int64         `json:"epoch"`           // -1: nobody has taken it over
	Since         string        `json:"since,omitempty"` // of the takeover
	Position      int64         `json:"position"`        // the command up to which the journal answers
	JournalEnd    int64         `json:"journal_end"`
	JournalDigest string        `json:"journal_digest"`
	RedisPosition int64         `json:"redis_position"`
	RedisDigest   string        `json:"redis_digest"`
	State         string        `json:"state"` // level, behind, ahead, apart, empty
	LagRecords    int64         `json:"lag_records"`
	LagSeconds    int64         `json:"lag_seconds"`
	Recovery      *recoveryView `json:"recovery,omitempty"`
}

type recoveryView struct {
	Time  string `json:"time"`
	Cause string `json:"cause"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
}

func shardColumns(whole bool) []column[shardView] {
	number := func(of func(shardView) int64) func(shardView) string {
		return func(v shardView) string { return strconv.FormatInt(of(v), 10) }
	}
	columns := []column[shardView]{
		{"shard", func(v shardView) string { return fmt.Sprintf("%s/%d", v.Book, v.Shard) }},
		{"owner", func(v shardView) string { return cmp.Or(v.Owner, "-") }},
		{"epoch", number(func(v shardView) int64 { return v.Epoch })},
		{"position", number(func(v shardView) int64 { return v.Position })},
		{"lag", number(func(v shardView) int64 { return v.LagRecords })},
		{"seconds", number(func(v shardView) int64 { return v.LagSeconds })},
		{"redis", func(v shardView) string { return fmt.Sprintf("%s (%d)", v.State, v.RedisPosition) }},
		{"recovered", shardView.recovered},
		{"digest", func(v shardView) string { return digestCell(v.JournalDigest, whole) }},
	}
	if whole {
		columns = append(columns, column[shardView]{"redis digest", func(v shardView) string {
			return digestCell(v.RedisDigest, whole)
		}})
	}
	return columns
}

func (v shardView) recovered() string {
	if v.Recovery == nil {
		return "-"
	}
	return v.Recovery.Cause + " " + v.Recovery.Time
}

// digestCell is the beginning of a digest, where it is not wanted whole.
func digestCell(digest string, whole bool) string {
	if whole || len(digest) < 8 {
		return cmp.Or(digest, "-")
	}
	return digest[:8]
}

// stateOf is how the state in Redis stands to the journal.
func stateOf(st book.Standing, to int64, digest string) string {
	switch {
	case !st.Known:
		return "empty"
	case st.At < to:
		return "behind"
	case st.At > to:
		return "ahead"
	case st.Digest != digest:
		return "apart"
	}
	return "level"
}

// age is how long ago a time was, in whole seconds.
func age(t, now time.Time) int64 {
	return max(int64(now.Sub(t)/time.Second), 0)
}
