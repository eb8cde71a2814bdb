package ledger

import (
	"strings"

	"github.com/aval-systems/aval/pipeline/book"
)

var _ book.Describer = Book{}

// Columns names what the rows of the book's tables hold: see TableAccounts and TableHolds.
func (Book) Columns(table, row string) []book.Column {
	var names []string
	f := strings.Split(row, " ")
	switch {
	case table == TableHolds:
		names = []string{"account", "amount", "captured", "released", "digest"}
	case table == TableAccounts && f[0] == kindCredit:
		names = []string{"kind", "currency", "status", "limit", "drawn", "held", "holder", "opened"}
	case table == TableAccounts:
		names = []string{"kind", "currency", "status", "ledger", "frozen", "unused", "holder", "opened"}
	}
	return book.Columns(names, f)
}
