package invite

import (
	"errors"
	"io"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// Row is a row as it was cut out of an input.
type Row struct {
	Line    int
	Text    string
	TooLong bool
	Last    bool
}

// Position is where an input stands.
type Position = position

// Split cuts an input into rows. It returns where each ends too.
func Split(in io.Reader, csv bool) (rows []Row, ends []Position, err error) {
	s := newSplitter(in, csv)
	for {
		r, err := s.next()
		if errors.Is(err, io.EOF) {
			return rows, ends, nil
		}
		if err != nil {
			return rows, ends, err
		}
		rows = append(rows, Row{Line: r.line, Text: string(r.text), TooLong: r.tooLong, Last: r.last})
		ends = append(ends, s.row)
	}
}

// SkipTo reads on to a position, and returns what is left.
func SkipTo(in io.Reader, csv bool, to Position) (same bool, rows []Row, err error) {
	s := newSplitter(in, csv)
	if same, err = s.skipTo(to); err != nil || !same {
		return same, nil, err
	}
	for {
		r, err := s.next()
		if errors.Is(err, io.EOF) {
			return true, rows, nil
		}
		if err != nil {
			return true, rows, err
		}
		rows = append(rows, Row{Line: r.line, Text: string(r.text), TooLong: r.tooLong, Last: r.last})
	}
}

// Fields takes a row of CSV apart.
func Fields(row string) []string { return fields(row, nil) }

// Read makes an invitation's record of a row; header is nil of NDJSON.
func Read(header []string, text string, version uint64, taken time.Time) (Told, pipeline.Record, error) {
	r := &rows{version: version}
	if header != nil {
		var err error
		if r.columns, err = setters(header); err != nil {
			return Told{}, pipeline.Record{}, err
		}
	}
	out, record := r.read(7, []byte(text), taken)
	return Told{out.line, out.reference, out.id, out.outcome, out.reason}, record, nil
}

// Told is what is told of a row.
type Told struct {
	Line      int
	Reference string
	ID        string
	Outcome   Outcome
	Reason    string
}
