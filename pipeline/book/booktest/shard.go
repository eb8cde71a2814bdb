// Package booktest runs one shard of a book for tests: the real runner and the real script, on a given
// Redis and on a journal in memory.
//
//	reads   the commands that the test gives, in the batches that it gives
//	effect  on keys of a namespace of its own in Redis
//	emits   the journal's items
package booktest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/fold"
	"github.com/aval-systems/aval/schemas"
)

// T is what a shard needs of a test: testing.TB and *rapid.T have it.
type T interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Shard is a book's only shard.
type Shard struct {
	t       T
	book    book.Book
	client  *redis.Client
	store   *book.Store
	space   string // the namespace
	spaces  map[*book.Store]string
	runner  *book.Runner
	log     *log
	journal pipeline.Journal
	folded  map[string]map[string]string // the journal's changes, applied
	fold    *fold.Fold                   // the same, as the program does it
}

// Command is a message of the command topic.
type Command struct {
	schemas.Message
	Key string // in place of the message's own, where it is set
}

// New takes over the empty shard of a fresh namespace in the Redis at the address.
func New(t T, b book.Book, address string) *Shard {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	s := &Shard{
		t: t, book: b, client: client,
		log: &log{topics: map[string][]pipeline.Record{}}, folded: map[string]map[string]string{},
	}
	s.fold = fold.New(s.log, b.Journal(), 0)
	s.takeover()
	return s
}

// takeover makes a runner with an empty Redis, which recovers from the journal.
func (s *Shard) takeover() {
	s.t.Helper()
	s.space = rand.Text()
	s.store = book.NewStore(s.client, s.space, s.book)
	s.own()
}

// own makes a runner, which takes the shard over.
func (s *Shard) own() {
	s.t.Helper()
	s.runner = &book.Runner{
		Book: s.book, Store: s.store, Log: s.log, Partitions: 1, Owner: "test",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	}
	if _, err := s.runner.Resume(s.t.Context(), s.book.Commands(), 0, pipeline.Mark{Offset: -1}); err != nil {
		s.t.Fatal(err)
	}
}

// Rebuild loses the Redis and has the shard recovered from its journal alone.
func (s *Shard) Rebuild() {
	s.t.Helper()
	s.takeover()
}

// Store is the shard's state, for who reads it in another way than Tables. Its number is 0.
func (s *Shard) Store() *book.Store { return s.store }

// Other is the store of an empty Redis, so to speak: of another namespace of the same.
func (s *Shard) Other() *book.Store {
	space := rand.Text()
	store := book.NewStore(s.client, space, s.book)
	if s.spaces == nil {
		s.spaces = map[*book.Store]string{}
	}
	s.spaces[store] = space
	return store
}

// CutOff is the store that Other gave, whose connection ends after so many calls.
func (s *Shard) CutOff(other *book.Store, calls int) *book.Store {
	s.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.client.Options().Addr, MaxRetries: -1})
	s.t.Cleanup(func() { _ = client.Close() })
	client.AddHook(&cut{left: calls})
	return book.NewStore(client, s.spaces[other], s.book)
}

// Move has the shard taken over in the Redis that Other gave.
func (s *Shard) Move(other *book.Store) {
	s.t.Helper()
	s.space, s.store = s.spaces[other], other
	s.own()
}

// Recover has the shard taken over where it is.
func (s *Shard) Recover() {
	s.t.Helper()
	s.own()
}

// errCut is what a call finds whose connection has ended.
var errCut = errors.New("the connection was cut")

// cut ends a connection after some calls.
type cut struct{ left int }

func (*cut) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if c.left--; c.left < 0 {
			command.SetErr(errCut)
			return errCut
		}
		return next(ctx, command)
	}
}

func (c *cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if c.left--; c.left < 0 {
			return errCut
		}
		return next(ctx, commands)
	}
}

