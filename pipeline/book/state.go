package book

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// State is a shard's whole state, as it stood at one moment.
type State struct {
	At     int64  // the command offset decided up to
	Digest string // of the history up to there
	Epoch  int64
	Tables map[string]map[string]string // by table and field; a rotating table's halves are NAME0 and NAME1
}

// Row reads a row of a table, which may be one that rotates: then the newer half counts. It changes nothing and may
// be called by anyone. The state may be one batch ahead of the journal.
func (s *Store) Row(ctx context.Context, shard int, table, field string) (value string, found bool, err error) {
	tables, err := s.named(table)
	if err != nil {
		return "", false, err
	}
	for {
		v, err := s.look(ctx, shard)
		if err != nil || v.generation == "" {
			return "", false, err
		}
		switch value, found, err = s.row(ctx, v, tables, field); {
		case err == nil:
			return value, found, nil
		case !errors.Is(err, errChanged):
			return "", false, fmt.Errorf("read row: %w", err)
		}
	}
}

// Rows visits the rows of a table, in no order; of one that rotates, the newer row of each field. It holds little at
// a time, so that it is no picture of one moment: a row that is written meanwhile may be visited or not, and one of a
// plain table twice. It changes nothing and may be called by anyone.
func (s *Store) Rows(ctx context.Context, shard int, table string, visit func(field, value string) error) error {
	tables, err := s.named(table)
	if err != nil {
		return err
	}
	v, err := s.look(ctx, shard)
	if err != nil || v.generation == "" {
		return err
	}
	if slices.Contains(s.plain, table) {
		err = s.scanPlain(ctx, v, table, visit)
	} else {
		err = s.scanPacked(ctx, v, tables, visit)
	}
	if err != nil {
		return fmt.Errorf("read rows of %s: %w", table, err)
	}
	return nil
}

// State reads a shard's state. It changes nothing and may be called by anyone.
func (s *Store) State(ctx context.Context, shard int) (State, error) {
	for {
		v, err := s.look(ctx, shard)
		if err != nil {
			return State{}, err
		}
		if v.generation == "" {
			return State{Epoch: -1}, nil
		}
		switch st, err := s.state(ctx, v); {
		case err == nil:
			return st, nil
		case !errors.Is(err, errChanged):
			return State{}, fmt.Errorf("read state: %w", err)
		}
	}
}

// errRebuilt says that a shard's state was rebuilt while it was read.
var errRebuilt = errors.New("the shard was rebuilt meanwhile: ask again")

// errChanged says that a shard's packed rows are not spread any more as they were.
var errChanged = errors.New("the shard's rows have moved")

// view is where the keys and the rows of a shard's state are.
type view struct {
	shard      int
	generation string // empty where there is no state
	seed       uint64
	spread     spread // but for how many rows there are
	current    uint32 // which of two halves is the newer one
}

// viewFields are the fields of the header that make a view.
func viewFields() []string {
	return []string{"generation", "layout", "history", "depth", "split", "rows", "era"}
}

// look reads where the state is.
func (s *Store) look(ctx context.Context, shard int) (view, error) {
	header, err := s.client.HMGet(ctx, s.headerKey(shard), viewFields()...).Result()
	if err != nil {
		return view{}, fmt.Errorf("read header: %w", err)
	}
	return viewOf(shard, header)
}

func viewOf(shard int, header []any) (view, error) {
	word := func(i int) string {
		text, _ := header[i].(string)
		return text
	}
	if word(0) == "" {
		return view{}, nil
	}
	if word(1) != layout {
		return view{}, fmt.Errorf("the state of shard %d has layout %q, not %q: it is rebuilt when the book runs",
			shard, word(1), layout)
	}
	sp, err := parseSpread([]string{word(3), word(4), word(5), word(6)})
	return view{
		shard: shard, generation: word(0), seed: seedOf(word(2)), spread: sp, current: sp.era % 2,
	}, err
}

