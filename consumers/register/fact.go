package register

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Fact is something that happened to an invitation, as the log tells it.
type Fact struct {
	pipeline.Place
	schemas.Attributes
	Body proto.Message

	record pipeline.Record
}

// Log is the part of the log that stories are read from.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64,
		visit func([]pipeline.Record) error) error
}

// ErrGone says that the log does not keep a record any more.
var ErrGone = errors.New("the log does not keep it any more")

// read returns what stands at a place; ErrGone where nothing that can be read does.
func (s *Stories) read(ctx context.Context, at pipeline.Place) (Fact, error) {
	var found *pipeline.Record
	err := s.log.Read(ctx, at.Topic, at.Partition, at.Offset, at.Offset+1, func(records []pipeline.Record) error {
		found = &records[0]
		return nil
	})
	if err != nil {
		if first, _, wrong := s.log.Bounds(ctx, at.Topic, at.Partition); wrong == nil && at.Offset < first {
			return Fact{}, ErrGone
		}
		return Fact{}, fmt.Errorf("read %s: %w", at, err)
	}
	if found == nil {
		return Fact{}, ErrGone
	}
	f, ok := FactOf(*found)
	if !ok {
		return Fact{}, ErrGone // it was read once: another topic of the same name has come
	}
	return f, nil
}

// FactOf reads a record as a fact; it says no of what cannot be read.
func FactOf(r pipeline.Record) (Fact, bool) {
	in, err := pipeline.Decode(r)
	if err != nil {
		return Fact{}, false
	}
	return Fact{Place: pipeline.PlaceOf(in), Attributes: in.Attributes, Body: plain(in.Body), record: r}, true
}

// plain leaves out of a journal's item what it says of the book's own state: a story is read by people, and other
// people's balances are not theirs to see.
func plain(body proto.Message) proto.Message {
	switch x := body.(type) {
	case *schemas.Entry:
		x.Decision = decision(x.GetDecision())
	case *schemas.PreIssue:
		x.Decision = decision(x.GetDecision())
	}
	return body
}

func decision(d *schemas.Decision) *schemas.Decision {
	return &schemas.Decision{Offset: d.GetOffset(), Outcome: d.GetOutcome(), Reason: d.GetReason()}
}

// Invitation is the identifier of the invitation that the fact is about.
func (f Fact) Invitation() string {
	switch body := f.Body.(type) {
	case *schemas.PreIssue:
		return schemas.KeyOf(body.GetRequest())
	case *schemas.Entry:
		return subject(body.GetMovement())
	}
	return schemas.KeyOf(f.Body)
}

// subject is the invitation that a vouch or a hold is about.
func subject(m *schemas.Movement) string {
	x, request := &schemas.Invitation{}, &schemas.IssuanceRequest{}
	switch ref := m.GetReference(); {
	case m.GetVouch() != nil && ref.MessageIs(x) && ref.UnmarshalTo(x) == nil:
		return x.GetId()
	case m.GetHold() != nil && ref.MessageIs(request) && ref.UnmarshalTo(request) == nil:
		return request.GetTerms().GetInvitationId()
	}
	return ""
}

// Command is where the command stands that a journal's item answers.
func (f Fact) Command() (pipeline.Place, bool) {
	switch body := f.Body.(type) {
	case *schemas.PreIssue:
		return f.commandIn(schemas.TopicIssuanceRequests, body.GetDecision()), true
	case *schemas.Entry:
		return f.commandIn(schemas.TopicMovements, body.GetDecision()), true
	}
	return pipeline.Place{}, false
}

func (f Fact) commandIn(topic string, d *schemas.Decision) pipeline.Place {
	return pipeline.Place{Topic: topic, Partition: f.Partition, Offset: d.GetOffset()}
}

// readOn is how many records that nobody asked for are read rather than the log be asked once more.
const readOn = 500

// Facts visits what stands at places of one partition, in the order of the log, reading on where they lie near to each
// other. What the log does not keep any more is left out.
func (s *Stories) Facts(
	ctx context.Context, topic string, partition int, offsets []int64, visit func(Fact) error,
) error {
	offsets = slices.Compact(slices.Sorted(slices.Values(offsets)))
	first, _, err := s.log.Bounds(ctx, topic, partition)
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", topic, partition, err)
	}
	kept, _ := slices.BinarySearch(offsets, first)
	for offsets = offsets[kept:]; len(offsets) > 0; {
		n := 1
		for n < len(offsets) && offsets[n]-offsets[n-1] <= readOn {
			n++
		}
		near := offsets[:n]
		offsets = offsets[n:]
		err := s.log.Read(ctx, topic, partition, near[0], near[n-1]+1, func(records []pipeline.Record) error {
			return visitFacts(records, near, visit)
		})
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", topic, partition, err)
		}
	}
	return nil
}

// visitFacts visits those of the records that stand at the offsets.
func visitFacts(records []pipeline.Record, offsets []int64, visit func(Fact) error) error {
	for _, r := range records {
		if _, wanted := slices.BinarySearch(offsets, r.Offset); !wanted {
			continue
		}
		if f, ok := FactOf(r); ok {
			if err := visit(f); err != nil {
				return err
			}
		}
	}
	return nil
}
