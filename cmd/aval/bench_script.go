package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/bench"
)

//go:embed bench_script.lua
var bareScript string

const (
	bareAccounts = 1000 // of each shard
	bareMost     = 500  // pairs of a call: the book takes as many
)

// script is how many pairs a second a bare script decides in batches of so many, a call at a time for each shard;
// remember says whether it remembers identifiers.
func (m *meter) script(ctx context.Context, batch int, remember bool, d time.Duration) (bench.Number, error) {
	batch = min(max(batch, 1), bareMost)
	counts := make([]int64, m.system.partitions)
	began := time.Now()
	ctx, end := context.WithTimeout(ctx, d)
	defer end()
	actors := make([]func(context.Context) error, len(counts))
	for shard := range counts {
		b := &bare{system: m.system, shard: shard, batch: batch, remember: remember}
		actors[shard] = func(ctx context.Context) error {
			for ctx.Err() == nil {
				if err := b.call(context.WithoutCancel(ctx)); err != nil {
					return err
				}
				counts[shard] += int64(batch)
			}
			return nil
		}
	}
	err := pipeline.Run(ctx, actors...)
	took := time.Since(began)
	for shard := range counts {
		tag := bareKey(m.system.namespace, shard)
		err = errors.Join(err, m.system.redis.Unlink(context.WithoutCancel(ctx), tag, tag+":seen").Err())
	}
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, n := range counts {
		total += n
	}
	return bench.Rate(total, took), nil
}

// bare calls the bare script for a shard.
type bare struct {
	system   *system
	shard    int
	batch    int
	remember bool
	sent     int64
}

func (b *bare) call(ctx context.Context) error {
	tag := bareKey(b.system.namespace, b.shard)
	args := make([]any, 0, 1+4*b.batch)
	args = append(args, "0")
	if b.remember {
		args[0] = "1"
	}
	for range b.batch {
		n := strconv.FormatInt(b.sent, 10)
		b.sent++
		args = append(args, "AVALBRSPISS/bench-buyer-"+strconv.FormatInt(b.sent%bareAccounts, 10),
			bareID("a", n), bareID("c", n), "1050")
	}
	done, err := redis.NewScript(bareScript).Run(ctx, b.system.redis, []string{tag, tag + ":seen"}, args...).Int()
	if err != nil {
		return fmt.Errorf("run a bare script: %w", err)
	}
	if done != b.batch {
		return fmt.Errorf("a bare script did %d pairs of %d", done, b.batch)
	}
	return nil
}

func bareKey(namespace string, shard int) string {
	return fmt.Sprintf("%s:{bare:%d}", namespace, shard)
}

// bareID is an identifier as long as the book's.
func bareID(kind, n string) string {
	const digits = "0000000000000000000000000000000"
	return kind + digits[:len(digits)-len(n)] + n
}