// atOnce reads keys of the state at one moment; errChanged says that the state is not where the view has it.
func (s *Store) atOnce(ctx context.Context, v view, read func(redis.Pipeliner)) error {
	var header *redis.SliceCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		header = p.HMGet(ctx, s.headerKey(v.shard), viewFields()...)
		read(p)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	now, err := viewOf(v.shard, header.Val())
	if err != nil {
		return err
	}
	now.spread.rows = v.spread.rows
	if now != v {
		return errChanged
	}
	return nil
}

// named are the tables that a name means: one, or the halves of one that rotates.
func (s *Store) named(table string) ([]string, error) {
	all := slices.Concat(s.plain, s.packed)
	if slices.Contains(all, table) {
		return []string{table}, nil
	}
	if slices.Contains(all, table+"0") {
		return []string{table + "0", table + "1"}, nil
	}
	return nil, fmt.Errorf("the book %s has no table %q: it has %s", s.book.Name(), table, strings.Join(all, ", "))
}

func (s *Store) row(ctx context.Context, v view, tables []string, field string) (value string, found bool, err error) {
	key, name := s.rowsKey(v.shard, v.generation), ""
	if slices.Contains(s.plain, tables[0]) {
		key, name = s.tableKey(v.shard, v.generation, tables[0]), field
	} else {
		name = string(v.spread.name(appendDigits(nil, v.seed, field)))
	}
	var reply *redis.StringCmd
	err = s.atOnce(ctx, v, func(p redis.Pipeliner) { reply = p.HGet(ctx, key, name) })
	if err != nil || reply.Err() != nil {
		return "", false, err
	}
	if name == field {
		return reply.Val(), true, nil
	}
	rows, err := s.rowsOf(reply.Val(), v, tables)
	if err != nil {
		return "", false, err
	}
	value, found = rows[field]
	return value, found, nil
}

