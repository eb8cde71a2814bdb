package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/schemas"
)

const (
	scanCount   = 1000
	sampleKeys  = 2000 // of a book that are all looked at; of those beyond, every sampleEvery-th
	sampleEvery = 50
	sampleRows  = 200 // of a table
)

// memory is what Redis holds, and what of it the books do, if it tells.
func (m *meter) memory(ctx context.Context) (bench.Held, error) {
	var held bench.Held
	var mu sync.Mutex
	err := m.system.eachRedis(ctx, func(ctx context.Context, c redis.Cmdable) error {
		info, err := c.InfoMap(ctx, "memory").Result()
		if err != nil {
			return fmt.Errorf("ask Redis for its memory: %w", err)
		}
		of := func(figure string) int64 { return number(info["Memory"][figure]) }
		sizes, err := bookSizes(ctx, c, m.system.namespace, ledger.Book{}, preissue.Book{})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		held.All += of("used_memory") - of("mem_clients_normal") - of("mem_aof_buffer")
		held.Accounts += sizes[0]
		held.PreIssues += sizes[1]
		return nil
	})
	if refused := redis.Error(nil); errors.As(err, &refused) { // it is not allowed to be asked, or does not know
		return bench.Held{}, nil
	}
	held.Known = err == nil
	return held, err
}

// bookSizes is what the keys of each book take, about.
func bookSizes(ctx context.Context, c redis.Cmdable, namespace string, books ...book.Book) ([]int64, error) {
	sizes := make([]int64, len(books))
	samples := make([]sampled, len(books))
	for i, b := range books {
		samples[i].prefix = namespace + ":{" + b.Name() + ":"
	}
	err := eachKey(ctx, c, namespace, func(keys []string) error {
		for _, key := range keys {
			for i := range samples {
				size, err := samples[i].size(ctx, c, key)
				if err != nil {
					return err
				}
				sizes[i] += size
			}
		}
		return nil
	})
	return sizes, err
}

// sampled looks at some of many keys, in the place of all.
type sampled struct {
	prefix string
	count  int64
}

// size is what the key counts: nothing where another one counts in its place.
func (s *sampled) size(ctx context.Context, c redis.Cmdable, key string) (int64, error) {
	if !strings.HasPrefix(key, s.prefix) {
		return 0, nil
	}
	weight := int64(1)
	if s.count++; s.count > sampleKeys {
		weight = sampleEvery
	}
	if s.count%weight != 0 {
		return 0, nil
	}
	size, err := c.MemoryUsage(ctx, key, sampleRows).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("ask Redis for the size of a key: %w", err)
	}
	return size * weight, nil
}

// eachKey visits the keys of a namespace on a server, some at a time.
func eachKey(ctx context.Context, c redis.Cmdable, namespace string, visit func([]string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, namespace+":*", scanCount).Result()
		if err != nil {
			return fmt.Errorf("look for keys of namespace %s: %w", namespace, err)
		}
		if err := visit(keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// eachRedis visits the servers that hold the state.
func (s *system) eachRedis(ctx context.Context, visit func(context.Context, redis.Cmdable) error) error {
	if cluster, ok := s.redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return visit(ctx, c) })
	}
	return visit(ctx, s.redis)
}

// remove deletes the topics and the keys of the namespace.
func (s *system) remove(ctx context.Context) error {
	var topics []string
	for _, t := range schemas.Topics() {
		topics = append(topics, t.Name)
	}
	if err := s.kafka.DeleteTopics(ctx, topics); err != nil {
		return err
	}
	return s.eachRedis(ctx, func(ctx context.Context, c redis.Cmdable) error {
		return eachKey(ctx, c, s.namespace, func(keys []string) error {
			if len(keys) == 0 {
				return nil
			}
			_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, key := range keys { // one by one: in a cluster they lie apart
					p.Unlink(ctx, key)
				}
				return nil
			})
			return err
		})
	})
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // what is no number is none
	return n
}
