package audit

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// ledger folds a shard of the accounts book: its own balances by what the verbs mean, and beside them those
// that the items say they have written.
type ledger struct {
	number int
	facts  *facts
	emit   func(Violation)
	where  string // the item that is being folded

	own   map[string]*Account
	holds map[string]*hold // of this shard, ended ones too

	written  map[string]Account // as the items say
	rows     map[string]holdRow // live holds, as the items say
	reserved map[string]int64   // by account, what the rows have left
}

func newLedger(number int, f *facts, emit func(Violation)) *ledger {
	return &ledger{
		number: number, facts: f, emit: emit, own: map[string]*Account{}, holds: map[string]*hold{},
		written: map[string]Account{}, rows: map[string]holdRow{}, reserved: map[string]int64{},
	}
}

func (l *ledger) wrong(invariant, format string, args ...any) {
	l.emit(Violation{invariant, l.number, l.where, fmt.Sprintf(format, args...)})
}

func (l *ledger) item(in pipeline.In, d *schemas.Decision) {
	l.where = fmt.Sprintf("%s/%d/%d", in.Topic, in.Partition, in.Offset)
	e, ok := in.Body.(*schemas.Entry)
	if !ok {
		l.wrong("I-16", "the item is a %T", in.Body)
		return
	}
	l.facts.vouch(e.GetMovement())
	if d.GetOutcome() != schemas.Outcome_OUTCOME_DONE {
		for _, c := range d.GetChanges() {
			if c.GetTable() == tableAccounts || c.GetTable() == tableHolds {
				l.wrong("I-10", "what was not done has changed %s %s", c.GetTable(), c.GetField())
			}
		}
		l.changed(d, touched{})
		return
	}
	l.changed(d, l.apply(e, d))
}

// touched is what a movement that was done must have written.
type touched struct {
	accounts []string
	hold     string
}

// apply does what the verb means.
func (l *ledger) apply(e *schemas.Entry, d *schemas.Decision) touched {
	m := e.GetMovement()
	id := m.GetAccount()
	switch v := m.GetVerb().(type) {
	case *schemas.Movement_Open:
		return l.open(id, v.Open)
	case *schemas.Movement_Credit:
		return l.move(id, v.Credit.GetAmount(), 1, v.Credit.GetContra())
	case *schemas.Movement_Debit:
		return l.move(id, v.Debit.GetAmount(), -1, v.Debit.GetContra())
	case *schemas.Movement_Block:
		return l.block(id, true)
	case *schemas.Movement_Unblock:
		return l.block(id, false)
	case *schemas.Movement_Hold:
		return l.hold(e, v.Hold, d)
	case *schemas.Movement_Capture:
		return l.capture(id, v.Capture)
	case *schemas.Movement_Release:
		return l.release(id, v.Release)
	case *schemas.Movement_Vouch:
		l.account(id)
	case *schemas.Movement_Tick:
	default:
		l.wrong("I-16", "the verb %T is unknown", v)
	}
	return touched{}
}

// account returns the account that was opened before, or a stranger.
func (l *ledger) account(id string) *Account {
	a := l.own[id]
	if a == nil {
		l.wrong("I-16", "%s was done on account %s, which nobody has opened", l.where, id)
		a = &Account{Kind: Deposit}
	}
	return a
}

// contra returns the shard's internal account, which needs no opening.
func (l *ledger) contra(contra schemas.Contra, currency string) (string, *Account) {
	id := "genesis/" + currency
	if contra == schemas.Contra_CONTRA_CLEARING {
		id = "clearing/" + currency
	}
	if l.own[id] == nil {
		l.own[id] = &Account{Kind: Internal, Currency: currency}
	}
	return id, l.own[id]
}

