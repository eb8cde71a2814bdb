package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/book"
)

// How long a Redis that is ahead of its journal, or behind, is waited for.
const (
	verifyAttempts = 20
	verifyPause    = 250 * time.Millisecond
)

// differencesMax is how many differences are told; more are counted.
const differencesMax = 10_000

func verifyCommand() *cobra.Command {
	var flags keptFlags
	var of shardFlags
	var format output
	c := &cobra.Command{
		Use:   "verify",
		Short: "Hold Redis against the journals, while everything works",
		Long: `Hold what Redis has of both books, accounts and pre-issues, against what their journals say, row by row,
at the same position, while everything goes on. Each shard's journal is folded in memory, which needs some 60 bytes for
each row; shards are verified side by side, one for each processor.

Every difference is told with its book, shard, row and field: a row that Redis lacks, one that it has too many, one
whose field has another value, and a header that names another position, history or owner than the journal. Redis is
only a view of the journals: ` + "`aval rebuild --force --shards …`" + ` writes it anew.

A folder of --data-dir has journals alone: their state is written into an empty Redis, and verified there.

Exit codes: 0 no difference, 1 differences, 2 wrong usage or settings, 4 something could not be checked.`,
		Example: `  aval verify
  aval verify --book accounts --shards 0-3 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return unchecked(verify(c.Context(), &flags, of, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	of.register(c)
	format.register(c)
	return c
}

// unchecked gives an error without a code the one of what could not be checked.
func unchecked(err error) error {
	if err == nil {
		return nil
	}
	if coded := (*codeError)(nil); errors.As(err, &coded) {
		return err
	}
	return &codeError{code: exitUnchecked, err: err}
}

// verified is what verify found.
type verified struct {
	Shards      int               `json:"shards"`
	Entries     int64             `json:"entries"`
	Differences []book.Difference `json:"differences"`
	Omitted     int               `json:"omitted,omitempty"` // differences that are not listed
}

func verify(
	ctx context.Context, flags *keptFlags, of shardFlags, format output, stdout, stderr io.Writer,
) (err error) {
	if err := flags.check(); err != nil {
		return err
	}
	s, closeAll, err := flags.connect(ctx, flags.logger(stderr), connect)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	refs, err := of.chosen(s.partitions)
	if err != nil {
		return err
	}
	if flags.dataDir != "" { // whose Redis is empty: what is verified is that the journals can be written there
		if _, err := s.rebuild(ctx, refs, wholeJournals(refs), false, stderr); err != nil {
			return err
		}
	}
	found, left, err := s.verify(ctx, refs, stderr)
	if err != nil {
		return err
	}
	if err := found.print(stdout, format); err != nil {
		return err
	}
	switch {
	case len(left) > 0:
		return errors.Join(left...)
	case len(found.Differences) > 0:
		return &codeError{code: exitFailed, err: fmt.Errorf("%d differences between Redis and the journals; "+
			"`aval rebuild --force --shards …` writes shards anew", len(found.Differences)+found.Omitted)}
	}
	return nil
}

// verify verifies shards. What could not be verified is left.
func (s *system) verify(
	ctx context.Context, refs []shardRef, stderr io.Writer,
) (found verified, left []error, err error) {
	total, err := s.records(ctx, refs)
	if err != nil {
		return found, nil, err
	}
	progress := &sharedProgress{Progress: lateProgress(stderr)}
	progress.Stage("verify shards", int(total+s.rowsOf(ctx, refs)))
	defer progress.Done()
	found = verified{Differences: []book.Difference{}}
	var mu sync.Mutex
	err = eachShard(ctx, refs, func(ctx context.Context, ref shardRef) error {
		v := book.Verifier{
			Book: ref.book, Store: s.store(ref.book), Log: s.kafka, Attempts: verifyAttempts, Pause: verifyPause,
			Progress: progress.Add,
			Report: func(d book.Difference) {
				mu.Lock()
				defer mu.Unlock()
				if len(found.Differences) == differencesMax {
					found.Omitted++
					return
				}
				found.Differences = append(found.Differences, d)
			},
		}
		items, err := v.Shard(ctx, ref.shard)
		mu.Lock()
		defer mu.Unlock()
		found.Shards++
		found.Entries += items
		if unchecked := (*book.UncheckedError)(nil); errors.As(err, &unchecked) {
			left = append(left, err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("verify %s: %w", ref, err)
		}
		return nil
	})
	return found, left, err
}

func (v verified) print(stdout io.Writer, format output) error {
	if format.String() != string(outputTable) {
		text, err := json.Marshal(v)
		if err == nil {
			_, err = fmt.Fprintf(stdout, "%s\n", text)
		}
		return err
	}
	if len(v.Differences) > 0 {
		p := newPrinter(stdout, format, differenceColumns()...)
		for _, d := range v.Differences {
			if err := p.print(d); err != nil {
				return err
			}
		}
		if err := p.close(); err != nil {
			return err
		}
	}
	return printLines(stdout, []line{
		{"shards", strconv.Itoa(v.Shards)},
		{"entries", strconv.FormatInt(v.Entries, 10)},
		{"differences", strconv.Itoa(len(v.Differences) + v.Omitted)},
	})
}

func differenceColumns() []column[book.Difference] {
	return []column[book.Difference]{
		{"book", func(d book.Difference) string { return d.Book }},
		{"shard", func(d book.Difference) string { return strconv.Itoa(d.Shard) }},
		{"key", func(d book.Difference) string { return d.Key }},
		{"field", func(d book.Difference) string { return d.Field }},
		{"redis", func(d book.Difference) string { return cell(d.Redis) }},
		{"journal", func(d book.Difference) string { return cell(d.Journal) }},
	}
}
