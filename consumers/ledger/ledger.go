// Package ledger is the accounts book: all money moves through it, whoever asks, and what it decides stands.
//
//	reads   movements
//	effect  decides every balance and every hold of the shard, in ledger.lua
//	emits   entries: one for each movement, with its outcome and what changed
//
// It repeats a movement's reference and does not look inside: it knows nobody's business.
package ledger

import (
	_ "embed"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// Book is the accounts book.
type Book struct{}

var _ book.Book = Book{}

//go:embed ledger.lua
var script string

// Kinds of accounts, as the script writes them.
const (
	kindDeposit  = "deposit"
	kindCredit   = "credit"
	kindInternal = "internal"
)

// Name is the book's.
func (Book) Name() string { return "accounts" }

// Commands is the topic of what it is asked.
func (Book) Commands() string { return schemas.TopicMovements }

// Journal is the topic of what it answers.
func (Book) Journal() string { return schemas.TopicEntries }

// Lua is the book's part of the script.
func (Book) Lua() string { return script }

// Tables are the book's own: TableAccounts and TableHolds; none rotates.
func (Book) Tables() book.Tables {
	return book.Tables{Plain: []string{TableAccounts}, Packed: []string{TableHolds}}
}

// Fields are those that Plan makes of a movement, behind the first four.
func (Book) Fields() []book.Field {
	return []book.Field{
		{Kind: book.PlainField, Table: TableAccounts},
		{Kind: book.TextField},   // amount
		{Kind: book.SharedField}, // currency
		{Kind: book.SharedField}, // kind
		{Kind: book.SharedField}, // holder
		{Kind: book.RowField},    // the hold
		{Kind: book.PlainField, Table: TableAccounts},
	}
}

// Item is the entry of a movement.
func (Book) Item(in pipeline.In, d *schemas.Decision) proto.Message {
	movement, _ := in.Body.(*schemas.Movement)
	return &schemas.Entry{Decision: d, Id: in.ID, Movement: movement}
}

// Unreadable is the entry of what is no movement.
func (Book) Unreadable(u *schemas.Unreadable, d *schemas.Decision) proto.Message {
	return &schemas.Entry{Decision: d, Unreadable: u}
}

// Plan makes the script's fields of a movement. What it lets through, the script need not doubt.
func (Book) Plan(in pipeline.In) ([]string, error) {
	m, ok := in.Body.(*schemas.Movement)
	if !ok {
		return nil, fmt.Errorf("body is a %T, must be a movement", in.Body)
	}
	if err := schemas.Validate(m); err != nil {
		return nil, err
	}
	if tick := m.GetTick(); tick != nil {
		return book.TickFields(in, tick), nil
	}
	c, err := commandOf(m)
	if err != nil {
		return nil, err
	}
	return []string{
		c.verb, in.ID, book.Millis(in.Time), c.digest(m), c.account,
		c.amount, c.currency, c.kind, c.holder, c.hold, c.contra,
	}, nil
}

// command is a movement as the script sees it. What its verb does not have is empty.
type command struct {
	verb     string
	account  string
	amount   string
	currency string
	kind     string
	holder   string // digest of the holder
	hold     string // the hold that is captured or released
	contra   string // the internal account on the other side
}

func commandOf(m *schemas.Movement) (command, error) {
	c := command{account: m.GetAccount()}
	switch v := m.GetVerb().(type) {
	case *schemas.Movement_Open:
		c.verb, c.kind, c.holder = "open", kindWord(v.Open.GetKind()), book.Digest(v.Open.GetHolder())
		c.money(v.Open.GetFunds())
		if c.kind == kindDeposit {
			c.contra = Genesis(c.currency)
		}
	case *schemas.Movement_Credit:
		c.verb = "credit"
		c.money(v.Credit.GetAmount())
		c.contra = contraAccount(v.Credit.GetContra(), c.currency)
	case *schemas.Movement_Debit:
		c.verb = "debit"
		c.money(v.Debit.GetAmount())
		c.contra = contraAccount(v.Debit.GetContra(), c.currency)
	case *schemas.Movement_Block:
		c.verb = "block"
	case *schemas.Movement_Unblock:
		c.verb = "unblock"
	case *schemas.Movement_Vouch:
		c.verb, c.currency, c.holder = "vouch", v.Vouch.GetCurrency(), book.Digest(v.Vouch.GetHolder())
	case *schemas.Movement_Hold:
		c.verb, c.kind, c.holder = "hold", kindWord(v.Hold.GetKind()), book.Digest(v.Hold.GetHolder())
		c.money(v.Hold.GetAmount())
	case *schemas.Movement_Capture:
		c.verb, c.hold = "capture", v.Capture.GetHold()
		c.money(v.Capture.GetAmount())
		c.contra = Clearing(c.currency)
	case *schemas.Movement_Release:
		c.verb, c.hold = "release", v.Release.GetHold()
	default:
		return command{}, fmt.Errorf("verb is %T, which the book does not know", v)
	}
	return c, nil
}

func (c *command) money(m *schemas.Money) {
	c.amount, c.currency = strconv.FormatInt(m.GetMinorUnits(), 10), m.GetCurrency()
}

// digest decides between repeat and conflict: it covers what the movement asks and what its reference means, not
// its id and not its time.
func (c *command) digest(m *schemas.Movement) string {
	texts := []string{
		"movement", c.verb, c.account, c.amount, c.currency, c.kind, c.holder, c.hold, c.contra,
	}
	if content := m.GetContent(); len(content) > 0 {
		texts = append(texts, "content", string(content))
	} else {
		texts = append(texts, "reference", m.GetReference().GetTypeUrl(), string(m.GetReference().GetValue()))
	}
	return book.Digest(texts...)
}

func kindWord(k schemas.AccountKind) string {
	switch k {
	case schemas.AccountKind_ACCOUNT_KIND_DEPOSIT:
		return kindDeposit
	case schemas.AccountKind_ACCOUNT_KIND_CREDIT:
		return kindCredit
	case schemas.AccountKind_ACCOUNT_KIND_INTERNAL, schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED:
	}
	return ""
}

func contraAccount(c schemas.Contra, currency string) string {
	switch c {
	case schemas.Contra_CONTRA_GENESIS:
		return Genesis(currency)
	case schemas.Contra_CONTRA_CLEARING:
		return Clearing(currency)
	case schemas.Contra_CONTRA_UNSPECIFIED:
	}
	return ""
}
