package book

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Packed rows stand in buckets, which must be neither many nor long. The number of buckets follows that of the rows:
// while there are more than bucketRows in each on average, one bucket after the other becomes four.
const (
	bucketRows = 6
	bucketSons = 4
	// splitsFirst, and another for each splitsEach commands, is how many buckets are split after a batch, at most:
	// more than so many commands can make necessary.
	splitsFirst = 16
	splitsEach  = 4
)

// spread is how packed rows are spread over buckets.
type spread struct {
	depth int    // digits of a bucket's name
	split string // buckets before it have one more; empty while none has
	rows  int64
	era   uint32 // whose rows count
}

func parseSpread(words []string) (spread, error) {
	if len(words) != 4 {
		return spread{}, fmt.Errorf("the packed rows' header has %d words", len(words))
	}
	var errs [3]error
	sp := spread{split: words[1]}
	sp.depth, errs[0] = strconv.Atoi(words[0])
	sp.rows, errs[1] = strconv.ParseInt(words[2], 10, 64)
	era, err := strconv.ParseUint(words[3], 10, 32)
	sp.era, errs[2] = uint32(era), err
	if err := errors.Join(errs[:]...); err != nil || sp.depth < 1 || sp.depth >= digitsMax || len(sp.split) > sp.depth {
		return spread{}, fmt.Errorf("the packed rows' header %q cannot be read: %w", words, err)
	}
	return sp, nil
}

// due is how many buckets are to be split.
func (sp spread) due() int {
	if sp.depth >= digitsMax-1 {
		return 0
	}
	buckets := int64(1)<<(2*sp.depth) + int64(number4(sp.split))*(bucketSons-1)
	more := sp.rows/bucketRows - buckets
	return int(max(0, (more+bucketSons-2)/(bucketSons-1)))
}

// name is the bucket of an identifier with these digits.
func (sp spread) name(digits []byte) []byte {
	if name := digits[:sp.depth]; string(name) >= sp.split {
		return name
	}
	return digits[:sp.depth+1]
}

// number4 is a bucket's name as a number, to the base 4; digitsOf makes the name of one.
func number4(name string) int {
	n := 0
	for _, c := range []byte(name) {
		n = n<<2 | int(c-'0')
	}
	return n
}

func digitsOf(n, depth int) string { return string(digits4(n, depth)) }

func digits4(n, depth int) []byte {
	b := make([]byte, depth)
	for i := depth - 1; i >= 0; i-- {
		b[i] = '0' + byte(n&3)
		n >>= 2
	}
	return b
}

// split splits a few buckets after a batch of so many commands, if rows have become many, and returns how they are
// spread then. That nothing has happened to the state since that was told, the script checks.
func (s *Store) split(ctx context.Context, p place, commands int) (next spread, err error) {
	sp := p.spread
	due := min(sp.due(), splitsFirst+commands/splitsEach)
	if due == 0 {
		return sp, nil
	}
	first, all := number4(sp.split), 1<<(2*sp.depth)
	last := min(all, first+due)
	var names []string
	for n := first; n < last; n++ {
		names = append(names, digitsOf(n, sp.depth))
	}
	buckets, err := s.client.HMGet(ctx, s.rowsKey(p.shard, p.generation), names...).Result()
	if err != nil {
		return sp, fmt.Errorf("split buckets: %w", err)
	}
	next = sp
	if next.split = digitsOf(last, sp.depth); last == all {
		next.depth, next.split = sp.depth+1, ""
	}
	var old, pairs []any
	for i, name := range names {
		bucket, there := buckets[i].(string)
		if !there {
			continue
		}
		parts, gone, err := s.divide(p.seed, bucket, sp)
		if err != nil {
			return sp, fmt.Errorf("split bucket %s: %w", name, err)
		}
		next.rows -= int64(gone)
		old = append(old, name)
		for digit, part := range parts {
			if len(part) > bucketHead {
				pairs = append(pairs, name+strconv.Itoa(digit), part)
			}
		}
	}
	args := append([]any{
		"split", p.epoch, p.generation, p.at, p.digest, sp.depth, sp.split, next.depth, next.split, next.rows, len(old),
	}, append(old, pairs...)...)
	if _, err := s.run(ctx, s.keys(p.shard, p.generation), args...); err != nil {
		return sp, fmt.Errorf("split buckets: %w", err)
	}
	return next, nil
}

// divide makes four buckets of one, and says how many rows are gone, which count no more.
func (s *Store) divide(seed uint64, bucket string, sp spread) (parts [bucketSons][]byte, gone int, err error) {
	rows, all, err := s.readBucket(bucket, sp.era)
	if err != nil {
		return parts, 0, err
	}
	for i := range parts {
		parts[i] = binary.BigEndian.AppendUint32(nil, sp.era)
	}
	for _, r := range rows {
		digit := appendDigits(nil, seed, r.field)[sp.depth] - '0'
		parts[digit] = append(parts[digit], r.whole...)
	}
	return parts, all - len(rows), nil
}
