package ledger_test

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// order is a movement as tests write it. What is left out is usual: see usual.
type order struct {
	verb     string
	id       string
	account  string // without the bank
	amount   int64
	currency string
	kind     string // of the account that is opened, or on which is held
	holder   string
	hold     string // that is captured or released
	contra   string // genesis or clearing
	content  string // what the reference means
	at       int64  // the movement's own time, ms
	keep     int64  // of a tick: the retention, ms
}

const bank = "AVALBRSP/"

// usual gives deposits of the holder of the same name, in BRL, from and to the outside.
func usual(verb, id, account string, amount int64) order {
	return order{
		verb: verb, id: id, account: account, amount: amount,
		currency: "BRL", kind: "deposit", holder: account, contra: "genesis",
	}
}

func (o order) money() *schemas.Money {
	return &schemas.Money{MinorUnits: o.amount, Currency: o.currency}
}

func (o order) kinds() schemas.AccountKind {
	if o.kind == "credit" {
		return schemas.AccountKind_ACCOUNT_KIND_CREDIT
	}
	return schemas.AccountKind_ACCOUNT_KIND_DEPOSIT
}

func (o order) contras() schemas.Contra {
	if o.contra == "clearing" {
		return schemas.Contra_CONTRA_CLEARING
	}
	return schemas.Contra_CONTRA_GENESIS
}

func (o order) movement() *schemas.Movement {
	m := &schemas.Movement{Account: bank + o.account, Content: []byte(o.content)}
	switch o.verb {
	case "open":
		open := &schemas.Open{Kind: o.kinds(), Holder: o.holder, Funds: o.money()}
		m.Verb = &schemas.Movement_Open{Open: open}
	case "credit":
		m.Verb = &schemas.Movement_Credit{Credit: &schemas.Credit{Amount: o.money(), Contra: o.contras()}}
	case "debit":
		m.Verb = &schemas.Movement_Debit{Debit: &schemas.Debit{Amount: o.money(), Contra: o.contras()}}
	case "block", "astray":
		m.Verb = &schemas.Movement_Block{Block: &schemas.Block{}}
	case "unblock":
		m.Verb = &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}}
	case "vouch":
		m.Verb = &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: o.holder, Currency: o.currency}}
	case "hold":
		hold := &schemas.Hold{Amount: o.money(), Holder: o.holder, Kind: o.kinds()}
		m.Verb = &schemas.Movement_Hold{Hold: hold}
	case "capture":
		m.Verb = &schemas.Movement_Capture{Capture: &schemas.Capture{Hold: o.hold, Amount: o.money()}}
	case "release":
		m.Verb = &schemas.Movement_Release{Release: &schemas.Release{Hold: o.hold}}
	case "tick":
		m.Account = ""
		keep := durationpb.New(time.Duration(o.keep) * time.Millisecond)
		m.Verb = &schemas.Movement_Tick{Tick: &schemas.Tick{Retention: keep}}
	}
	return m
}

func (o order) command() booktest.Command {
	c := booktest.Command{Message: schemas.Message{
		Attributes: schemas.Attributes{ID: o.id, Source: "/test", Time: time.UnixMilli(o.at).UTC()},
		Body:       o.movement(),
	}}
	if o.verb == "astray" {
		c.Key = bank + "other" // nobody can read it
	}
	return c
}

// planned are the script's fields of the order.
func (o order) planned() ([]string, error) {
	c := o.command()
	return ledger.Book{}.Plan(pipeline.In{Attributes: c.Attributes, Body: c.Body})
}

// word is an item's answer as the script gave it.
func word(in pipeline.In) string {
	item, _ := in.Body.(pipeline.Item)
	d := item.GetDecision()
	words := map[schemas.Outcome]string{
		schemas.Outcome_OUTCOME_DONE: "done", schemas.Outcome_OUTCOME_REFUSED: "refused",
		schemas.Outcome_OUTCOME_REPEAT: "repeat", schemas.Outcome_OUTCOME_CONFLICT: "conflict",
		schemas.Outcome_OUTCOME_UNREADABLE: "unreadable",
	}
	if d.GetReason() == schemas.Reason_REASON_UNSPECIFIED {
		return words[d.GetOutcome()]
	}
	return words[d.GetOutcome()] + " " + d.GetReason().Word()
}
