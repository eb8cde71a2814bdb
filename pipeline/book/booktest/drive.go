package booktest

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
)

// Driver gives a book's only shard batches, on a journal that keeps nothing: to measure what they cost.
type Driver struct {
	t      T
	book   book.Book
	client *redis.Client
	runner *book.Runner
	next   int64
}

// NewDriver takes over the empty shard of a fresh namespace in the Redis at the address.
func NewDriver(t T, b book.Book, address string) *Driver {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1, ReadTimeout: 5 * time.Minute})
	t.Cleanup(func() { _ = client.Close() })
	d := &Driver{t: t, book: b, client: client, runner: &book.Runner{
		Book: b, Store: book.NewStore(client, rand.Text(), b), Log: &sink{}, Partitions: 1, Owner: "test",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}}
	if _, err := d.runner.Resume(t.Context(), b.Commands(), 0, pipeline.Mark{Offset: -1}); err != nil {
		t.Fatal(err)
	}
	return d
}

// Handle has the book decide the records as one batch.
func (d *Driver) Handle(records []pipeline.Record) {
	d.t.Helper()
	for i := range records {
		records[i].Topic, records[i].Partition, records[i].Offset = d.book.Commands(), 0, d.next
		d.next++
	}
	if err := d.runner.Handle(d.t.Context(), &pipeline.Batch{Topic: d.book.Commands(), Records: records}); err != nil {
		d.t.Fatal(err)
	}
}

// Usage is what was used since the beginning.
type Usage struct {
	Store   time.Duration // CPU of the Redis server
	Process time.Duration // CPU of this process
	Memory  int64         // bytes that the Redis server has allocated
}

// Usage measures it. An embedded Redis counts to the process.
func (d *Driver) Usage() Usage {
	d.t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		d.t.Fatal(err)
	}
	u := Usage{Process: time.Duration(used.Utime.Nano() + used.Stime.Nano())}
	info, _ := d.client.Info(d.t.Context(), "cpu").Result()
	more, _ := d.client.Info(d.t.Context(), "memory").Result()
	for line := range strings.Lines(info + more) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "used_cpu_sys", "used_cpu_user":
			seconds, err := time.ParseDuration(value + "s")
			if err != nil {
				d.t.Fatalf("%s: %v", line, err)
			}
			u.Store += seconds
		case "used_memory":
			u.Memory, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return u
}

// sink is a journal that keeps its first record, the takeover, alone.
type sink struct {
	first []pipeline.Record
	end   int64
}

var _ pipeline.Log = (*sink)(nil)

func (l *sink) Bounds(context.Context, string, int) (first, end int64, err error) {
	return 0, l.end, nil
}

func (l *sink) Read(
	_ context.Context, topic string, _ int, from, end int64, visit func([]pipeline.Record) error,
) error {
	if from > 0 || end != 1 {
		return fmt.Errorf("%s from %d to %d was not kept", topic, from, end)
	}
	return visit(l.first)
}

func (l *sink) Claim(context.Context, string, string, int) (pipeline.Appender, error) { return l, nil }

func (l *sink) Append(_ context.Context, records []pipeline.Record) (int64, error) {
	base := l.end
	if base == 0 {
		l.first = records[:1]
	}
	l.end += int64(len(records))
	return base, nil
}