// PlantBytes changes bytes of packed rows in Redis, as they stand there.
func (s *Shard) PlantBytes(before, after string) {
	s.t.Helper()
	place, err := s.store.Place(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	key := s.header() + ":" + place.Generation + ":rows"
	buckets, err := s.client.HGetAll(s.t.Context(), key).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	found := 0
	for name, bucket := range buckets {
		if strings.Contains(bucket, before) {
			found++
			s.plant(key, name, strings.ReplaceAll(bucket, before, after))
		}
	}
	if found != 1 {
		s.t.Fatalf("%d buckets have %q", found, before)
	}
}

// PlantPlain writes a row of a plain table into Redis that nobody has decided, or, without a value, removes one.
func (s *Shard) PlantPlain(table, field, value string) {
	s.t.Helper()
	place, err := s.store.Place(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.plant(s.header()+":"+place.Generation+":"+table, field, value)
}

// PlantHeader does the same to the header.
func (s *Shard) PlantHeader(field, value string) {
	s.t.Helper()
	s.plant(s.header(), field, value)
}

func (s *Shard) header() string { return s.space + ":{" + s.book.Name() + ":0}" }

func (s *Shard) plant(key, field, value string) {
	s.t.Helper()
	var err error
	if value == "" {
		err = s.client.HDel(s.t.Context(), key, field).Err()
	} else {
		err = s.client.HSet(s.t.Context(), key, field, value).Err()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Log holds the shard's topics.
func (s *Shard) Log() pipeline.Log { return s.log }

// Decide gives the commands to the book as one batch, and returns an item of the journal for each.
func (s *Shard) Decide(commands ...Command) []pipeline.In {
	s.t.Helper()
	batch := &pipeline.Batch{Topic: s.book.Commands()}
	for _, c := range commands {
		record, err := pipeline.Encode(s.book.Commands(), c.Message)
		if err != nil {
			s.t.Fatal(err)
		}
		if c.Key != "" {
			record.Key = []byte(c.Key)
		}
		batch.Records = append(batch.Records, record)
	}
	base := s.log.add(batch.Topic, batch.Records)
	batch.Records = s.log.from(batch.Topic, base)
	if err := s.runner.Handle(s.t.Context(), batch); err != nil {
		s.t.Fatal(err)
	}
	items := s.read()
	if len(items) != len(commands) {
		s.t.Fatalf("the journal has %d items for %d commands", len(items), len(commands))
	}
	return items
}

// read returns the journal's new items, and applies their changes.
func (s *Shard) read() []pipeline.In {
	s.t.Helper()
	var items []pipeline.In
	for _, e := range s.journal.Read(s.log.from(s.book.Journal(), s.journal.Next)) {
		of, err := e.Items()
		if err != nil {
			s.t.Fatal(err)
		}
		items = append(items, of...)
	}
	for _, in := range items {
		item, ok := in.Body.(pipeline.Item)
		if !ok {
			s.t.Fatalf("item is a %T", in.Body)
		}
		for _, c := range item.GetDecision().GetChanges() {
			change(s.folded, c)
		}
	}
	return items
}

func change(tables map[string]map[string]string, c *schemas.Change) {
	table := tables[c.GetTable()]
	switch {
	case c.GetField() == "":
		delete(tables, c.GetTable())
	case c.GetValue() == "":
		delete(table, c.GetField())
	case table == nil:
		tables[c.GetTable()] = map[string]string{c.GetField(): c.GetValue()}
	default:
		table[c.GetField()] = c.GetValue()
	}
}

// Tables returns all tables, after it has compared what Redis holds, and what is folded, with what the journal says.
func (s *Shard) Tables() map[string]map[string]string {
	s.t.Helper()
	state, err := s.store.State(s.t.Context(), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.sameFold(state)
	for name, table := range state.Tables {
		if !maps.Equal(table, s.folded[name]) {
			s.t.Fatalf("table %s of Redis is\n%v, the journal says\n%v", name, table, s.folded[name])
		}
	}
	return state.Tables
}

// sameFold compares the fold with the journal's changes, and its position with that of Redis.
func (s *Shard) sameFold(state book.State) {
	s.t.Helper()
	if err := s.fold.To(s.t.Context(), state.At); err != nil {
		s.t.Fatal(err)
	}
	if at := s.fold.Position(); at.To != state.At || at.Digest != state.Digest {
		s.t.Fatalf("the fold stands at %+v, Redis at %d with %s", at, state.At, state.Digest)
	}
	for name := range state.Tables {
		rows := map[string]string{}
		_ = s.fold.Rows(name, func(field, value string) error {
			rows[field] = value
			return nil
		})
		if !maps.Equal(rows, s.folded[name]) || s.fold.Len(name) != len(rows) {
			s.t.Fatalf("table %s is folded to\n%v, the journal says\n%v", name, rows, s.folded[name])
		}
	}
}

// log keeps topics of one partition in memory.
type log struct {
	mu     sync.Mutex
	topics map[string][]pipeline.Record
}

var _ pipeline.Log = (*log)(nil)

func (l *log) add(topic string, records []pipeline.Record) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	base := int64(len(l.topics[topic]))
	for i, r := range records {
		r.Topic, r.Partition, r.Offset = topic, 0, base+int64(i)
		l.topics[topic] = append(l.topics[topic], r)
	}
	return base
}

func (l *log) from(topic string, offset int64) []pipeline.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topics[topic][offset:]
}

// Bounds is all that was added.
func (l *log) Bounds(_ context.Context, topic string, _ int) (first, end int64, err error) {
	return 0, int64(len(l.from(topic, 0))), nil
}

// Read visits the records.
func (l *log) Read(
	_ context.Context, topic string, _ int, from, end int64, visit func([]pipeline.Record) error,
) error {
	if from >= end {
		return nil
	}
	return visit(l.from(topic, from)[:end-from])
}

// Claim refuses nobody: a shard has one runner at a time.
func (l *log) Claim(_ context.Context, _, topic string, _ int) (pipeline.Appender, error) {
	return appender{l, topic}, nil
}

type appender struct {
	log   *log
	topic string
}

func (a appender) Append(_ context.Context, records []pipeline.Record) (int64, error) {
	return a.log.add(a.topic, records), nil
}