func (l *ledger) open(id string, v *schemas.Open) touched {
	if l.own[id] != nil {
		l.wrong("I-22", "account %s is opened a second time", id)
		return touched{}
	}
	x, currency := v.GetFunds().GetMinorUnits(), v.GetFunds().GetCurrency()
	a := &Account{Kind: Deposit, Currency: currency}
	l.own[id] = a
	if v.GetKind() == schemas.AccountKind_ACCOUNT_KIND_CREDIT {
		a.Kind, a.Limit = Credit, x
		return touched{accounts: []string{id}}
	}
	a.Ledger = x
	if x == 0 {
		return touched{accounts: []string{id}}
	}
	other, contra := l.contra(schemas.Contra_CONTRA_GENESIS, currency)
	contra.move(-x)
	return touched{accounts: []string{id, other}}
}

func (l *ledger) move(id string, m *schemas.Money, sign int64, by schemas.Contra) touched {
	a, x := l.account(id), sign*m.GetMinorUnits()
	other, contra := l.contra(by, m.GetCurrency())
	a.move(x)
	contra.move(-x)
	return touched{accounts: []string{id, other}}
}

func (l *ledger) block(id string, blocked bool) touched {
	a := l.account(id)
	if a.Blocked == blocked {
		l.wrong("I-22", "account %s is already so", id)
	}
	a.Blocked = blocked
	return touched{accounts: []string{id}}
}

func (l *ledger) hold(e *schemas.Entry, v *schemas.Hold, d *schemas.Decision) touched {
	id, account := e.GetId(), e.GetMovement().GetAccount()
	if l.holds[id] != nil {
		l.wrong("I-22", "hold %s is made a second time; the first stands at %s", id, l.holds[id].where)
		return touched{}
	}
	h := &hold{
		holdRow: holdRow{account: account, amount: v.GetAmount().GetMinorUnits()},
		id:      id, shard: l.number, offset: d.GetOffset(), where: l.where,
		currency: v.GetAmount().GetCurrency(),
	}
	request := &schemas.IssuanceRequest{}
	if ref := e.GetMovement().GetReference(); ref.MessageIs(request) && ref.UnmarshalTo(request) == nil {
		h.invitation = request.GetTerms().GetInvitationId()
		h.terms = string(schemas.TermsDigest(request.GetTerms()))
	}
	if other := l.facts.holds[id]; other != nil {
		l.wrong("I-5", "hold %s stands in another shard too, at %s", id, other.where)
	}
	l.holds[id], l.facts.holds[id] = h, h
	a := l.account(account)
	if a.Blocked {
		l.wrong("I-22", "hold %s is made on the blocked account %s", id, account)
	}
	a.reserve(h.amount)
	return touched{accounts: []string{account}, hold: id}
}

// live returns a hold that has something left.
func (l *ledger) live(id, account string) *hold {
	h := l.holds[id]
	switch {
	case h == nil:
		l.wrong("I-4", "there never was a hold %s", id)
	case h.account != account:
		l.wrong("I-4", "hold %s is of account %s, not of %s", id, h.account, account)
	case h.remaining() <= 0:
		l.wrong("I-22", "hold %s has ended", id)
	default:
		return h
	}
	return nil
}

func (l *ledger) capture(account string, v *schemas.Capture) touched {
	h := l.live(v.GetHold(), account)
	if h == nil {
		return touched{}
	}
	x := v.GetAmount().GetMinorUnits()
	if x > h.remaining() {
		l.wrong("I-4", "%d is captured of hold %s, which has %d left", x, h.id, h.remaining())
	}
	h.captured += x
	a := l.account(account)
	other, contra := l.contra(schemas.Contra_CONTRA_CLEARING, h.currency)
	a.reserve(-x)
	a.move(-x)
	contra.move(x)
	return touched{accounts: []string{account, other}, hold: h.id}
}

func (l *ledger) release(account string, v *schemas.Release) touched {
	h := l.live(v.GetHold(), account)
	if h == nil {
		return touched{}
	}
	x := h.remaining()
	h.released += x
	l.account(account).reserve(-x)
	return touched{accounts: []string{account}, hold: h.id}
}
