// Package deadletter keeps the commands that no book could read: their journals carry the original bytes.
//
//	reads   entries, pre-issues (unreadable items)
//	effect  none
//	emits   dead letters
package deadletter

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Stage makes a dead letter of every item of a journal that its book could not read. It says where the
// command stands, so that it can be driven again.
func Stage() pipeline.Stage {
	return pipeline.Stage{
		Name: "deadletter", Reads: []string{schemas.TopicEntries, schemas.TopicPreIssues},
		Writes:   []string{schemas.TopicDeadLetters},
		Concerns: concerns, Follow: follow,
	}
}

func concerns(r pipeline.Record) bool {
	g, ok := schemas.GlanceItem(r.Value)
	return !ok || g.Outcome == schemas.Outcome_OUTCOME_UNREADABLE
}

func follow(in pipeline.In) ([]pipeline.Out, error) {
	switch item := in.Body.(type) {
	case *schemas.Entry:
		return letter(in, schemas.TopicMovements, item.GetDecision(), item.GetUnreadable()), nil
	case *schemas.PreIssue:
		return letter(in, schemas.TopicIssuanceRequests, item.GetDecision(), item.GetUnreadable()), nil
	}
	panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body)) // a dead letter, too
}

func letter(in pipeline.In, topic string, d *schemas.Decision, original *schemas.Unreadable) []pipeline.Out {
	if d.GetOutcome() != schemas.Outcome_OUTCOME_UNREADABLE {
		return nil
	}
	return []pipeline.Out{pipeline.Letter(topic, in.Partition, d.GetOffset(), original)}
}
