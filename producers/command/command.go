// Package command sends commands to a book and waits for what the book recorded.
//
//	reads   entries, pre-issues: the journals, from where another reader of them has come
//	effect  none
//	emits   movements, issuance-requests
//
// A command is made one by its identifier: sent again it changes nothing, and the book answers that it is a repeat
// and what stands, or that the identifier stands for something else. So whoever got no answer may always send it
// again.
package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	source = "/aval/command"
	// CommandsMax bounds the commands of one Send.
	CommandsMax = 10_000
)

// Pauses between two looks for answers.
const (
	pauseMin = 5 * time.Millisecond
	pauseMax = 200 * time.Millisecond
)

// Command is what a book is asked.
type Command struct {
	ID   string    // makes it one
	Time time.Time // when it was taken in: a clock's, of whoever took it in
	// Trace is that of the message which is answered, where there is one.
	Trace schemas.Trace
	// Body is a *schemas.Movement or a *schemas.IssuanceRequest; not a tick, which is every shard's.
	Body proto.Message
}

// Answer is what a book recorded about a command.
type Answer struct {
	ID        string
	Partition int
	Offset    int64         // of the item, in the journal's partition
	Item      proto.Message // *schemas.Entry or *schemas.PreIssue
	Decision  *schemas.Decision
}

// Stands says whether what was asked is done, now or before.
func (a Answer) Stands() bool {
	switch a.Decision.GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE:
		return true
	case schemas.Outcome_OUTCOME_REPEAT:
		return a.Decision.GetReason() == schemas.Reason_REASON_UNSPECIFIED
	case schemas.Outcome_OUTCOME_UNSPECIFIED, schemas.Outcome_OUTCOME_REFUSED, schemas.Outcome_OUTCOME_CONFLICT,
		schemas.Outcome_OUTCOME_UNREADABLE:
	}
	return false
}

// Log is the part of the log that a client reads.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64,
		visit func([]pipeline.Record) error) error
}

// Marks tells what consumer groups have committed.
type Marks interface {
	// Committed returns a mark for each partition of the topic; the offset is below zero where there is none.
	Committed(ctx context.Context, group, topic string) ([]pipeline.Mark, error)
}

// Client sends commands. It keeps nothing between two calls and may be used by several at once.
type Client struct {
	Publisher  pipeline.Publisher
	Log        Log
	Marks      Marks
	Partitions int // of every keyed topic
}

// Send publishes the commands, in their order, and returns the answers in the order of the commands. When ctx ends
// before, that is an *UnansweredError, with what was answered until then; the others have no Decision.
func (c Client) Send(ctx context.Context, commands ...Command) ([]Answer, error) {
	switch n := len(commands); {
	case n == 0:
		return nil, nil
	case n > CommandsMax:
		return nil, fmt.Errorf("%d commands, must be at most %d: send some at a time", n, CommandsMax)
	}
	w := &wait{client: c, answers: make([]Answer, len(commands)), shards: map[shard]*reading{}}
	records := make([]pipeline.Record, 0, len(commands))
	var errs []error
	for i, command := range commands {
		w.answers[i].ID = command.ID
		record, err := w.add(i, command)
		records, errs = append(records, record), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return w.answers, w.ended(ctx, fmt.Errorf("find where to read: %w", err), notSent)
	}
	if err := c.Publisher.Publish(ctx, records); err != nil {
		return w.answers, w.ended(ctx, err, perhapsSent)
	}
	if err := w.until(ctx); err != nil {
		return w.answers, w.ended(ctx, err, sent)
	}
	return w.answers, nil
}

// route is where the commands to a book stand, and its answers.
type route struct{ commands, journal string }

func routeOf(body proto.Message) (route, error) {
	switch m := body.(type) {
	case *schemas.Movement:
		if m.GetTick() == nil {
			return route{schemas.TopicMovements, schemas.TopicEntries}, nil
		}
	case *schemas.IssuanceRequest:
		if m.GetTick() == nil {
			return route{schemas.TopicIssuanceRequests, schemas.TopicPreIssues}, nil
		}
	default:
		return route{}, fmt.Errorf("body is a %T, must be a movement or an issuance request", body)
	}
	return route{}, errors.New("a tick is every shard's: it has no one answer")
}

// progress is how far a Send came that has no answer.
type progress int

const (
	notSent progress = iota
	perhapsSent
	sent
)

// UnansweredError says that ctx ended before every command was answered.
type UnansweredError struct {
	IDs   []string // of the commands without an answer
	Topic string   // where the first of them stands, or should
	Stage string   // which has to answer it
	Sent  bool     // the commands are in the log: they will be decided
	Cause error
}

// Error says what to do.
func (e *UnansweredError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no answer to %s", e.IDs[0])
	if more := len(e.IDs) - 1; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	if e.Sent {
		fmt.Fprintf(&b, ": it stands in the topic %s and is decided as soon as the stage %s runs (aval run). ",
			e.Topic, e.Stage)
	} else {
		b.WriteString(": Kafka did not say that it has it. ")
	}
	b.WriteString("Sending it again with the same id is safe")
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap returns why nobody waited longer.
func (e *UnansweredError) Unwrap() error { return e.Cause }
