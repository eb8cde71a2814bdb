package demo_test

import (
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

// memory is what a book remembers of what it decided, by id.
type memory map[string]struct {
	digest string
	reason schemas.Reason
}

// again answers a command that was decided before.
func (m memory) again(id, digest string, d *schemas.Decision) bool {
	before, ok := m[id]
	switch {
	case !ok:
		return false
	case before.digest == digest:
		d.Outcome, d.Reason = schemas.Outcome_OUTCOME_REPEAT, before.reason
	default:
		d.Outcome = schemas.Outcome_OUTCOME_CONFLICT
	}
	return true
}

func (m memory) decide(id, digest string, reason schemas.Reason, d *schemas.Decision) {
	d.Outcome, d.Reason = schemas.Outcome_OUTCOME_DONE, reason
	if reason != schemas.Reason_REASON_UNSPECIFIED {
		d.Outcome = schemas.Outcome_OUTCOME_REFUSED
	}
	m[id] = struct {
		digest string
		reason schemas.Reason
	}{digest, reason}
}

// ledgerModel is the accounts book, as far as the demo needs it.
type ledgerModel struct {
	memory   memory
	accounts map[string]*schemas.Open
	held     map[string]int64
	early    int // how many commands are refused as untimely first
}

func newLedgerModel() ledgerModel {
	return ledgerModel{memory: memory{}, accounts: map[string]*schemas.Open{}, held: map[string]int64{}}
}

func (l *ledgerModel) decide(id string, m *schemas.Movement, d *schemas.Decision) {
	digest := digestOf(m)
	if len(m.GetContent()) > 0 {
		content := proto.CloneOf(m)
		content.Reference = nil
		digest = digestOf(content)
	}
	if l.memory.again(id, digest, d) {
		return
	}
	if l.early > 0 && m.GetHold() == nil {
		l.early--
		d.Outcome, d.Reason = schemas.Outcome_OUTCOME_REFUSED, schemas.Reason_REASON_EARLY
		return
	}
	account := l.accounts[m.GetAccount()]
	reason := schemas.Reason_REASON_UNSPECIFIED
	switch verb := m.GetVerb().(type) {
	case *schemas.Movement_Open:
		if account != nil {
			d.Outcome = schemas.Outcome_OUTCOME_REPEAT
			if !proto.Equal(account, verb.Open) {
				d.Outcome = schemas.Outcome_OUTCOME_CONFLICT
			}
			return
		}
		l.accounts[m.GetAccount()] = verb.Open
	case *schemas.Movement_Vouch:
		switch {
		case account == nil:
			reason = schemas.Reason_REASON_ACCOUNT_UNKNOWN
		case account.GetHolder() != verb.Vouch.GetHolder():
			reason = schemas.Reason_REASON_ACCOUNT_HOLDER
		case account.GetFunds().GetCurrency() != verb.Vouch.GetCurrency():
			reason = schemas.Reason_REASON_ACCOUNT_CURRENCY
		}
	case *schemas.Movement_Hold:
		amount := verb.Hold.GetAmount().GetMinorUnits()
		switch {
		case account == nil:
			reason = schemas.Reason_REASON_ACCOUNT_UNKNOWN
		case account.GetHolder() != verb.Hold.GetHolder():
			reason = schemas.Reason_REASON_ACCOUNT_HOLDER
		case account.GetKind() != verb.Hold.GetKind():
			reason = schemas.Reason_REASON_ACCOUNT_KIND
		case account.GetFunds().GetMinorUnits()-l.held[m.GetAccount()] < amount:
			reason = schemas.Reason_REASON_INSUFFICIENT
		default:
			l.held[m.GetAccount()] += amount
		}
	default:
		panic("a verb that the model does not know")
	}
	l.memory.decide(id, digest, reason, d)
}

// preIssueModel is the pre-issues book, as far as the demo needs it.
type preIssueModel struct {
	memory  memory
	offered map[string]string // digest of the terms by invitation
	decided map[string]schemas.Reason
}

func newPreIssueModel() preIssueModel {
	return preIssueModel{memory: memory{}, offered: map[string]string{}, decided: map[string]schemas.Reason{}}
}

func (b *preIssueModel) decide(id string, r *schemas.IssuanceRequest, d *schemas.Decision) {
	digest := digestOf(r)
	if b.memory.again(id, digest, d) {
		return
	}
	invitation, terms := r.GetTerms().GetInvitationId(), digestOf(r.GetTerms())
	reason := schemas.Reason_REASON_UNSPECIFIED
	offered, known := b.offered[invitation]
	if r.GetOffer() != nil {
		if known {
			panic("an offer with other terms")
		}
		b.offered[invitation] = terms
		b.memory.decide(id, digest, reason, d)
		return
	}
	confirmed := r.GetTerms().GetIssuingAccount()
	switch {
	case !known:
		reason = schemas.Reason_REASON_PRE_ISSUE_UNKNOWN
	case offered != terms:
		reason = schemas.Reason_REASON_TERMS
	case r.GetRequest() != nil && confirmed != "" && confirmed != r.GetRequest().GetAccount():
		reason = schemas.Reason_REASON_ACCOUNT_PREFILLED
	case b.decided[invitation] != schemas.Reason_REASON_UNSPECIFIED:
		reason = b.decided[invitation]
	case r.GetDecline() != nil:
		b.decided[invitation] = schemas.Reason_REASON_ALREADY_DECLINED
	default:
		b.decided[invitation] = schemas.Reason_REASON_ALREADY_REQUESTED
	}
	b.memory.decide(id, digest, reason, d)
}
