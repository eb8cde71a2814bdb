package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/producers/demo"
)

// shardFlags say which shards of which books a command is about.
type shardFlags struct {
	books  []string
	shards string
}

func (f *shardFlags) register(c *cobra.Command) {
	names := bookNames()
	c.Flags().StringSliceVar(&f.books, "book", nil, "only these books: "+strings.Join(names, ", "))
	c.Flags().StringVar(&f.shards, "shards", "", "only these shards: numbers and ranges, such as 0,4-7 (default: all)")
	completeWords(c, "book", names...)
}

// shardRef is a shard of a book.
type shardRef struct {
	book  book.Book
	shard int
}

func (r shardRef) String() string { return r.book.Name() + "/" + strconv.Itoa(r.shard) }

// allBooks are the books of a system.
func allBooks() []book.Book { return []book.Book{ledger.Book{}, preissue.Book{}} }

func bookNames() (names []string) {
	for _, b := range allBooks() {
		names = append(names, b.Name())
	}
	return names
}

// chosen are the shards that the flags name, of a namespace of so many.
func (f *shardFlags) chosen(partitions int) ([]shardRef, error) {
	for _, name := range f.books {
		if !slices.Contains(bookNames(), name) {
			return nil, usage("--book %q, must be one of %s", name, strings.Join(bookNames(), ", "))
		}
	}
	numbers, err := parseShards(f.shards, partitions)
	if err != nil {
		return nil, err
	}
	var all []shardRef
	for _, b := range allBooks() {
		if len(f.books) > 0 && !slices.Contains(f.books, b.Name()) {
			continue
		}
		for _, n := range numbers {
			all = append(all, shardRef{b, n})
		}
	}
	return all, nil
}

// parseShards reads numbers and ranges; empty is all.
func parseShards(text string, partitions int) (numbers []int, err error) {
	if text == "" {
		text = fmt.Sprintf("0-%d", partitions-1)
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if errors.Join(err1, err2) != nil || from < 0 || to < from {
			return nil, usage("--shards: %q is no number and no range of numbers, such as 4 or 0-7", part)
		}
		if to >= partitions {
			return nil, usage("--shards: %q, and the namespace has the shards 0 to %d", part, partitions-1)
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), nil
}

// eachShard works on shards, as many at a time as there are processors.
func eachShard(ctx context.Context, refs []shardRef, f func(ctx context.Context, ref shardRef) error) error {
	return pipeline.Each(ctx, len(refs), runtime.GOMAXPROCS(0), func(ctx context.Context, i int) error {
		return f(ctx, refs[i])
	})
}

// records is how many records the journals of shards have.
func (s *system) records(ctx context.Context, refs []shardRef) (total int64, err error) {
	for _, ref := range refs {
		first, end, err := s.kafka.Bounds(ctx, ref.book.Journal(), ref.shard)
		if err != nil {
			return 0, err
		}
		total += end - first
	}
	return total, nil
}

// rowsOf is how many rows shards have in Redis, as far as that tells.
func (s *system) rowsOf(ctx context.Context, refs []shardRef) (total int64) {
	for _, ref := range refs {
		store := s.store(ref.book)
		for _, table := range store.Stored() {
			n, _ := store.Len(ctx, ref.shard, table) // it is for a bar
			total += n
		}
	}
	return total
}

// sharedProgress is progress that many tell.
type sharedProgress struct {
	demo.Progress

	mu sync.Mutex
}

// Add implements demo.Progress.
func (p *sharedProgress) Add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Progress.Add(n)
}
