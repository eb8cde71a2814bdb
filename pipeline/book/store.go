package book

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// errFenced says that the shard has a later owner.
var errFenced = errors.New("the shard has a later owner")

// errMismatch says that Redis does not stand where the caller does.
var errMismatch = errors.New("the shard's state stands elsewhere")

// Store is a book's state in Redis: a fast view of the journal that may lose its last second, fail over to a stale
// replica, or be emptied. Each call is one script on one shard's keys, and may be repeated.
//
// The keys, all with the shard's hash tag:
//
//	NAMESPACE:{BOOK:SHARD}                   HASH  the header, see protocol.lua
//	NAMESPACE:{BOOK:SHARD}:GENERATION:TABLE  HASH  a plain table of the state
//	NAMESPACE:{BOOK:SHARD}:GENERATION:rows   HASH  the rows of all packed tables, in buckets
type Store struct {
	Meter pipeline.Meter // nil measures nothing

	client    redis.UniversalClient
	namespace string
	book      Book
	script    *redis.Script
	plain     []string
	packed    []string
	framer    framer
	depth     int // of an empty state's buckets
}

// depthFirst is how deep an empty state's buckets are: so many that a large batch meets no long one.
const depthFirst = 4

// NewStore returns the book's state in the namespace. The client, which it does not own, must not repeat
// commands by itself (MaxRetries -1): whoever calls does.
func NewStore(client redis.UniversalClient, namespace string, b Book) *Store {
	plain := plainTables(b)
	return &Store{
		client: client, namespace: namespace, book: b, script: redis.NewScript(script(b)),
		plain: plain, packed: packedTables(b), depth: depthFirst,
		framer: newFramer(b),
	}
}

// Header is where a shard's state stands.
type Header struct {
	At         int64  // the command offset decided up to; below zero where the state is kept in a way not known here
	Digest     string // of the history up to there
	Generation string // names the keys of the state
	LastFrom   int64  // where the last answer began, -1 where there is none
	LastDigest string // the digest there
	spread     spread
}

// Answer is what the script decided on the commands [from, To).
type Answer struct {
	To     int64
	Digest string
	Text   string // pipeline.ParseAnswer reads it
	Last   bool   // it was decided before: a lost reply, or a former owner's batch that it could not publish
	spread spread
}

func (s *Store) headerKey(shard int) string {
	return fmt.Sprintf("%s:{%s:%d}", s.namespace, s.book.Name(), shard)
}

// keys are the script's: the header, the plain tables, the packed rows.
func (s *Store) keys(shard int, generation string) []string {
	keys := make([]string, 0, len(s.plain)+2)
	keys = append(keys, s.headerKey(shard))
	for _, name := range s.plain {
		keys = append(keys, s.tableKey(shard, generation, name))
	}
	return append(keys, s.rowsKey(shard, generation))
}

func (s *Store) tableKey(shard int, generation, table string) string {
	return s.headerKey(shard) + ":" + generation + ":" + table
}

func (s *Store) rowsKey(shard int, generation string) string {
	return s.tableKey(shard, generation, "rows")
}

// Enter makes the epoch the shard's, unless a later one is, and returns where the state stands (rule 5).
func (s *Store) Enter(ctx context.Context, shard int, epoch int64, history string) (Header, error) {
	r, err := s.run(ctx, []string{s.headerKey(shard)}, "enter", epoch, history, s.depth)
	if err != nil {
		return Header{}, fmt.Errorf("enter: %w", err)
	}
	if r[0] == "history" {
		return Header{}, &LogError{Problem: fmt.Sprintf("Redis knows the history %s, the journal is %s", r[1], history)}
	}
	if r[0] == "foreign" && len(r) == 2 {
		return Header{At: -1, Generation: r[1], LastFrom: -1}, nil
	}
	if len(r) != 10 {
		return Header{}, fmt.Errorf("enter: reply of %d words", len(r))
	}
	h := Header{Digest: r[2], Generation: r[3], LastFrom: -1, LastDigest: r[5]}
	if h.At, err = strconv.ParseInt(r[1], 10, 64); err != nil {
		return Header{}, fmt.Errorf("enter: position %q: %w", r[1], err)
	}
	if r[4] != "" {
		if h.LastFrom, err = strconv.ParseInt(r[4], 10, 64); err != nil {
			return Header{}, fmt.Errorf("enter: last answer's position %q: %w", r[4], err)
		}
	}
	if h.spread, err = parseSpread(r[6:]); err != nil {
		return Header{}, fmt.Errorf("enter: %w", err)
	}
	return h, nil
}

