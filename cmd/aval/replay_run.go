package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/deadletter"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/embedded"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/producers/demo"
)

// replayRun is the replay of one stage.
type replayRun struct {
	system   *system
	flags    *replayFlags
	name     string
	progress demo.Progress
	print    *replayPrinter

	mu sync.Mutex // of progress, and of what is printed
}

func (r *replayRun) run(ctx context.Context) error {
	if b, ok := booksReplayed()[r.name]; ok {
		return r.book(ctx, b)
	}
	return r.stage(ctx)
}

// booksReplayed are the stages that run a book.
func booksReplayed() map[string]book.Book {
	return map[string]book.Book{"ledger": ledger.Book{}, "request": preissue.Book{}}
}

// stageReplayed is a pure stage, with what it needs to be replayed.
func (s *system) stageReplayed(name string) (pipeline.Stage, replay.Seals) {
	versions := &directories{log: s.kafka}
	switch name {
	case "invitation":
		return certificate.Invitation(), nil
	case "routing":
		return certificate.Routing(versions), nil
	case "relay":
		return certificate.Relay(), nil
	case "funding":
		return certificate.Funding(versions), nil
	case "certificate":
		return certificate.Certificate(certificate.Blank{}), certificate.Seals{Directories: versions}
	case "advice":
		return advice.Stage(), nil
	}
	return deadletter.Stage(), nil
}

// stage replays a pure stage.
func (r *replayRun) stage(ctx context.Context) (err error) {
	stage, seals := r.system.stageReplayed(r.name)
	c := replay.Config{
		Log: r.system.kafka, Stage: stage, Partitions: r.system.partitions, IsJournal: isJournal, Seals: seals,
		TempDir: r.flags.tempDir, Progress: r.progress.Add, Ranges: map[string][]replay.Range{},
	}
	all, err := r.system.between(ctx, r.flags.bounds, stage.Reads)
	if err != nil {
		return err
	}
	for _, k := range all {
		done, err := r.system.kafka.Committed(ctx, pipeline.GroupOf(r.name, k.topic), k.topic)
		if err != nil {
			return err
		}
		for p := range k.ranges {
			k.ranges[p].To = min(k.ranges[p].To, max(done[p].Offset, 0))
		}
		c.Ranges[k.topic] = k.ranges
	}
	x, err := replay.New(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	r.progress.Stage("replay "+r.name, int(x.Total()))
	err = x.Read(ctx)
	r.progress.Done()
	if err != nil {
		return err
	}
	if err := x.Compare(ctx, r.print.difference); err != nil {
		return err
	}
	return r.print.end(x.Inputs, x.Follows)
}

// book replays a book, in an empty Redis inside this process.
func (r *replayRun) book(ctx context.Context, b book.Book) error {
	all, err := r.system.between(ctx, r.flags.bounds, []string{b.Commands()})
	if err != nil {
		return err
	}
	done, err := r.system.kafka.Committed(ctx, r.name, b.Commands())
	if err != nil {
		return err
	}
	address, stop, err := embedded.StartRedis()
	if err != nil {
		return err
	}
	defer stop()
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	defer client.Close() //nolint:errcheck // nothing of it is kept
	x := &book.Replay{
		Book: b, Store: book.NewStore(client, "replay", b), Log: r.system.kafka, Partitions: r.system.partitions,
		Report: r.difference, Progress: r.add,
	}
	total, err := r.total(ctx, b, all[0])
	if err != nil {
		return err
	}
	r.progress.Stage("replay "+r.name, total)
	var inputs, follows int64
	var tasks []func(context.Context) error
	for shard, bounds := range all[0].ranges {
		tasks = append(tasks, func(ctx context.Context) error {
			span := book.ReplayRange{From: bounds.From, To: bounds.To, Done: done[shard].Offset}
			i, f, err := x.Shard(ctx, shard, span)
			r.mu.Lock()
			defer r.mu.Unlock()
			inputs, follows = inputs+i, follows+f
			if err != nil {
				err = fmt.Errorf("shard %d: %w", shard, err)
			}
			return err
		})
	}
	err = replay.All(ctx, shardsAtATime, tasks)
	r.progress.Done()
	if err != nil {
		return err
	}
	return r.print.end(inputs, follows)
}

// shardsAtATime is how many shards of a book are replayed at a time.
const shardsAtATime = 4

// total is how many records the replay of a book reads.
func (r *replayRun) total(ctx context.Context, b book.Book, k kept) (int, error) {
	total := int64(0)
	for shard := range r.system.partitions {
		first, end, err := r.system.kafka.Bounds(ctx, b.Journal(), shard)
		if err != nil {
			return 0, err
		}
		total += end - first + k.ranges[shard].To - k.ranges[shard].From
	}
	return int(total), nil
}

func (r *replayRun) difference(d replay.Difference) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.print.difference(d)
}

func (r *replayRun) add(records int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.Add(records)
}
