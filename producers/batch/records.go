package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// records splits CSV into records as Python's csv module does in its default dialect:
//
//   - \n, \r\n and \r end a record; inside quotes they are text, kept as they are;
//   - a line without anything is no record;
//   - a quote that does not begin a field is text, and so is what follows a closing quote, up to the next
//     comma.
//
// It differs in one point: a quote that is never closed is a fault, not a last field that holds the rest of
// the file.
type records struct {
	name   string
	in     *bufio.Reader
	record int // the number of the record that was read last; the header is 0
	line   int // of the next byte
	began  int // the line on which the record began
	quote  int // the line on which its latest quoted field began

	raw  []byte // the record's bytes so far
	text []byte // its fields' texts, without what separates them
	ends []int  // where in text each field ends
}

// state is what the next byte is part of.
type state int

const (
	fieldStart state = iota
	inField
	inQuotes
	afterQuote // a quote inside quotes: the first of two, or the closing one
	recordEnd
)

const mark = "\xef\xbb\xbf" // a byte order mark, which some programs put before UTF-8

func (r *records) dropMark() error {
	head, err := r.in.Peek(len(mark))
	if err != nil && !errors.Is(err, io.EOF) {
		return FaultError{File: r.name, Problem: "cannot be read", Cause: err}
	}
	if string(head) == mark {
		_, err = r.in.Discard(len(mark))
		return err
	}
	return nil
}

// next returns the next record's fields, or io.EOF.
func (r *records) next() ([]string, error) {
	if err := r.skipBlank(); err != nil {
		return nil, err
	}
	r.record++
	r.began, r.raw, r.text, r.ends = r.line, r.raw[:0], r.text[:0], r.ends[:0]
	for s := fieldStart; s != recordEnd; {
		b, err := r.in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && s == inQuotes:
			return nil, r.fault(r.quote, "a quote begins here that is never closed")
		case errors.Is(err, io.EOF):
			r.ends = append(r.ends, len(r.text))
			return r.fields()
		case err != nil:
			return nil, FaultError{File: r.name, Record: r.record, Line: r.line, Problem: "cannot be read", Cause: err}
		}
		if r.raw = append(r.raw, b); len(r.raw) > RecordMax {
			return nil, r.tooLong(s)
		}
		if s, err = r.take(s, b); err != nil {
			return nil, err
		}
	}
	return r.fields()
}

// take adds a byte to the record.
func (r *records) take(s state, b byte) (state, error) {
	ends := b == '\n' || b == '\r'
	switch {
	case s == inQuotes && b == '"':
		return afterQuote, nil
	case s == inQuotes:
		r.text = append(r.text, b)
		if ends {
			return inQuotes, r.lineEnd(b, true)
		}
		return inQuotes, nil
	case b == '"' && s == fieldStart:
		r.quote = r.line
		return inQuotes, nil
	case b == '"' && s == afterQuote:
		r.text = append(r.text, b)
		return inQuotes, nil
	case ends:
		r.ends = append(r.ends, len(r.text))
		return recordEnd, r.lineEnd(b, false)
	case b == ',':
		r.ends = append(r.ends, len(r.text))
		return fieldStart, nil
	default:
		r.text = append(r.text, b)
		return inField, nil
	}
}

// lineEnd counts a line whose end begins with b. Of \r\n it takes the \n too, as text or not.
func (r *records) lineEnd(b byte, text bool) error {
	r.line++
	if b != '\r' {
		return nil
	}
	next, err := r.in.Peek(1)
	if err != nil || next[0] != '\n' {
		return nil //nolint:nilerr // the next read meets the error again
	}
	if text {
		r.text = append(r.text, '\n')
	}
	r.raw = append(r.raw, '\n')
	_, err = r.in.Discard(1)
	return err
}

// skipBlank passes over lines without anything.
func (r *records) skipBlank() error {
	for {
		next, err := r.in.Peek(1)
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return FaultError{File: r.name, Record: r.record + 1, Line: r.line, Problem: "cannot be read", Cause: err}
		case next[0] != '\n' && next[0] != '\r':
			return nil
		}
		b := next[0]
		if _, err := r.in.Discard(1); err != nil {
			return err
		}
		if err := r.lineEnd(b, false); err != nil {
			return err
		}
	}
}

// fields are the record's texts, if they are UTF-8.
func (r *records) fields() ([]string, error) {
	if !utf8.Valid(r.raw) {
		before := bytes.ReplaceAll(r.raw[:firstInvalid(r.raw)], []byte("\r\n"), []byte("\n"))
		line := r.began + bytes.Count(before, []byte("\n")) + bytes.Count(before, []byte("\r"))
		return nil, r.fault(line, "is not UTF-8; save the file in that encoding")
	}
	text := string(r.text)
	fields := make([]string, len(r.ends))
	begin := 0
	for i, end := range r.ends {
		fields[i] = text[begin:end]
		begin = end
	}
	return fields, nil
}

func (r *records) tooLong(s state) error {
	if s == inQuotes {
		return r.fault(r.quote, "the record is longer than %d bytes; a quote begins here: is it closed?", RecordMax)
	}
	return r.fault(r.began, "the record is longer than %d bytes", RecordMax)
}

func (r *records) fault(line int, format string, values ...any) error {
	return FaultError{File: r.name, Record: r.record, Line: line, Problem: fmt.Errorf(format, values...).Error()}
}
