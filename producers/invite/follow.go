package invite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/command"
	"github.com/aval-systems/aval/schemas"
)

// Log is the part of the log that a run reads.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Tail visits the records of all partitions from these offsets on, those still to come too, until ctx ends.
	Tail(ctx context.Context, topic string, from []int64,
		visit func(partition int, records []pipeline.Record) error) error
}

// Marks tells what consumer groups have committed.
type Marks = command.Marks

// follow returns what follows the decisions from here on, beside a look at what was decided before.
func (r *run) follow(ctx context.Context) ([]func(context.Context) error, error) {
	r.tracker = newTracker(r.Wait, r.Timeout, r.Now)
	actors := []func(context.Context) error{r.recall}
	for _, topic := range []string{schemas.TopicCertificates, schemas.TopicRefusals} {
		from := make([]int64, r.Partitions)
		for p := range from {
			var err error
			if _, from[p], err = r.deps.Log.Bounds(ctx, topic, p); err != nil {
				return nil, fmt.Errorf("look where %s end: %w", topic, err)
			}
		}
		actors = append(actors, r.tail(topic, from, func(_ int, records []pipeline.Record) error {
			r.learn(records)
			return nil
		}))
	}
	positions, err := command.Positions(ctx, r.deps.Marks, schemas.TopicPreIssues)
	if err != nil {
		return nil, fmt.Errorf("look how far %s are read: %w", schemas.TopicPreIssues, err)
	}
	journals, from := make([]pipeline.Journal, r.Partitions), make([]int64, r.Partitions)
	for p := range journals {
		journals[p].Position = positions[p]
		from[p] = positions[p].Next
	}
	return append(actors, r.tail(schemas.TopicPreIssues, from, func(p int, records []pipeline.Record) error {
		for _, entry := range journals[p].Read(records) {
			r.learn(entry.Records)
		}
		return nil
	})), nil
}

func (r *run) tail(
	topic string, from []int64, visit func(int, []pipeline.Record) error,
) func(context.Context) error {
	return func(ctx context.Context) error {
		err := r.deps.Log.Tail(ctx, topic, from, visit)
		if err == nil {
			err = errors.New("the log ended")
		}
		return fmt.Errorf("follow %s: %w", topic, err)
	}
}

// learn takes what the records say of invitations that are waited for. They stand under the invitations' ids.
func (r *run) learn(records []pipeline.Record) {
	for _, record := range records {
		if !r.tracker.waits(string(record.Key)) {
			continue
		}
		in, err := pipeline.Decode(record)
		if err != nil {
			continue // the dead letters tell
		}
		if known, ok := KnownOf(in.Body); ok {
			r.tracker.learn(known)
		}
	}
}

// KnownOf is what a message says of an invitation's fate; it may say nothing.
func KnownOf(body proto.Message) (Known, bool) {
	switch body := body.(type) {
	case *schemas.Certificate:
		return Known{
			Invitation: body.GetTerms().GetInvitationId(), Content: body.GetTerms().GetContentDigest(),
			Outcome: Issued, Certificate: body.GetId(),
		}, true
	case *schemas.Refusal:
		reason := body.GetReason().Word()
		if body.GetDetail() != "" {
			reason += ": " + body.GetDetail()
		}
		return Known{
			Invitation: body.GetInvitationId(), Content: body.GetContentDigest(), Outcome: Refused,
			Reason: schemas.Shorten(reason, reasonMax),
		}, true
	case *schemas.PreIssue:
		terms, decision := body.GetRequest().GetTerms(), body.GetDecision()
		offered := body.GetRequest().GetOffer() != nil && decision.GetReason() == schemas.Reason_REASON_UNSPECIFIED &&
			(decision.GetOutcome() == schemas.Outcome_OUTCOME_DONE ||
				decision.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT)
		return Known{Invitation: terms.GetInvitationId(), Content: terms.GetContentDigest(), Outcome: Offered}, offered
	}
	return Known{}, false
}

// recall looks up what nobody tells: what was decided before it was handed in again.
func (r *run) recall(ctx context.Context) error {
	ticker := time.NewTicker(recallEvery)
	defer ticker.Stop()
	for {
		ids := r.tracker.forgotten()
		if r.deps.Recall == nil || len(ids) == 0 {
			select {
			case <-ticker.C:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		known, err := r.deps.Recall(ctx, ids)
		if err != nil {
			return fmt.Errorf("look up what was decided: %w", err)
		}
		for _, k := range known {
			r.tracker.learn(k)
		}
	}
}
