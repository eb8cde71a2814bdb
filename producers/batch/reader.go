// Package batch reads files of orders: CSV with a header, one order a record.
//
//	reads   a file of orders, as Python's csv.DictReader(newline="") reads it: every text as it came
//	effect  none
//	emits   rows, orders, and why a row is none; and writes what became of them, row by row
package batch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"
)

// RecordMax is the longest record, in bytes of the file.
const RecordMax = 1 << 20

// Row is an order's record: texts as they came.
type Row struct {
	Line        int // the record's number + 1: the header is 1, whatever line breaks quoted fields hold
	OrderID     string
	SellerID    string
	BuyerID     string
	Amount      string
	Currency    string
	PaymentType string // empty where the file has no such column
	OrderStatus string // empty where the file has no such column
}

// Reader reads rows, one record in memory at a time.
type Reader struct {
	records records
	columns columns
	close   func() error
}

// NewReader reads the header. The name is the file's, for its faults. Close closes nothing.
func NewReader(name string, in io.Reader) (*Reader, error) {
	r := &Reader{
		records: records{name: name, in: bufio.NewReaderSize(in, 64<<10), line: 1, record: -1},
		close:   func() error { return nil },
	}
	if err := r.records.dropMark(); err != nil {
		return nil, err
	}
	header, err := r.records.next()
	if errors.Is(err, io.EOF) {
		return nil, FaultError{File: name, Problem: "is empty; it needs a header that names its columns"}
	}
	if err != nil {
		return nil, err
	}
	if r.columns, err = findColumns(header); err != nil {
		return nil, r.records.fault(r.records.began, "%w", err)
	}
	return r, nil
}

// Open opens a file and reads its header. Who opens, closes.
func Open(path string) (*Reader, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, FaultError{File: path, Problem: "cannot be read", Cause: err}
	case info.IsDir():
		return nil, FaultError{File: path, Problem: "is a folder; give a file"}
	case !info.Mode().IsRegular():
		return nil, FaultError{File: path, Problem: "is no regular file, which can be read twice; write it to one"}
	}
	f, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, FaultError{File: path, Problem: "cannot be read", Cause: err}
	}
	r, err := NewReader(path, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.close = f.Close
	return r, nil
}

// Scan reads the whole file, so that nothing is begun that it cannot end, and counts its rows.
func Scan(path string) (rows int, err error) {
	r, err := Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, err := range r.Rows() {
		if err != nil {
			return 0, err
		}
		rows++
	}
	return rows, nil
}

// Rows returns the rows that are left, up to the first fault.
func (r *Reader) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for {
			row, err := r.Next()
			if errors.Is(err, io.EOF) || !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// Next returns the next row, or io.EOF.
func (r *Reader) Next() (Row, error) {
	fields, err := r.records.next()
	if err != nil {
		return Row{}, err
	}
	text := func(name string) string {
		if i, ok := r.columns[name]; ok && i < len(fields) {
			return fields[i]
		}
		return ""
	}
	return Row{
		Line:    r.records.record + 1,
		OrderID: text(columnOrder), SellerID: text(columnSeller), BuyerID: text(columnBuyer),
		Amount: text(columnAmount), Currency: text(columnCurrency),
		PaymentType: text(columnPayment), OrderStatus: text(columnStatus),
	}, nil
}

// Close closes the file that Open opened.
func (r *Reader) Close() error { return r.close() }

// FaultError is why a file cannot be read, and where.
type FaultError struct {
	File    string
	Record  int // its number: the header is 0, the first order 1
	Line    int // the line of the file; 0 where it is about the whole file
	Problem string
	Cause   error // the system's, where there is one
}

// Error says what and where.
func (f FaultError) Error() string {
	text := f.File
	switch {
	case f.Line > 0 && f.Record > 0:
		text += fmt.Sprintf(": record %d, line %d", f.Record, f.Line)
	case f.Line > 0:
		text += fmt.Sprintf(": header, line %d", f.Line)
	}
	text += ": " + f.Problem
	if f.Cause != nil {
		text += ": " + f.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (f FaultError) Unwrap() error { return f.Cause }

// firstInvalid is the index of the first byte that is no UTF-8.
func firstInvalid(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}
