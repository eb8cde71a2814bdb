package book

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Place is where a shard's state stands in Redis, as its header says.
type Place struct {
	Header

	Found   bool   // whether there is one
	Epoch   int64  // the latest owner's that entered, -1 where none did
	History string // the name of the history
}

// Loading is the digest of a state that is being written from elsewhere and is not whole. It stands at the beginning,
// where every other one has no digest: so no journal leads to it, and an owner that finds it begins anew (rule 6).
const Loading = "loading"

// Place reads the header. It changes nothing and may be called by anyone.
func (s *Store) Place(ctx context.Context, shard int) (Place, error) {
	values, err := s.client.HMGet(ctx, s.headerKey(shard), placeFields()...).Result()
	if err != nil {
		return Place{}, fmt.Errorf("read header: %w", err)
	}
	return placeOf(values)
}

func placeFields() []string {
	return []string{"epoch", "history", "generation", "at", "digest", "last_from", "last_digest"}
}

// HeaderError says that a header has what nobody writes.
type HeaderError struct{ Field, Value string }

func (e *HeaderError) Error() string {
	return fmt.Sprintf("the header's %s is %q, which is no number", e.Field, e.Value)
}

func placeOf(values []any) (p Place, err error) {
	var texts [7]string
	for i, v := range values {
		texts[i], _ = v.(string)
	}
	p = Place{Epoch: -1, History: texts[1], Found: texts[2] != ""}
	p.Generation, p.Digest, p.LastFrom, p.LastDigest = texts[2], texts[4], -1, texts[6]
	for i, to := range map[int]*int64{0: &p.Epoch, 3: &p.At, 5: &p.LastFrom} {
		if texts[i] == "" {
			continue
		}
		n, wrong := strconv.ParseInt(texts[i], 10, 64)
		if wrong != nil {
			err = &HeaderError{Field: placeFields()[i], Value: texts[i]}
		}
		*to = n
	}
	return p, err
}

// Look reads rows of a table and the header at one moment. The table is one of Stored; of a row that is not there, or
// whose bucket cannot be read, nil is returned. It changes nothing and may be called by anyone.
func (s *Store) Look(ctx context.Context, shard int, table string, fields []string) (Place, []*string, error) {
	for {
		v, err := s.look(ctx, shard)
		if err != nil {
			return Place{}, nil, err
		}
		place, values, err := s.lookAt(ctx, v, table, fields)
		if !errors.Is(err, errChanged) {
			return place, values, err
		}
	}
}

func (s *Store) lookAt(ctx context.Context, v view, table string, fields []string) (Place, []*string, error) {
	key, names := s.tableKey(v.shard, v.generation, table), fields
	packed := v.generation != "" && slices.Contains(s.packed, table)
	if packed {
		key, names = s.rowsKey(v.shard, v.generation), nil
		for _, field := range fields {
			names = append(names, string(v.spread.name(appendDigits(nil, v.seed, field))))
		}
	}
	var header, found *redis.SliceCmd
	err := s.atOnce(ctx, v, func(p redis.Pipeliner) {
		header = p.HMGet(ctx, s.headerKey(v.shard), placeFields()...)
		found = p.HMGet(ctx, key, names...)
	})
	if err != nil {
		return Place{}, nil, fmt.Errorf("read rows of %s: %w", table, err)
	}
	values := make([]*string, len(fields))
	for i, field := range fields {
		if text, there := found.Val()[i].(string); there && packed {
			values[i] = s.pick(text, v, table, field)
		} else if there {
			values[i] = &text
		}
	}
	place, err := placeOf(header.Val())
	return place, values, err
}

// pick returns a row of a bucket, nil if there is none.
func (s *Store) pick(bucket string, v view, table, field string) (value *string) {
	rows, _, err := s.readBucket(bucket, v.spread.era)
	if err != nil {
		return nil
	}
	for _, r := range rows {
		if s.packed[r.table] == table && r.field == field {
			text := shownValue(r.value)
			return &text
		}
	}
	return nil
}

// shownValue is a value without tokens; one that cannot be read is none that a journal has, as it is.
func shownValue(packed string) string {
	value, err := plainValue(packed)
	if err != nil {
		return strconv.Quote(packed)
	}
	return value
}

// Stored are the names of the tables as they are stored: a rotating one's halves are two.
func (s *Store) Stored() []string { return slices.Concat(s.plain, s.packed) }

// All visits the rows of all tables, as Rows does each; a rotating one's halves are two. What cannot be read is given
// to broken, which is told where it stands, and is passed over.
func (s *Store) All(
	ctx context.Context, shard int, visit func(table, field, value string) error, broken func(bucket string),
) error {
	v, err := s.look(ctx, shard)
	if err != nil || v.generation == "" {
		return err
	}
	for _, table := range s.plain {
		err := s.scanPlain(ctx, v, table, func(field, value string) error { return visit(table, field, value) })
		if err != nil {
			return fmt.Errorf("read rows of %s: %w", table, err)
		}
	}
	err = s.scanBuckets(ctx, v, func(v view, name, bucket string) error {
		return s.visitBucket(v, name, bucket, visit, broken)
	})
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	return nil
}

func (s *Store) visitBucket(
	v view, name, bucket string, visit func(table, field, value string) error, broken func(bucket string),
) error {
	rows, _, err := s.readBucket(bucket, v.spread.era)
	if err != nil {
		broken(name)
		return nil //nolint:nilerr // whoever asks is told
	}
	for _, r := range rows {
		field := r.field
		if string(v.spread.name(appendDigits(nil, v.seed, field))) != name { // where nobody looks for it
			broken(name)
			continue
		}
		if err := visit(s.packed[r.table], field, shownValue(r.value)); err != nil {
			return err
		}
	}
	return nil
}
