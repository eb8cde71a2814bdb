package invite

import (
	"errors"
	"io"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
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

// Quickly reads an invitation's JSON, if it is plain.
func Quickly(text string) (*schemas.Invitation, bool) {
	x := &schemas.Invitation{}
	ok := quickly(text, x)
	return x, ok
}

// Fields takes a row of CSV apart.
func Fields(row string) []string { return fields(row, nil) }

// Read makes an invitation's record of a row; header is nil of NDJSON.
func Read(header []string, text string, version uint64, taken time.Time) (Told, pipeline.Record, error) {
	r, err := reader(header, version)
	if err != nil {
		return Told{}, pipeline.Record{}, err
	}
	told, record := read(r, []byte(text), taken)
	return told, record, nil
}

// Reader returns what reads rows, again and again.
func Reader(header []string) (func(text []byte) Told, error) {
	r, err := reader(header, 1)
	taken := time.Unix(1e9, 123456789).UTC()
	return func(text []byte) Told {
		told, _ := read(r, text, taken)
		return told
	}, err
}

func reader(header []string, version uint64) (r *rows, err error) {
	r = &rows{version: version}
	if header != nil {
		r.columns, err = setters(header)
	}
	return r, err
}

func read(r *rows, text []byte, taken time.Time) (Told, pipeline.Record) {
	out, record := r.read(7, text, taken)
	return Told{out.line, out.reference, out.id, out.outcome, out.reason}, record
}

// Told is what is told of a row.
type Told struct {
	Line      int
	Reference string
	ID        string
	Outcome   Outcome
	Reason    string
}
