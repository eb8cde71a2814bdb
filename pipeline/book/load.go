package book

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/fold"
)

// Bounds of a call that writes rows from elsewhere.
const (
	loadFields = 2000
	loadBytes  = 1 << 20
)

// load writes a folded state into an empty one, of the generation that the place names, each row once. The header
// stands at Loading until all is written: whoever finds it so begins anew. Rows are written without the script, into
// keys that nobody else has: a generation's name is of one load. Where another one has become the state meanwhile, what
// was written goes again.
func (s *Store) load(ctx context.Context, p place, f *fold.Fold, at pipeline.Position) (spread, error) {
	if _, err := s.apply(ctx, p, 0, Loading, nil); err != nil {
		return spread{}, fmt.Errorf("begin to load: %w", err)
	}
	p.digest = Loading
	l := &loader{Store: s, place: p}
	for _, table := range s.plain {
		key := s.tableKey(p.shard, p.generation, table)
		if err := f.Rows(table, func(field, value string) error { return l.put(ctx, key, field, value) }); err != nil {
			return spread{}, err
		}
		if err := l.end(ctx, key); err != nil {
			return spread{}, err
		}
	}
	return l.adopt(ctx, f, at)
}

// loader writes rows of one shard.
type loader struct {
	*Store
	place

	pairs []any
	bytes int
	count int   // of the fields of the key that is written
	whole []any // how many fields each key has that was written
}

func (l *loader) put(ctx context.Context, key, field string, value any) error {
	l.pairs = append(l.pairs, field, value)
	l.bytes += len(field)
	switch v := value.(type) {
	case string:
		l.bytes += len(v)
	case []byte:
		l.bytes += len(v)
	}
	if len(l.pairs) < 2*loadFields && l.bytes < loadBytes {
		return nil
	}
	return l.flush(ctx, key)
}

// end writes the rest of a key, and notes how many fields it has.
func (l *loader) end(ctx context.Context, key string) error {
	if err := l.flush(ctx, key); err != nil {
		return err
	}
	l.whole, l.count = append(l.whole, l.count), 0
	return nil
}

// flush writes what was put, if the state is still the one that is loaded.
func (l *loader) flush(ctx context.Context, key string) error {
	if len(l.pairs) == 0 {
		return nil
	}
	var generation *redis.StringCmd
	_, err := l.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, key, l.pairs...)
		generation = p.HGet(ctx, l.headerKey(l.shard), "generation")
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("load rows: %w", err)
	}
	l.count += len(l.pairs) / 2
	l.pairs, l.bytes = l.pairs[:0], 0
	if generation.Val() != l.generation {
		return errors.Join(errMismatch, l.client.Unlink(ctx, l.keys(l.shard, l.generation)[1:]...).Err())
	}
	return nil
}

// adopt writes the packed rows, bucket by bucket, and then the header.
func (l *loader) adopt(ctx context.Context, f *fold.Fold, at pipeline.Position) (spread, error) {
	lengths, rows := make([]string, len(l.packed)), int64(0)
	for i, table := range l.packed {
		lengths[i] = strconv.Itoa(f.Len(table))
		rows += int64(f.Len(table))
	}
	sp := spreadOf(rows)
	if current, _ := f.Row("clock", "current"); current == "1" {
		sp.era = 1 // an era is odd where the second halves are the newer ones
	}
	if err := l.buckets(ctx, f, sp); err != nil {
		return spread{}, err
	}
	args := append([]any{
		"adopt", l.epoch, l.generation, 0, Loading, at.To, at.Digest, sp.depth, sp.split, sp.era, rows,
		strings.Join(lengths, " "),
	}, l.whole...)
	_, err := l.run(ctx, l.keys(l.shard, l.generation), args...)
	if err != nil {
		return spread{}, fmt.Errorf("adopt: %w", err)
	}
	return sp, nil
}

func (l *loader) buckets(ctx context.Context, f *fold.Fold, sp spread) error {
	key := l.rowsKey(l.shard, l.generation)
	digits := sp.depth + 1
	var name string
	var bucket []byte
	flush := func() error {
		if len(bucket) == 0 {
			return nil
		}
		return l.put(ctx, key, name, bucket)
	}
	err := f.Grouped(l.packed, func(field string) int {
		return number4(string(appendDigits(nil, l.seed, field)[:digits]))
	}, func(group, table int, field, value string) error {
		if next := string(sp.name(digits4(group, digits))); next != name || bucket == nil {
			if err := flush(); err != nil {
				return err
			}
			name, bucket = next, binary.BigEndian.AppendUint32(nil, sp.era)
		}
		bucket = appendRow(bucket, table, field, value)
		return nil
	})
	return errors.Join(err, flush(), l.end(ctx, key))
}

// appendRow appends a row as the script writes it: see rows.lua.
func appendRow(bucket []byte, table int, field, value string) []byte {
	bucket = append(appendKey(bucket, field), byte(table+1)) //nolint:gosec // few
	return appendTokens(bucket, value)
}

// spreadOf is how so many rows are spread that are written at once.
func spreadOf(rows int64) spread {
	sp := spread{depth: depthFirst, rows: rows}
	buckets := rows / bucketRows
	for sp.depth+1 < digitsMax-1 && int64(1)<<(2*(sp.depth+1)) <= buckets {
		sp.depth++
	}
	all := int64(1) << (2 * sp.depth)
	if more := min((buckets-all+bucketSons-2)/(bucketSons-1), all-1); more > 0 {
		sp.split = digitsOf(int(more), sp.depth)
	}
	return sp
}
