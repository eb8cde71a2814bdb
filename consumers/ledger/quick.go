package ledger

import (
	_ "embed"

	"github.com/aval-systems/aval/pipeline/book"
)

//go:embed quick.lua
var quickScript string

var _ book.Quicker = Book{}

// QuickLua is the script's quick way of usual commands.
func (Book) QuickLua() string { return quickScript }

// Kinds of commands that have a quick way.
const (
	quickHold    = 1
	quickCapture = 2
)

// Where fields stand in a command, as in ledger.lua.
const (
	atVerb = iota
	atID
	atTime
	atDigest
	atAccount
	atAmount
	atCurrency
	atKind
	atHolder
	atHold
	atContra
)

// Quick writes the parts that a hold and a capture have in rows and answers, which the script puts together: the words
// account, contra account, how an open deposit's row begins, and of a hold how it goes on behind the amounts, of a
// capture the size of the hold's key; then texts.
func (Book) Quick(c []string, q *book.Quick) {
	switch {
	case c[atVerb] == "hold" && c[atKind] == kindDeposit:
		q.Begin(quickHold, c[atTime])
		q.Word(3, " 0 ", c[atHolder], " ")
		q.Key(0) // the key
		q.End()
		q.Tag(TableHolds) // the row behind it
		q.Text(c[atAccount], " ", c[atAmount], " 0 0 ")
		q.Token(c[atDigest])
		q.End()
		q.Text("\t"+TableHolds+"\t", c[atID], "\t", c[atAccount], " ", c[atAmount], " 0 0 ", c[atDigest]) // the answer
		q.End()
	case c[atVerb] == "capture":
		q.Begin(quickCapture, c[atTime])
		q.Word(1, c[atContra])
		q.Key(0) // the key of the capture's identifier
		q.End()
		q.Tag("seen") // the row behind it
		q.Token(c[atDigest])
		q.End()
		q.Small(3, q.Key(1)) // how the row of the hold begins, of which all is left
		q.Tag(TableHolds)
		q.Text(c[atAccount], " ", c[atAmount], " 0 0 ")
		q.End()
		q.Text("\t"+TableHolds+"\t", c[atHold], "\t\tseen") // the answer, up to the hold's digest
		q.Half()
		q.Text("\t", c[atHold], "\t")
		q.End()
		q.Text("\tseen") // and behind it
		q.Half()
		q.Text("\t", c[atID], "\t", c[atDigest])
		q.End()
	default:
		return
	}
	q.Word(0, c[atAccount])
	q.Word(2, kindDeposit+" ", c[atCurrency], " open ")
	q.Number(c[atAmount])
}
