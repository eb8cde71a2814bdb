package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/fold"
)

// rebuildFlags say what is rebuilt, and up to where.
type rebuildFlags struct {
	keptFlags
	shardFlags

	to     string
	force  bool
	format output
}

func rebuildCommand() *cobra.Command {
	var f rebuildFlags
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Write the books' state into an empty Redis, from the journals",
		Long: `Write the state of both books, accounts and pre-issues, into an empty Redis: each shard's journal is
folded in memory and its rows are written once, shards side by side, one for each processor. The header comes last, so
that a shard that was cut off is never taken for whole: the same command again goes on, and begins such a shard anew.

The owner of a shard does the same by itself when it takes over an empty Redis; this command does it for all shards at
once, before any owner starts. Nothing is lost if owners work meanwhile: what is written is what the journal says, and
an owner applies what came after. A Redis that has a shard already is refused without --force, before anything is
written.

With --to the state is that of a moment of the past: for a Redis to look at, since an owner would bring it up to date.
TIME is when the broker took the journal's records in; OFFSET is a command's, of one shard of one book.`,
		Example: `  aval rebuild
  aval rebuild --book accounts --shards 0-3 --force
  aval rebuild --to 2026-11-22T18:00:00Z --redis localhost:7777`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.keptFlags.register(c)
	f.shardFlags.register(c)
	f.format.register(c)
	c.Flags().StringVar(&f.to, "to", "", "the state of a past moment: a time (RFC 3339), or a command's OFFSET")
	c.Flags().BoolVar(&f.force, "force", false, "also write shards that Redis has already, in place of what they hold")
	return c
}

// shardRebuilt is what became of a shard, as it is printed.
type shardRebuilt struct {
	Book    string `json:"book"`
	Shard   int    `json:"shard"`
	To      int64  `json:"to"`
	Entries int64  `json:"entries"`
	Rows    int64  `json:"rows"`
	Kept    bool   `json:"kept"`
}

func (f *rebuildFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	s, closeAll, err := f.connect(ctx, f.logger(stderr), connect)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	refs, err := f.chosen(s.partitions)
	if err != nil {
		return err
	}
	ends, err := f.ends(ctx, s, refs)
	if err != nil {
		return err
	}
	if err := s.mayRebuild(ctx, refs, f.force); err != nil {
		return err
	}
	began := time.Now()
	done, err := s.rebuild(ctx, refs, ends, f.force, stderr)
	p := newPrinter(stdout, f.format, rebuiltColumns()...)
	entries := int64(0)
	for _, d := range done {
		entries += d.Entries
		if err := p.print(d); err != nil {
			return err
		}
	}
	if err := errors.Join(err, p.close()); err != nil {
		return fmt.Errorf("%w; the same command again goes on", err)
	}
	took := max(time.Since(began), time.Millisecond)
	_, _ = fmt.Fprintf(stderr, "%d entries in %v, %d entries/s\n", entries, took.Round(time.Millisecond),
		entries*1000/took.Milliseconds())
	return nil
}

// end is up to where a shard's journal is folded.
type end struct {
	to    int64 // a command's offset
	until int64 // the journal's own, 0 its end
	none  bool  // nothing was there yet
}

// ends reads --to.
func (f *rebuildFlags) ends(ctx context.Context, s *system, refs []shardRef) (map[shardRef]end, error) {
	ends := wholeJournals(refs)
	if f.to == "" {
		return ends, nil
	}
	if offset, err := strconv.ParseInt(f.to, 10, 64); err == nil {
		if len(refs) != 1 || offset < 1 {
			return nil, usage("--to %s: an offset, from 1, is of one shard of one book: --book, --shards", f.to)
		}
		return map[shardRef]end{refs[0]: {to: offset}}, nil
	}
	at, err := time.Parse(time.RFC3339, f.to)
	if err != nil {
		return nil, usage("--to %q is no time such as 2026-11-22T18:00:00Z, and no offset", f.to)
	}
	for _, ref := range refs {
		until, _, err := s.kafka.Since(ctx, ref.book.Journal(), ref.shard, at)
		if err != nil {
			return nil, err
		}
		ends[ref] = end{to: fold.ToTheEnd, until: until, none: until == 0}
	}
	return ends, nil
}

func wholeJournals(refs []shardRef) map[shardRef]end {
	ends := map[shardRef]end{}
	for _, ref := range refs {
		ends[ref] = end{to: fold.ToTheEnd}
	}
	return ends
}

// mayRebuild refuses before anything is written.
func (s *system) mayRebuild(ctx context.Context, refs []shardRef, force bool) error {
	var full []string
	for _, ref := range refs {
		r := book.Rebuilder{Book: ref.book, Store: s.store(ref.book), Log: s.kafka, Force: force}
		_, err := r.Look(ctx, ref.shard)
		if notEmpty := (*book.NotEmptyError)(nil); errors.As(err, &notEmpty) {
			full = append(full, fmt.Sprintf("%s (up to command %d)", ref, notEmpty.At))
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(full) > 0 {
		return usage("Redis is not empty: it has %s; --force writes them anew, --shards leaves some out",
			strings.Join(full, ", "))
	}
	return nil
}

// rebuild writes shards, and returns what became of those that it came to.
func (s *system) rebuild(
	ctx context.Context, refs []shardRef, ends map[shardRef]end, force bool, stderr io.Writer,
) (all []shardRebuilt, err error) {
	total, err := s.records(ctx, refs)
	if err != nil {
		return nil, err
	}
	progress := &sharedProgress{Progress: lateProgress(stderr)}
	progress.Stage("rebuild shards", int(total))
	defer progress.Done()
	var mu sync.Mutex
	err = eachShard(ctx, refs, func(ctx context.Context, ref shardRef) error {
		end := ends[ref]
		if end.none {
			return nil
		}
		r := book.Rebuilder{
			Book: ref.book, Store: s.store(ref.book), Log: s.kafka, Force: force, Progress: progress.Add,
		}
		done, err := r.Shard(ctx, ref.shard, end.to, end.until)
		if err != nil {
			return fmt.Errorf("rebuild %s: %w", ref, err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, shardRebuilt{
			Book: ref.book.Name(), Shard: ref.shard, To: done.To, Entries: done.Entries, Rows: done.Rows,
			Kept: done.Kept,
		})
		return nil
	})
	slices.SortFunc(all, func(a, b shardRebuilt) int {
		if a.Book != b.Book {
			return strings.Compare(a.Book, b.Book)
		}
		return a.Shard - b.Shard
	})
	return all, err
}

func rebuiltColumns() []column[shardRebuilt] {
	number := func(of func(shardRebuilt) int64) func(shardRebuilt) string {
		return func(r shardRebuilt) string { return strconv.FormatInt(of(r), 10) }
	}
	return []column[shardRebuilt]{
		{"book", func(r shardRebuilt) string { return r.Book }},
		{"shard", number(func(r shardRebuilt) int64 { return int64(r.Shard) })},
		{"to command", number(func(r shardRebuilt) int64 { return r.To })},
		{"entries", number(func(r shardRebuilt) int64 { return r.Entries })},
		{"rows", number(func(r shardRebuilt) int64 { return r.Rows })},
		{"was there", func(r shardRebuilt) string { return strconv.FormatBool(r.Kept) }},
	}
}
