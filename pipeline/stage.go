// Package pipeline is how messages travel: what a stage, a book and a sink are, and what runs them over a
// transport, which others implement.
//
//	reads   batches of the topics that a stage, a book or a sink names
//	effect  a stage has none; a sink's is its own
//	emits   what follows, or a dead letter of what cannot be read, before the batch is acknowledged
package pipeline

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

// In is a decoded message, and where it stands.
//
// Of a journal it is an item of a valid entry: ID is the item's own, the command's stands in the body, and
// Time is the command's.
type In struct {
	schemas.Attributes
	Topic     string
	Partition int
	Offset    int64
	Key       string
	Body      proto.Message

	record *Record // as it was read; nil of one that was made
}

// original is the record of the message: as it was read, else what is known of it.
func (in In) original() Record {
	if in.record != nil {
		return *in.record
	}
	return Record{Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Key: []byte(in.Key)}
}

// Out is a message that follows. The runner adds its source, its cause (the ID of the In), its trace and its time,
// which is that of its cause: what follows knows no other.
type Out struct {
	Topic string
	ID    string // derived from what it follows from
	Body  proto.Message
}

// Stage is a pure function from a message to what follows: no clock, no randomness, no effect. Doing it
// twice makes a duplicate that can be recognised.
type Stage struct {
	Name  string
	Reads []string // topics
	// Writes are the topics of what may follow, dead letters included: where a replay looks for it.
	Writes []string
	// Concerns says of a record that is not decoded whether anything may follow: where it says no, Follow would
	// return nothing. Nil: any record may be the stage's business.
	Concerns func(Record) bool
	// Follow returns what follows. An error means "not now": the message is brought again, in order.
	Follow func(In) ([]Out, error)
}

// Sink has an effect outside, which is idempotent. It keeps the positions that it has reached with its data.
type Sink interface {
	Name() string
	Reads() []string
	// Resume returns the position that the sink's data have reached, below zero where there is none.
	Resume(ctx context.Context, topic string, partition int) (Mark, error)
	// Store takes the messages and the position after them, in one act. ErrResume asks for Resume first.
	Store(ctx context.Context, topic string, partition int, in []In, mark Mark) error
}

// ErrResume says that a sink's data stand elsewhere than where the messages begin: they were lost, or another
// process has stored more. The partition begins anew, with Resume.
var ErrResume = errors.New("begin anew where the data stand")
