package book

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// rowsPage is how many rows Rows asks for at a time, about.
const rowsPage = 512

// errRebuilt says that a shard's state was rebuilt while it was read.
var errRebuilt = errors.New("the shard was rebuilt meanwhile: ask again")

// Row reads a row of a table, which may be one that rotates: then the newer half counts. It changes nothing and may
// be called by anyone. The state may be one batch ahead of the journal.
func (s *Store) Row(ctx context.Context, shard int, table, field string) (value string, found bool, err error) {
	halves, err := s.halves(table)
	if err != nil {
		return "", false, err
	}
	for {
		generation, err := s.generation(ctx, shard)
		if err != nil || generation == "" {
			return "", false, err
		}
		value, found, err = s.row(ctx, shard, generation, halves, field)
		if !errors.Is(err, errRebuilt) {
			return value, found, err
		}
	}
}

// Rows visits the rows of a table, in no order; of one that rotates those of the newer half first. It holds little at
// a time, so that it is no picture of one moment: a row that is written meanwhile may be visited or not, or twice. It
// changes nothing and may be called by anyone.
func (s *Store) Rows(ctx context.Context, shard int, table string, visit func(field, value string) error) error {
	halves, err := s.halves(table)
	if err != nil {
		return err
	}
	generation, err := s.generation(ctx, shard)
	if err != nil || generation == "" {
		return err
	}
	current, err := s.atOnce(ctx, shard, generation, func(redis.Pipeliner) {})
	if err != nil {
		return err
	}
	if current == "1" {
		slices.Reverse(halves)
	}
	for _, half := range halves {
		if err := s.scanTable(ctx, shard, generation, half, visit); err != nil {
			return err
		}
	}
	return nil
}

// halves are the tables that a name means: one, or the halves of one that rotates.
func (s *Store) halves(table string) ([]string, error) {
	if slices.Contains(s.tables, table) {
		return []string{table}, nil
	}
	if slices.Contains(s.tables, table+"0") {
		return []string{table + "0", table + "1"}, nil
	}
	return nil, fmt.Errorf("the book %s has no table %q: it has %s", s.book.Name(), table, strings.Join(s.tables, ", "))
}

// generation names the keys of the shard's state; empty where there is none.
func (s *Store) generation(ctx context.Context, shard int) (string, error) {
	generation, err := s.client.HGet(ctx, s.headerKey(shard), "generation").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read header: %w", err)
	}
	return generation, nil
}

// atOnce reads the shard's keys of a generation at one moment, with which of two halves is the newer one ("" or "0",
// or "1"); errRebuilt says that they are no longer the state's.
func (s *Store) atOnce(
	ctx context.Context, shard int, generation string, read func(redis.Pipeliner),
) (current string, err error) {
	var now, half *redis.StringCmd
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		now = p.HGet(ctx, s.headerKey(shard), "generation")
		half = p.HGet(ctx, s.tableKey(shard, generation, "clock"), "current")
		read(p)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("read state: %w", err)
	}
	if now.Val() != generation {
		return "", errRebuilt
	}
	return half.Val(), nil
}

func (s *Store) row(
	ctx context.Context, shard int, generation string, halves []string, field string,
) (value string, found bool, err error) {
	rows := make([]*redis.StringCmd, len(halves))
	current, err := s.atOnce(ctx, shard, generation, func(p redis.Pipeliner) {
		for i, half := range halves {
			rows[i] = p.HGet(ctx, s.tableKey(shard, generation, half), field)
		}
	})
	if err != nil {
		return "", false, err
	}
	if current == "1" {
		slices.Reverse(rows)
	}
	for _, row := range rows {
		switch err := row.Err(); {
		case err == nil:
			return row.Val(), true, nil
		case !errors.Is(err, redis.Nil):
			return "", false, fmt.Errorf("read row: %w", err)
		}
	}
	return "", false, nil
}

// scanTable visits the rows of one table.
func (s *Store) scanTable(
	ctx context.Context, shard int, generation, table string, visit func(field, value string) error,
) error {
	key := s.tableKey(shard, generation, table)
	for cursor := uint64(0); ; {
		var page *redis.ScanCmd
		_, err := s.atOnce(ctx, shard, generation, func(p redis.Pipeliner) {
			page = p.HScan(ctx, key, cursor, "", rowsPage)
		})
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

// Len counts the rows of a table; of one that rotates those of both halves, of which some may be the same. It changes
// nothing and may be called by anyone.
func (s *Store) Len(ctx context.Context, shard int, table string) (int64, error) {
	halves, err := s.halves(table)
	if err != nil {
		return 0, err
	}
	for {
		generation, err := s.generation(ctx, shard)
		if err != nil || generation == "" {
			return 0, err
		}
		counts := make([]*redis.IntCmd, len(halves))
		_, err = s.atOnce(ctx, shard, generation, func(p redis.Pipeliner) {
			for i, half := range halves {
				counts[i] = p.HLen(ctx, s.tableKey(shard, generation, half))
			}
		})
		switch {
		case errors.Is(err, errRebuilt):
			continue
		case err != nil:
			return 0, err
		}
		total := int64(0)
		for _, c := range counts {
			total += c.Val()
		}
		return total, nil
	}
}
