package preissue

import (
	"strings"

	"github.com/aval-systems/aval/pipeline/book"
)

var _ book.Describer = Book{}

// Columns names what the rows of the book's tables hold: see TableOpen and TableDecided.
func (Book) Columns(table, row string) []book.Column {
	names := []string{"verb", "terms", "command", "digest"}
	if table == TableOpen {
		names = []string{"terms"}
	}
	f := strings.Split(row, " ")
	return book.Columns(names, f)
}
