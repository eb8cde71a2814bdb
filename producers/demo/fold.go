package demo

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

// foldEntry takes an item of the accounts book: what opens an account, vouches for a seller's, or takes a
// hold.
func (t *Tracker) foldEntry(item *schemas.Entry) error {
	m := item.GetMovement()
	switch {
	case m.GetOpen() != nil:
		return t.foldOpen(m.GetAccount(), item)
	case m.GetVouch() != nil:
		x := &schemas.Invitation{}
		if m.GetReference().UnmarshalTo(x) == nil && item.GetId() == schemas.VouchID(x.GetId()) {
			t.foldVouch(x, string(m.GetContent()), item.GetDecision())
		}
	case m.GetHold() != nil && item.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_REFUSED:
		r := &schemas.IssuanceRequest{}
		if m.GetReference().UnmarshalTo(r) == nil { // others are another system's
			t.foldHold(r.GetTerms().GetInvitationId(), item)
		}
	}
	return nil
}

// foldHold takes the issuing bank's refusal to freeze what an invitation asks for.
func (t *Tracker) foldHold(invitation string, item *schemas.Entry) {
	d := t.deals[invitation]
	if d != nil && item.GetId() == schemas.HoldID(invitation) {
		d.held = item.GetDecision().GetReason()
		t.advance(d)
	}
}

// foldOpen compares what was opened with what the file needs. The first opening of an account stands.
func (t *Tracker) foldOpen(id string, item *schemas.Entry) error {
	a := t.accounts[id]
	if a == nil || a.stands {
		return nil
	}
	open, decision := item.GetMovement().GetOpen(), item.GetDecision()
	equal := proto.Equal(open, a.open)
	switch word := verdict(decision); {
	case word == stands && equal:
		a.stands = true
		t.opened++
		if t.live {
			t.opening--
			t.openMore()
		}
	case word == stands || word == contradicted && equal:
		return unlike(id, a.open, open, equal)
	case word == refused && equal && t.live && untimely(decision.GetReason()):
		t.later = append(t.later, openMessage(id, a.open))
	case word == refused && equal && t.live:
		return UsageError{Err: fmt.Errorf("account %s cannot be opened with %s %s: %s; choose other --funds",
			id, a.open.GetFunds().Text(), a.open.GetFunds().GetCurrency(), decision.GetReason().Word())}
	}
	return nil
}

func unlike(id string, wanted, found *schemas.Open, equal bool) error {
	of := ""
	if !equal {
		of = fmt.Sprintf(", with %s %s", found.GetFunds().Text(), found.GetFunds().GetCurrency())
	}
	return UsageError{Err: fmt.Errorf(
		"account %s exists and is unlike --funds %s %s: it was opened otherwise%s; give the former",
		id, wanted.GetFunds().Text(), wanted.GetFunds().GetCurrency(), of)}
}

// foldVouch takes the first book's answer to an invitation: only a new one can be that of a row on its way.
func (t *Tracker) foldVouch(x *schemas.Invitation, content string, decision *schemas.Decision) {
	d := t.deals[x.GetId()]
	if d == nil || !t.live || len(d.line) == 0 || d.head != content {
		return
	}
	if verdict(decision) == refused && untimely(decision.GetReason()) {
		t.later = append(t.later, invitationMessage(d.line[0]))
		return
	}
	d.met = true
	t.advance(d)
}

func (t *Tracker) foldRefusal(x *schemas.Refusal) {
	d := t.deals[x.GetInvitationId()]
	if d == nil || untimely(x.GetReason()) {
		return
	}
	content := string(x.GetContentDigest())
	d.refuse(content, x.GetReason())
	if t.live && x.GetReason() == schemas.Reason_REASON_INVALID && content == d.head {
		d.met = true // it reached no book
	}
	t.advance(d)
}

// foldPreIssue takes an item of the pre-issues book: an offer to be answered, or the one decision on it.
func (t *Tracker) foldPreIssue(from schemas.Attributes, item *schemas.PreIssue) error {
	request := item.GetRequest()
	d := t.deals[request.GetTerms().GetInvitationId()]
	if d == nil {
		return nil
	}
	word := verdict(item.GetDecision())
	switch {
	case request.GetOffer() != nil:
		if item.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE && !d.decided {
			d.offer(request.GetTerms(), from)
			t.answer(d)
		}
	case word == stands:
		d.decided, d.terms = true, nil
	case t.live && !d.decided && item.GetId() == d.answerID:
		if untimely(item.GetDecision().GetReason()) {
			t.later = append(t.later, schemas.Message{
				Attributes: schemas.Attributes{ID: item.GetId(), Source: source}, Body: request,
			})
			return nil
		}
		return fmt.Errorf("the buyer's answer to invitation %s was not accepted: %s",
			request.GetTerms().GetInvitationId(), item.GetDecision().GetReason().Word())
	}
	t.advance(d)
	return nil
}

// word is a decision in three words.
type word int

const (
	nothing      word = iota
	stands            // it was done, now or before
	refused           // it was refused, now or before
	contradicted      // something else was done before
)

func verdict(d *schemas.Decision) word {
	switch d.GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE, schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_REFUSED:
		if d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
			return refused
		}
		return stands
	case schemas.Outcome_OUTCOME_CONFLICT:
		return contradicted
	case schemas.Outcome_OUTCOME_UNREADABLE, schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nothing
}

// untimely says whether a refusal was not about what was asked, but when: it is not remembered, and asked
// again.
func untimely(r schemas.Reason) bool {
	return r == schemas.Reason_REASON_STALE || r == schemas.Reason_REASON_EARLY
}
