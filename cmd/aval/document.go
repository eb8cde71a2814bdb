package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// printDocument prints one JSON object: over several lines for people, or on one line as NDJSON has it.
func printDocument(w io.Writer, format output, text []byte) error {
	var b bytes.Buffer
	var err error
	if format == outputNDJSON {
		err = json.Compact(&b, text)
	} else {
		err = json.Indent(&b, text, "", "  ")
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// line is a name and what it says, of a thing that is shown alone.
type line struct{ name, value string }

// printLines prints what is said of one thing, without what is not said.
func printLines(w io.Writer, lines []line) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, l := range lines {
		if l.value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", l.name, oneLine(l.value)) // Flush says what went wrong
		}
	}
	return t.Flush()
}

// cellMax bounds what a table shows of what others wrote: parties and references may have 16 KiB.
const cellMax = 40

// cell is a text as a table shows it.
func cell(text string) string {
	if utf8.RuneCountInString(text) <= cellMax {
		return text
	}
	runes := []rune(text)
	return strings.TrimSpace(string(runes[:cellMax-1])) + "…"
}
