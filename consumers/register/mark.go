package register

import (
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// rowPart is what a batch adds to a row.
type rowPart struct {
	name     string
	decides  []byte // marks that must come in
	mentions []byte // those that come in as long as there is room
}

// marks are all of them. What must come in stands first: it takes the others with it.
func (p rowPart) marks() []byte {
	if len(p.mentions) > RowMax {
		p.mentions = nil // who says so much at a time says nothing
	}
	return append(p.decides, p.mentions...)
}

// rowsOf returns what messages add to which rows. What was taken in before the horizon is left out: a register that is
// built anew does not begin with what it would have forgotten.
func rowsOf(in []pipeline.In, horizon time.Time) []rowPart {
	parts := make([]rowPart, 0, len(in))
	known := make(map[string]int, len(in))
	for _, message := range in {
		invitation, m, ok := markOf(message)
		if !ok || message.Time.Before(horizon) {
			continue
		}
		i, ok := known[invitation]
		if !ok {
			i = len(parts)
			known[invitation] = i
			parts = append(parts, rowPart{name: nameOf(invitation)})
		}
		if m.must() {
			parts[i].decides = m.append(parts[i].decides)
		} else {
			parts[i].mentions = m.append(parts[i].mentions)
		}
	}
	return parts
}

// markOf returns what a message says about which invitation; it may say nothing.
func markOf(in pipeline.In) (invitation string, m Mark, ok bool) {
	m.Offset = in.Offset
	switch body := in.Body.(type) {
	case *schemas.Invitation:
		m.Kind, invitation = KindInvited, body.GetId()
	case *schemas.Certificate:
		m.Kind, invitation = KindIssued, body.GetTerms().GetInvitationId()
	case *schemas.Refusal:
		m.Kind, m.Reason, invitation = KindRefused, body.GetReason(), body.GetInvitationId()
		if m.Reason == schemas.Reason_REASON_CONFLICT || m.Reason == schemas.Reason_REASON_INVALID {
			m.Kind = KindDisputed
		}
	case *schemas.PreIssue:
		terms := body.GetRequest().GetTerms()
		m.Kind, invitation = kindOf(body), terms.GetInvitationId()
		if m.Kind == KindOffered {
			m.buyer, m.Second = digestOf(terms.GetBuyer()), in.Time.Unix()
		}
	}
	return invitation, m, invitation != "" && m.Kind != 0 && m.Kind.Topic() == in.Topic
}

// kindOf says what an answer of the pre-issues book is; zero of a repeat, with which nothing has happened.
func kindOf(x *schemas.PreIssue) Kind {
	switch x.GetDecision().GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE:
	case schemas.Outcome_OUTCOME_REFUSED, schemas.Outcome_OUTCOME_CONFLICT:
		return KindAnswered
	case schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_UNREADABLE,
		schemas.Outcome_OUTCOME_UNSPECIFIED:
		return 0
	}
	switch x.GetRequest().GetVerb().(type) {
	case *schemas.IssuanceRequest_Offer:
		return KindOffered
	case *schemas.IssuanceRequest_Request:
		return KindRequested
	case *schemas.IssuanceRequest_Decline:
		return KindDeclined
	case *schemas.IssuanceRequest_Withdraw:
		return KindWithdrawn
	case *schemas.IssuanceRequest_Lapse:
		return KindLapsed
	}
	return 0
}
