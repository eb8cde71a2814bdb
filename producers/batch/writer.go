package batch

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Writer writes CSV that every reader reads back as it was: what needs quotes has them, lines end with \n.
type Writer struct{ out *bufio.Writer }

// NewWriter returns a Writer to out, which it does not own.
func NewWriter(out io.Writer) *Writer { return &Writer{out: bufio.NewWriterSize(out, 64<<10)} }

// Write writes a record.
func (w *Writer) Write(fields ...string) error {
	for i, field := range fields {
		if i > 0 {
			_ = w.out.WriteByte(',') // the buffer keeps its first error for the end of the record
		}
		if needsQuotes(field) || len(fields) == 1 && field == "" {
			field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
		}
		_, _ = w.out.WriteString(field)
	}
	if err := w.out.WriteByte('\n'); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	return nil
}

func needsQuotes(field string) bool {
	return strings.ContainsAny(field, ",\"\r\n") || strings.TrimSpace(field) != field
}