// rowsOf are the rows of a bucket that are of one of the tables, by field: of two, the newer one.
func (s *Store) rowsOf(bucket string, v view, tables []string) (map[string]string, error) {
	packed, _, err := s.readBucket(bucket, v.spread.era)
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for _, r := range packed {
		if !slices.Contains(tables, s.packed[r.table]) {
			continue
		}
		field := r.field
		if _, there := rows[field]; there {
			if half, _ := s.half(r.table); half != v.current {
				continue
			}
		}
		if rows[field], err = plainValue(r.value); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// rowsPage is how many rows, or buckets, are asked for at a time.
const rowsPage = 512

func (s *Store) scanPlain(ctx context.Context, v view, table string, visit func(field, value string) error) error {
	key := s.tableKey(v.shard, v.generation, table)
	for cursor := uint64(0); ; {
		var page *redis.ScanCmd
		err := s.atOnce(ctx, v, func(p redis.Pipeliner) { page = p.HScan(ctx, key, cursor, "", rowsPage) })
		if errors.Is(err, errChanged) {
			if v, err = s.again(ctx, v); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		words, next := page.Val()
		for pair := range slices.Chunk(words, 2) {
			if err := visit(pair[0], pair[1]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// again looks where the state is now, which must be the same one.
func (s *Store) again(ctx context.Context, v view) (view, error) {
	now, err := s.look(ctx, v.shard)
	if err == nil && now.generation != v.generation {
		err = errRebuilt
	}
	return now, err
}

// scanPacked visits the rows of all buckets.
func (s *Store) scanPacked(
	ctx context.Context, v view, tables []string, visit func(field, value string) error,
) error {
	return s.scanBuckets(ctx, v, func(v view, _, bucket string) error {
		rows, err := s.rowsOf(bucket, v, tables)
		if err != nil {
			return err
		}
		for field, value := range rows {
			if err := visit(field, value); err != nil {
				return err
			}
		}
		return nil
	})
}

// scanBuckets visits bucket by bucket, in the order of the digits: what is split meanwhile stays in its place there.
func (s *Store) scanBuckets(ctx context.Context, v view, visit func(v view, name, bucket string) error) error {
	const end = 1 << (2 * digitsMax)
	for at := 0; at < end; {
		names, next := v.spread.names(at, end)
		var page *redis.SliceCmd
		err := s.atOnce(ctx, v, func(p redis.Pipeliner) {
			page = p.HMGet(ctx, s.rowsKey(v.shard, v.generation), names...)
		})
		if errors.Is(err, errChanged) {
			if v, err = s.again(ctx, v); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		err = eachBucket(page.Val(), func(i int, bucket string) error { return visit(v, names[i], bucket) })
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

func eachBucket(page []any, visit func(i int, bucket string) error) error {
	for i, b := range page {
		bucket, there := b.(string)
		if !there {
			continue
		}
		if err := visit(i, bucket); err != nil {
			return err
		}
	}
	return nil
}

// names are those of a page of buckets, from a place among the digits on, and where the next page begins.
func (sp spread) names(at, end int) (names []string, next int) {
	for len(names) < rowsPage && at < end {
		name := string(sp.name(digits4(at, digitsMax)))
		names = append(names, name)
		at = (number4(name) + 1) << (2 * (digitsMax - len(name)))
	}
	return names, at
}

// state reads header and tables at one moment.
func (s *Store) state(ctx context.Context, v view) (State, error) {
	keys := s.keys(v.shard, v.generation)
	replies := make([]*redis.MapStringStringCmd, len(keys))
	err := s.atOnce(ctx, v, func(p redis.Pipeliner) {
		for i, key := range keys {
			replies[i] = p.HGetAll(ctx, key)
		}
	})
	if err != nil {
		return State{}, err
	}
	header := replies[0].Val()
	st := State{Digest: header["digest"], Tables: map[string]map[string]string{}}
	for i, name := range s.plain {
		st.Tables[name] = replies[i+1].Val()
	}
	for _, name := range s.packed {
		st.Tables[name] = map[string]string{}
	}
	for name, bucket := range replies[len(keys)-1].Val() {
		rows, _, err := s.readBucket(bucket, v.spread.era)
		if err != nil {
			return State{}, fmt.Errorf("bucket %s: %w", name, err)
		}
		for _, r := range rows {
			if st.Tables[s.packed[r.table]][r.field], err = plainValue(r.value); err != nil {
				return State{}, fmt.Errorf("bucket %s: %w", name, err)
			}
		}
	}
	var errs [2]error
	st.At, errs[0] = strconv.ParseInt(header["at"], 10, 64)
	st.Epoch, errs[1] = strconv.ParseInt(header["epoch"], 10, 64)
	return st, errors.Join(errs[:]...)
}

// Len counts the rows of a table; of one that rotates those of both halves, of which some may be the same. It changes
// nothing and may be called by anyone.
func (s *Store) Len(ctx context.Context, shard int, table string) (int64, error) {
	tables, err := s.named(table)
	if err != nil {
		return 0, err
	}
	for {
		v, err := s.look(ctx, shard)
		if err != nil || v.generation == "" {
			return 0, err
		}
		var plain *redis.IntCmd
		var packed *redis.StringCmd
		err = s.atOnce(ctx, v, func(p redis.Pipeliner) {
			plain = p.HLen(ctx, s.tableKey(shard, v.generation, table))
			packed = p.HGet(ctx, s.headerKey(shard), "lengths")
		})
		switch {
		case errors.Is(err, errChanged):
			continue
		case err != nil:
			return 0, fmt.Errorf("count rows of %s: %w", table, err)
		case slices.Contains(s.plain, table):
			return plain.Val(), nil
		}
		return s.lengthOf(packed.Val(), tables)
	}
}

// lengthOf adds up what the header says of some packed tables; it says nothing while none has rows.
func (s *Store) lengthOf(lengths string, tables []string) (total int64, err error) {
	for i, word := range strings.Fields(lengths) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i >= len(s.packed) {
			return 0, fmt.Errorf("the header's lengths %q cannot be read: %w", lengths, err)
		}
		if slices.Contains(tables, s.packed[i]) {
			total += n
		}
	}
	return total, nil
}
