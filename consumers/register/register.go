// Package register is the read model: one certificate with its whole story, for whoever asks afterwards.
//
//	reads   invitations, pre-issues, entries, certificates, refusals, in any order among them
//	effect  keeps in Redis, for a time, what happened to each invitation
//	emits   nothing
//
// What it holds is a view: emptied, it is built again from the topics. It keeps the positions that it has
// reached with its data, in one call, and resumes there: neither can be lost without the other. The same
// facts stored again change nothing. What contradicts stands beside: two contents of one invitation are two
// facts.
package register

import (
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

// RetentionDefault is how long a story is kept after its last new fact.
const RetentionDefault = 90 * 24 * time.Hour

// FactsMax is how many facts of one topic a story holds, besides those that decide: who sends a thousand
// answers that are refused does not fill the memory.
const FactsMax = 64

// Config is what a register needs to know.
type Config struct {
	Namespace  string
	Partitions int           // of every keyed topic
	Retention  time.Duration // zero: RetentionDefault
}

// Register stores stories, and tells them.
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
	if c.Retention == 0 {
		c.Retention = RetentionDefault
	}
	return &Register{client: client, config: c, script: redis.NewScript(script), at: map[source]string{}}
}

// source is a partition of a topic.
type source struct {
	topic     string
	partition int
}

// Name is the sink's.
func (*Register) Name() string { return "register" }

// Reads are the topics of which stories are made.
func (*Register) Reads() []string {
	return []string{
		schemas.TopicInvitations, schemas.TopicPreIssues, schemas.TopicEntries, schemas.TopicCertificates,
		schemas.TopicRefusals,
	}
}

// Resume returns the position that the data have reached, below zero where there is none.
func (r *Register) Resume(ctx context.Context, topic string, partition int) (pipeline.Mark, error) {
	text, err := r.client.HGet(ctx, r.positionsKey(partition), topic).Result()
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
	from, to := r.expected(source{topic, partition}), position(mark)
	keys := []string{r.positionsKey(partition)}
	args := []any{topic, from, to, r.config.Retention.Milliseconds(), FactsMax}
	number := map[string]int{}
	for _, message := range in {
		f, ok := factOf(message)
		if !ok {
			continue
		}
		value, err := f.encode(message)
		if err != nil {
			return fmt.Errorf("store %s/%d/%d: %w", topic, partition, message.Offset, err)
		}
		key := r.storyKey(partition, topic, f.invitation)
		if number[key] == 0 {
			keys = append(keys, key)
			number[key] = len(keys)
		}
		args = append(args, number[key], f.must, f.field, value)
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
//	NAMESPACE:{r:PARTITION}                   HASH  topic -> position; it stays
//	NAMESPACE:{r:PARTITION}:TOPIC:INVITATION  HASH  what makes a fact one -> the fact; it expires
func (r *Register) positionsKey(partition int) string {
	return r.config.Namespace + ":{r:" + strconv.Itoa(partition) + "}"
}

func (r *Register) storyKey(partition int, topic, invitation string) string {
	return r.positionsKey(partition) + ":" + topic + ":" + invitation
}

// reached remembers the position that Redis has.
func (r *Register) reached(s source, position string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[s] = position
}

// expected returns the position that Redis must have.
func (r *Register) expected(s source) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if position, ok := r.at[s]; ok {
		return position
	}
	return "*"
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