// at returns the position and the epoch of the header, as a hint where to look; zero where there is none.
func (s *Store) at(ctx context.Context, shard int) (at, epoch int64, err error) {
	v, err := s.client.HMGet(ctx, s.headerKey(shard), "at", "epoch").Result()
	if err != nil {
		return 0, -1, fmt.Errorf("read header: %w", err)
	}
	text, ok := v[0].(string)
	if !ok {
		return 0, -1, nil
	}
	if at, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, -1, fmt.Errorf("read header: position: %w", err)
	}
	text, _ = v[1].(string)
	if epoch, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, -1, fmt.Errorf("read header: epoch: %w", err)
	}
	return at, epoch, nil
}

// place is where an owner stands in its shard.
type place struct {
	shard      int
	epoch      int64
	generation string
	seed       uint64 // of the packed rows' buckets
	spread     spread
	at         int64
	digest     string
}

// Decide decides the commands [p.at, to) (rule 9), or none where that is empty (rule 13).
func (s *Store) Decide(ctx context.Context, p place, to int64, commands [][]string) (Answer, error) {
	args := []any{"decide", p.epoch, p.generation, p.at, p.digest, to, p.spread.depth, p.spread.split}
	if len(commands) > 0 {
		args = append(args, s.framer.frame(p.seed, p.spread, commands)...)
	}
	r, err := s.run(ctx, s.keys(p.shard, p.generation), args...)
	if err != nil {
		return Answer{}, fmt.Errorf("decide: %w", err)
	}
	if r[0] == "idle" {
		return Answer{To: p.at, Digest: p.digest}, nil
	}
	if len(r) != 8 {
		return Answer{}, fmt.Errorf("decide: reply of %d words", len(r))
	}
	a := Answer{Digest: r[2], Text: answerText(r[3]), Last: r[0] == "last"}
	if a.To, err = strconv.ParseInt(r[1], 10, 64); err != nil {
		return Answer{}, fmt.Errorf("decide: position %q: %w", r[1], err)
	}
	if a.spread, err = parseSpread(r[4:]); err != nil {
		return Answer{}, fmt.Errorf("decide: %w", err)
	}
	return a, nil
}

// answerText is what the script answered: it stands behind what else the history's digest is made of.
func answerText(text string) string {
	for range 3 {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// apply writes a recorded entry's changes, where the state is where the entry begins (rule 7).
func (s *Store) apply(
	ctx context.Context, p place, to int64, digest string, changes []*schemas.Change,
) (spread, error) {
	f := framing{seed: p.seed, spread: p.spread, buckets: map[string]int{}}
	rows := make([]any, 0, 4*len(changes))
	for _, c := range changes {
		field, value, bucket := []byte(c.GetField()), []byte(c.GetValue()), 0
		if len(field) > 0 && slices.Contains(s.packed, c.GetTable()) {
			bucket = f.bucket(c.GetField())
			field, value = appendKey(nil, c.GetField()), appendTokens(nil, c.GetValue())
		}
		rows = append(rows, c.GetTable(), field, value, bucket)
	}
	args := []any{
		"apply", p.epoch, p.generation, p.at, p.digest, to, p.spread.depth, p.spread.split, digest, len(f.names),
	}
	args = append(append(args, f.names...), rows...)
	r, err := s.run(ctx, s.keys(p.shard, p.generation), args...)
	if err != nil {
		return spread{}, fmt.Errorf("apply: %w", err)
	}
	return parseSpread(r[1:])
}

// Reset empties the state and begins the next generation, in one call (rule 8). The keys of a state that was kept
// table by table go too.
func (s *Store) Reset(ctx context.Context, p place, next string) error {
	keys := s.keys(p.shard, p.generation)
	for _, table := range s.packed {
		keys = append(keys, s.tableKey(p.shard, p.generation, table))
	}
	if _, err := s.run(ctx, keys, "reset", p.epoch, p.generation, next, s.depth); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return nil
}

// run calls the script and returns the words of its reply; what the protocol refuses is errFenced or errMismatch.
func (s *Store) run(ctx context.Context, keys []string, args ...any) ([]string, error) {
	began := time.Now()
	r, err := s.script.Run(ctx, s.client, keys, args...).StringSlice()
	operation, _ := args[0].(string)
	pipeline.MeterOr(s.Meter).Called(pipeline.Called{
		Call: pipeline.CallRedis, Who: s.book.Name(), What: operation, Items: 1, Took: time.Since(began),
		Failed: err != nil,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case len(r) == 0:
		return nil, errors.New("empty reply")
	case r[0] == "fenced":
		return nil, errFenced
	case r[0] == "mismatch":
		return nil, errMismatch
	}
	return r, nil
}
