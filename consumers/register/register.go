// Package register is the read model: what happened to one invitation, for whoever asks afterwards.
//
//	reads   invitations, pre-issues, certificates, refusals, in any order among them
//	effect  keeps in Redis, for a time, where the log tells what happened to each invitation
//	emits   nothing
//
// It keeps places, not contents: the log has those, and what is told of a certificate is read there. What the
// accounts book said is found through what followed from it. So a story takes a hundred bytes, however long it is.
//
// What it holds is a view: emptied, it is built again from the topics. It keeps the positions that it has
// reached with its data, in one call, and resumes there: neither can be lost without the other. What contradicts
// stands beside: two contents of one invitation are two facts.
package register

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// RetentionDefault is how long it is kept that something happened. What the log keeps longer is not lost by it.
const RetentionDefault = 90 * 24 * time.Hour

// RowMax is how many bytes of marks a row holds, besides those that decide: who sends a thousand answers that are
// refused does not fill the memory.
const RowMax = 384

// bucketsKept is how many buckets a retention has. What is kept is forgotten by the bucket, at once, so that no row
// needs an end of its own; it is kept longer than asked by one bucket at most.
const bucketsKept = 8

// Config is what a register needs to know.
type Config struct {
	Namespace  string
	Partitions int              // of every keyed topic
	Retention  time.Duration    // zero: RetentionDefault
	Now        func() time.Time // which bucket is written to; nothing is decided by it
}

func (c Config) withDefaults() Config {
	c.Retention = cmp.Or(c.Retention, RetentionDefault)
	return c
}

// Register stores rows.
type Register struct {
	client redis.UniversalClient
	config Config
	script *redis.Script

	mu sync.Mutex
	at map[source]string // the position that was read or stored last, as Redis has it
}

var _ pipeline.Sink = (*Register)(nil)

//go:embed register.lua
var script string

// New returns a register over the client, which it does not own.
func New(client redis.UniversalClient, c Config) *Register {
	return &Register{
		client: client, config: c.withDefaults(), script: redis.NewScript(script), at: map[source]string{},
	}
}

// source is a partition of a topic.
type source struct {
	topic     string
	partition int
}

// Name is the sink's.
func (*Register) Name() string { return "register" }

// Reads are the topics that tell what happened to invitations, each in the invitation's own partition.
func (*Register) Reads() []string {
	return []string{
		schemas.TopicInvitations, schemas.TopicPreIssues, schemas.TopicCertificates, schemas.TopicRefusals,
	}
}

// Resume returns the position that the data have reached, below zero where there is none.
func (r *Register) Resume(ctx context.Context, topic string, partition int) (pipeline.Mark, error) {
	text, err := r.client.HGet(ctx, r.config.positionsKey(partition), topic).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return pipeline.Mark{}, fmt.Errorf("read position of %s/%d: %w", topic, partition, err)
	}
	mark, err := parsePosition(text)
	if err != nil {
		return pipeline.Mark{}, fmt.Errorf("read position of %s/%d: %w", topic, partition, err)
	}
	r.reached(source{topic, partition}, text)
	return mark, nil
}

// ErrElsewhere says that Redis stands at another position than where the messages begin: it has lost what it
// held, or another process has taken the partition over. Whoever gets it begins anew with Resume.
var ErrElsewhere = fmt.Errorf("the register stands at another position: %w", pipeline.ErrResume)

// Store takes messages of one partition, and the position after them, in one call.
func (r *Register) Store(ctx context.Context, topic string, partition int, in []pipeline.In,
	mark pipeline.Mark,
) error {
	from, ok := r.reachedBefore(source{topic, partition})
	if !ok {
		return fmt.Errorf("store %s/%d: %w", topic, partition, ErrElsewhere)
	}
	now, to := r.config.Now(), position(mark)
	bucket := r.config.bucketAt(now)
	keys := []string{
		r.config.positionsKey(partition), r.config.bucketKey(partition, bucket),
		r.config.bucketKey(partition, bucket-bucketsKept-2),
	}
	args := []any{topic, from, to, (r.config.Retention + 2*r.config.bucketLength()).Milliseconds(), RowMax}
	for _, row := range rowsOf(in, now.Add(-r.config.Retention)) {
		if marks := row.marks(); len(marks) > 0 {
			args = append(args, row.name, marks)
		}
	}
	answer, err := r.script.Run(ctx, r.client, keys, args...).Text()
	if err != nil {
		return fmt.Errorf("store %s/%d: %w", topic, partition, err)
	}
	if answer != "stored" {
		return fmt.Errorf("store %s/%d: %w", topic, partition, ErrElsewhere)
	}
	r.reached(source{topic, partition}, to)
	return nil
}

// Keys. All of a partition share its hash tag, and so one slot of a cluster:
//
//	NAMESPACE:{r:PARTITION}:positions  HASH  topic -> position; it stays
//	NAMESPACE:{r:PARTITION}:BUCKET     HASH  a row's name -> its marks; it is forgotten as a whole
//
// What happens to an invitation stands in the bucket of the time at which the register heard of it.
func (c Config) positionsKey(partition int) string { return c.key(partition, "positions") }

func (c Config) bucketKey(partition int, bucket int64) string {
	return c.key(partition, strconv.FormatInt(bucket, 10))
}

func (c Config) key(partition int, name string) string {
	return c.Namespace + ":{r:" + strconv.Itoa(partition) + "}:" + name
}

func (c Config) bucketLength() time.Duration { return c.Retention / bucketsKept }

func (c Config) bucketAt(t time.Time) int64 { return t.UnixMilli() / c.bucketLength().Milliseconds() }

// buckets are those that may hold something: of a process whose clock is ahead, too.
func (c Config) buckets() (keys []int64) {
	for bucket := c.bucketAt(c.Now()) + 1; len(keys) < bucketsKept+3; bucket-- {
		keys = append(keys, bucket)
	}
	return keys
}

// reached remembers the position that Redis has.
func (r *Register) reached(s source, position string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[s] = position
}

// reachedBefore returns the position that Redis must have; it says no where none was read yet.
func (r *Register) reachedBefore(s source) (position string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	position, ok = r.at[s]
	return position, ok
}

// position writes a mark as Redis has it: the offset, a space, and what to know there.
func position(m pipeline.Mark) string {
	return strconv.FormatInt(m.Offset, 10) + " " + m.Metadata
}

func parsePosition(text string) (pipeline.Mark, error) {
	if text == "" {
		return pipeline.Mark{Offset: -1}, nil
	}
	number, metadata, _ := strings.Cut(text, " ")
	offset, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return pipeline.Mark{}, fmt.Errorf("position %q: %w", text, err)
	}
	return pipeline.Mark{Offset: offset, Metadata: metadata}, nil
}
