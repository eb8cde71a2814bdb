// Package advice tells an account's bank of the commands on it that the accounts book did not take.
//
//	reads   entries (refused and conflicting movements that no other stage follows)
//	effect  none
//	emits   notices (the account's bank)
//
// Who vouches for an invitation's account and who holds for an issuance request follow those themselves,
// whatever became of them. Everything else was sent by an operator or by another system: the bank that keeps
// the account is told, so that no item of the journal is lost on everybody.
package advice

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Stage advises of what was refused and of what contradicts. A repeat was advised of with the first.
func Stage() pipeline.Stage {
	return pipeline.Stage{
		Name: "advice", Reads: []string{schemas.TopicEntries},
		Writes:   []string{schemas.TopicNotices, schemas.TopicDeadLetters},
		Concerns: concerns, Follow: follow,
	}
}

func concerns(r pipeline.Record) bool {
	g, ok := schemas.GlanceItem(r.Value)
	return !ok || g.Outcome == schemas.Outcome_OUTCOME_REFUSED || g.Outcome == schemas.Outcome_OUTCOME_CONFLICT
}

func follow(in pipeline.In) ([]pipeline.Out, error) {
	entry, ok := in.Body.(*schemas.Entry)
	if !ok {
		panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body)) // a dead letter
	}
	movement := entry.GetMovement()
	if followed(movement) {
		return nil, nil
	}
	switch d := entry.GetDecision(); d.GetOutcome() {
	case schemas.Outcome_OUTCOME_REFUSED:
		return advise(in.ID, entry.GetId(), movement, d.GetReason()), nil
	case schemas.Outcome_OUTCOME_CONFLICT:
		return advise(in.ID, entry.GetId(), movement, schemas.Reason_REASON_CONFLICT), nil
	case schemas.Outcome_OUTCOME_DONE, schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_UNREADABLE,
		schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil, nil
}

// followed says whether somebody else reads what became of the movement: the stages of certificates do, and
// whoever keeps the time its ticks.
func followed(m *schemas.Movement) bool {
	switch m.GetVerb().(type) {
	case *schemas.Movement_Tick:
		return true
	case *schemas.Movement_Vouch:
		return refersTo(m, &schemas.Invitation{})
	case *schemas.Movement_Hold:
		return refersTo(m, &schemas.IssuanceRequest{})
	}
	return false
}

func refersTo(m *schemas.Movement, reference proto.Message) bool {
	return m.GetReference().MessageIs(reference)
}

func advise(cause, command string, m *schemas.Movement, reason schemas.Reason) []pipeline.Out {
	bank, _ := schemas.BankOf(m.GetAccount())
	return []pipeline.Out{{
		Topic: schemas.TopicNotices,
		ID:    schemas.DeriveID("advice", cause),
		Body: &schemas.Notice{
			Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_ISSUING_BANK, Id: bank},
			Subject:   schemas.Subject_SUBJECT_ANSWER_REFUSED,
			CommandId: command,
			Account:   m.GetAccount(),
			Reason:    reason,
		},
	}}
}
