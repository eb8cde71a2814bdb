package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// output is how a command prints what it found: -o.
type output string

// The formats. NDJSON has one object a line, and is what to read a long list by.
const (
	outputTable  output = "table"
	outputJSON   output = "json"
	outputNDJSON output = "ndjson"
)

func (o *output) register(c *cobra.Command) {
	c.Flags().VarP(o, "output", "o", "how to print: table, json or ndjson")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{string(outputTable), string(outputJSON), string(outputNDJSON)}, cobra.ShellCompDirectiveNoFileComp))
}

// Set implements pflag.Value.
func (o *output) Set(text string) error {
	switch output(text) {
	case outputTable, outputJSON, outputNDJSON:
		*o = output(text)
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", outputTable, outputJSON, outputNDJSON)
}

// String implements pflag.Value. The zero value is a table.
func (o *output) String() string {
	if *o == "" {
		return string(outputTable)
	}
	return string(*o)
}

// Type implements pflag.Value.
func (*output) Type() string { return "format" }

// column is one of a table's: its name, and what an item shows in it.
type column[T any] struct {
	name string
	cell func(T) string
}

// printer prints items as they come, each once: as rows of a table, members of one JSON array, or lines of JSON.
type printer[T any] struct {
	w       io.Writer
	format  output
	columns []column[T]
	table   *tabwriter.Writer
	count   int
}

func newPrinter[T any](w io.Writer, format output, columns ...column[T]) *printer[T] {
	return &printer[T]{w: w, format: output(format.String()), columns: columns}
}

// printOne prints a single item: a table of one row, or one JSON object.
func printOne[T any](w io.Writer, format output, item T, columns ...column[T]) error {
	if format == outputJSON {
		format = outputNDJSON
	}
	p := newPrinter(w, format, columns...)
	if err := p.print(item); err != nil {
		return err
	}
	return p.close()
}

// tableFlushRows is how many rows share the widths of their columns: a table as long as it likes takes no memory.
const tableFlushRows = 1000

func (p *printer[T]) print(item T) error {
	p.count++
	if p.format != outputTable {
		return p.printJSON(item)
	}
	if p.table == nil {
		p.table = tabwriter.NewWriter(p.w, 0, 8, 2, ' ', 0)
		p.line(func(c column[T]) string { return strings.ToUpper(c.name) })
	}
	p.line(func(c column[T]) string { return c.cell(item) })
	if p.count%tableFlushRows == 0 {
		return p.table.Flush()
	}
	return nil
}

// flush shows what was printed so far, to whoever waits for it. Rows of a table that come after have widths of their
// own.
func (p *printer[T]) flush() error {
	if p.table == nil {
		return nil
	}
	return p.table.Flush()
}

func (p *printer[T]) line(cell func(column[T]) string) {
	cells := make([]string, len(p.columns))
	for i, c := range p.columns {
		cells[i] = oneLine(cell(c))
	}
	_, _ = fmt.Fprintln(p.table, strings.Join(cells, "\t")) // Flush says what went wrong
}

// oneLine keeps what others wrote from breaking the table, or the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func (p *printer[T]) printJSON(item T) error {
	text, err := json.Marshal(item)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	before, after := "", "\n"
	if p.format == outputJSON {
		before, after = ",\n ", ""
		if p.count == 1 {
			before = "["
		}
	}
	_, err = fmt.Fprintf(p.w, "%s%s%s", before, text, after)
	return err
}

// close ends the list: an empty one is an empty table or array, no error.
func (p *printer[T]) close() error {
	switch {
	case p.table != nil:
		return p.table.Flush()
	case p.format == outputJSON && p.count == 0:
		_, err := fmt.Fprintln(p.w, "[]")
		return err
	case p.format == outputJSON:
		_, err := fmt.Fprintln(p.w, "]")
		return err
	}
	return nil
}
