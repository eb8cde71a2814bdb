package book

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
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
//	NAMESPACE:{BOOK:SHARD}:GENERATION:TABLE  HASH  a table of the state
type Store struct {
	Meter pipeline.Meter // nil measures nothing

	client    redis.UniversalClient
	namespace string
	book      Book
	script    *redis.Script
	tables    []string
}

// NewStore returns the book's state in the namespace. The client, which it does not own, must not repeat
// commands by itself (MaxRetries -1): whoever calls does.
func NewStore(client redis.UniversalClient, namespace string, b Book) *Store {
	return &Store{client: client, namespace: namespace, book: b, script: redis.NewScript(script(b)), tables: tables(b)}
}

// Header is where a shard's state stands.
type Header struct {
	At         int64  // the command offset decided up to
	Digest     string // of the history up to there
	Generation string // names the keys of the state
	LastFrom   int64  // where the last answer began, -1 where there is none
	LastDigest string // the digest there
}

// Answer is what the script decided on the commands [from, To).
type Answer struct {
	To     int64
	Digest string
	Text   string // pipeline.ParseAnswer reads it
	Last   bool   // it was decided before: a lost reply, or a former owner's batch that it could not publish
}

func (s *Store) headerKey(shard int) string {
	return fmt.Sprintf("%s:{%s:%d}", s.namespace, s.book.Name(), shard)
}

func (s *Store) keys(shard int, generation string) []string {
	keys := []string{s.headerKey(shard)}
	for _, name := range s.tables {
		keys = append(keys, s.tableKey(shard, generation, name))
	}
	return keys
}

func (s *Store) tableKey(shard int, generation, table string) string {
	return s.headerKey(shard) + ":" + generation + ":" + table
}

// Enter makes the epoch the shard's, unless a later one is, and returns where the state stands (rule 5).
func (s *Store) Enter(ctx context.Context, shard int, epoch int64, history string) (Header, error) {
	r, err := s.run(ctx, []string{s.headerKey(shard)}, "enter", epoch, history)
	if err != nil {
		return Header{}, fmt.Errorf("enter: %w", err)
	}
	if r[0] == "history" {
		return Header{}, &LogError{Problem: fmt.Sprintf("Redis knows the history %s, the journal is %s", r[1], history)}
	}
	if len(r) != 6 {
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
	at         int64
	digest     string
}

// Decide decides the commands [p.at, to) (rule 9), or none where that is empty (rule 13).
func (s *Store) Decide(ctx context.Context, p place, to int64, commands [][]string) (Answer, error) {
	args := make([]any, 0, 6+len(commands)*16)
	args = append(args, "decide", p.epoch, p.generation, p.at, p.digest, to)
	for _, c := range commands {
		for _, field := range c {
			args = append(args, field)
		}
	}
	r, err := s.run(ctx, s.keys(p.shard, p.generation), args...)
	if err != nil {
		return Answer{}, fmt.Errorf("decide: %w", err)
	}
	if r[0] == "idle" {
		return Answer{To: p.at, Digest: p.digest}, nil
	}
	if len(r) != 4 {
		return Answer{}, fmt.Errorf("decide: reply of %d words", len(r))
	}
	a := Answer{Digest: r[2], Text: r[3], Last: r[0] == "last"}
	if a.To, err = strconv.ParseInt(r[1], 10, 64); err != nil {
		return Answer{}, fmt.Errorf("decide: position %q: %w", r[1], err)
	}
	return a, nil
}

// Apply writes a recorded entry's changes, three words each, where the state is where the entry begins (rule 7).
func (s *Store) Apply(ctx context.Context, p place, to int64, digest string, changes []string) error {
	args := make([]any, 0, 7+len(changes))
	args = append(args, "apply", p.epoch, p.generation, p.at, p.digest, to, digest)
	for _, c := range changes {
		args = append(args, c)
	}
	if _, err := s.run(ctx, s.keys(p.shard, p.generation), args...); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	return nil
}

// Reset empties the state and begins the next generation, in one call (rule 8).
func (s *Store) Reset(ctx context.Context, p place, next string) error {
	if _, err := s.run(ctx, s.keys(p.shard, p.generation), "reset", p.epoch, p.generation, next); err != nil {
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

// State is a shard's whole state, as it stood at one moment.
type State struct {
	At     int64  // the command offset decided up to
	Digest string // of the history up to there
	Epoch  int64
	Tables map[string]map[string]string // by table and field; a rotating table's halves are NAME0 and NAME1
}

// State reads a shard's state. It changes nothing and may be called by anyone.
func (s *Store) State(ctx context.Context, shard int) (State, error) {
	for {
		generation, err := s.client.HGet(ctx, s.headerKey(shard), "generation").Result()
		if errors.Is(err, redis.Nil) {
			return State{Epoch: -1}, nil
		}
		if err != nil {
			return State{}, fmt.Errorf("read state: %w", err)
		}
		st, now, err := s.state(ctx, shard, generation)
		if err != nil {
			return State{}, fmt.Errorf("read state: %w", err)
		}
		if now == generation {
			return st, nil
		} // else it was reset in between
	}
}

// state reads header and tables of a generation at one moment, and which generation it is then.
func (s *Store) state(ctx context.Context, shard int, generation string) (st State, now string, err error) {
	keys := s.keys(shard, generation)
	replies := make([]*redis.MapStringStringCmd, len(keys))
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			replies[i] = p.HGetAll(ctx, key)
		}
		return nil
	})
	if err != nil {
		return st, "", err
	}
	header := replies[0].Val()
	if header["generation"] != generation {
		return st, header["generation"], nil
	}
	st = State{Digest: header["digest"], Tables: map[string]map[string]string{}}
	for i, name := range s.tables {
		st.Tables[name] = replies[i+1].Val()
	}
	var errs [2]error
	st.At, errs[0] = strconv.ParseInt(header["at"], 10, 64)
	st.Epoch, errs[1] = strconv.ParseInt(header["epoch"], 10, 64)
	return st, generation, errors.Join(errs[:]...)
}
