package invite

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	// RowMax is the longest row, in bytes of the input.
	RowMax = 1 << 20
	// firstMax is how many blanks are passed over to see the input's first byte.
	firstMax = 4 << 10
	// mark is a byte order mark, which some programs put before UTF-8.
	mark = "\xef\xbb\xbf"
)

// splitter cuts the input into rows, without a look at what they say, and knows where it stands. It holds no more
// than a row and what was read after it.
//
// Rows of NDJSON end with \n. Rows of CSV are those of Python's csv module: \n, \r\n and \r end one, and inside
// quotes they are text; a quote that does not begin a field is text. Lines without anything are no rows.
type splitter struct {
	in    io.Reader
	csv   bool
	bytes int // how much is read at a time

	// before is called before each read, which may wait: what was handed out so far can be worked on.
	before func() error

	buf   []byte
	from  int   // where in buf what was not handed out begins
	ended error // why there is no more to read
	at    position
	row   position // after the last row

	// Of the row of CSV that is looked at.
	scanned state // what the next byte is part of
	breaks  int   // how many line ends its quoted fields hold so far
	quote   int   // the line on which its latest quoted field began
}

// position is how far the input was read.
type position struct {
	Bytes int64  `json:"bytes"`
	Line  int    `json:"line"` // the number of the next line
	CRC   uint32 `json:"crc"`  // CRC-32C of all bytes before
}

// raw is a row as it stands in the input.
type raw struct {
	line    int
	text    []byte // without its line end; it is the splitter's, until the next call
	last    bool   // it has no line end: the input ended before
	tooLong bool   // of it the text is missing: it is longer than RowMax
}

// state is what the next byte of CSV is part of.
type state int

const (
	fieldStart state = iota
	inField
	inQuotes
	afterQuote // a quote inside quotes: the first of two, or the closing one
)

// StopError says that nobody can tell where the next row begins: what comes before was handed in.
type StopError struct {
	Line    int
	Problem string
}

// Error says where and what.
func (e *StopError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

func newSplitter(in io.Reader, csv bool) *splitter {
	begin := position{Line: 1}
	return &splitter{
		in: in, csv: csv, bytes: PieceBytesDefault, at: begin, row: begin, before: func() error { return nil },
	}
}

// first is the input's first byte that is no blank, which stays where it is.
func (s *splitter) first() (byte, error) {
	for n := range firstMax {
		if err := s.peek(n); err != nil {
			return 0, err
		}
		if n >= len(s.buf)-s.from {
			return 0, s.ended
		}
		if b := s.buf[s.from+n]; bytes.IndexByte([]byte(mark+" \t\r\n"), b) < 0 {
			return b, nil
		}
	}
	return 0, nil
}

// next returns the next row, io.EOF, a *StopError, or why the input cannot be read.
func (s *splitter) next() (raw, error) {
	r, err := s.cut()
	if err == nil {
		s.row = s.at
	}
	return r, err
}

func (s *splitter) cut() (raw, error) {
	if err := s.skip(); err != nil {
		return raw{}, err
	}
	r := raw{line: s.at.Line}
	s.scanned, s.breaks = fieldStart, 0
	for n := 0; ; {
		end, found := s.scan(n)
		switch {
		case found:
			if err := s.half(end); err != nil {
				return raw{}, err
			}
			text := s.take(end)
			if r.tooLong = len(text) > RowMax; !r.tooLong {
				r.text = text
			}
			return r, s.lineEnd()
		case end > RowMax && s.scanned == inQuotes:
			return raw{}, s.stop("a quote begins here and is not closed for %d bytes: close it", RowMax)
		case end > RowMax:
			r.tooLong = true
			return r, s.skipRow(end)
		}
		switch err := s.fill(); {
		case errors.Is(err, io.EOF) && s.scanned == inQuotes:
			return raw{}, s.stop("a quote begins here that is never closed: close it")
		case errors.Is(err, io.EOF):
			r.text, r.last = s.take(end), true
			return r, nil
		case err != nil:
			return raw{}, err
		}
		n = end
	}
}

// stop tells that the rest of the input belongs to a field that has no end.
func (s *splitter) stop(format string, args ...any) error {
	return &StopError{s.quote, fmt.Sprintf(format, args...)}
}

// skip passes over the mark of the first line, and over lines without anything.
func (s *splitter) skip() error {
	if s.at.Bytes == 0 {
		if err := s.dropMark(); err != nil {
			return err
		}
	}
	for {
		if s.from == len(s.buf) {
			if err := s.fill(); err != nil {
				return err
			}
		}
		if b := s.buf[s.from]; b != '\n' && b != '\r' {
			return nil
		}
		if err := s.lineEnd(); err != nil {
			return err
		}
	}
}

func (s *splitter) dropMark() error {
	if err := s.peek(len(mark) - 1); err != nil {
		return err
	}
	if bytes.HasPrefix(s.buf[s.from:], []byte(mark)) {
		s.take(len(mark))
	}
	return nil
}

// skipRow passes over the rest of a row that is too long, of which so many bytes are known.
func (s *splitter) skipRow(n int) error {
	for {
		s.take(n)
		end, found := s.scan(0)
		if found {
			s.take(end)
			return s.lineEnd()
		}
		if s.scanned == inQuotes {
			return s.stop("a quote begins here, in a row of more than %d bytes: shorten the row", RowMax)
		}
		switch err := s.fill(); {
		case errors.Is(err, io.EOF):
			s.take(end)
			return nil
		case err != nil:
			return err
		}
		n = end
	}
}

// scan looks for the row's end, of which the first n bytes of the buffer's rest are known to have none. It returns
// where it is, or how much was looked at.
func (s *splitter) scan(n int) (end int, found bool) {
	rest := s.buf[s.from:]
	if !s.csv {
		if i := bytes.IndexByte(rest[n:], '\n'); i >= 0 {
			return n + i, true
		}
		return len(rest), false
	}
	for i := n; i < len(rest); i++ {
		switch b := rest[i]; {
		case s.scanned == inQuotes:
			s.quoted(b, i > 0 && rest[i-1] == '\r')
		case b == '"' && s.scanned == fieldStart:
			s.scanned, s.quote = inQuotes, s.at.Line+s.breaks
		case b == '"' && s.scanned == afterQuote:
			s.scanned = inQuotes
		case b == ',':
			s.scanned = fieldStart
		case b == '\n' || b == '\r':
			return i, true
		default:
			s.scanned = inField
		}
	}
	return len(rest), false
}

// quoted looks at a byte inside quotes; after says that it follows a carriage return.
func (s *splitter) quoted(b byte, after bool) {
	switch {
	case b == '"':
		s.scanned = afterQuote
	case b == '\r', b == '\n' && !after:
		s.breaks++
	}
}

// lineEnd takes the line end that comes next, where there is one.
func (s *splitter) lineEnd() error {
	if err := s.half(0); err != nil {
		return err
	}
	switch rest := s.buf[s.from:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		s.take(2)
	case len(rest) > 0:
		s.take(1)
	}
	return nil
}

// half makes sure that the line end that begins after n bytes is there whole.
func (s *splitter) half(n int) error {
	if rest := s.buf[s.from:]; n < len(rest) && rest[n] == '\r' {
		return s.peek(n + 1)
	}
	return nil
}

// peek makes sure that more than n bytes can be looked at, unless the input ends before.
func (s *splitter) peek(n int) error {
	for len(s.buf)-s.from <= n && s.ended == nil {
		if err := s.fill(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// skipTo reads on to a position where a row begins, and says whether the input up to there is what it was.
func (s *splitter) skipTo(to position) (same bool, err error) {
	for s.at.Bytes < to.Bytes {
		if s.from == len(s.buf) {
			switch err := s.fill(); {
			case errors.Is(err, io.EOF):
				return false, nil
			case err != nil:
				return false, err
			}
		}
		s.take(int(min(int64(len(s.buf)-s.from), to.Bytes-s.at.Bytes)))
	}
	s.row = s.at
	return s.at == to, nil
}

// take hands out n bytes, which stay as they are until the next fill.
func (s *splitter) take(n int) []byte {
	text := s.buf[s.from : s.from+n]
	s.at.Line += lines(text)
	if n > 0 && text[0] == '\n' && s.from > 0 && s.buf[s.from-1] == '\r' {
		s.at.Line-- // it is one line end, taken in two
	}
	s.at.Bytes += int64(n)
	s.at.CRC = crc32.Update(s.at.CRC, castagnoli(), text)
	s.from += n
	return text
}

// fill reads more, or says why there is no more.
func (s *splitter) fill() error {
	if s.ended != nil {
		return s.ended
	}
	if err := s.before(); err != nil {
		return err
	}
	if keep := s.from - 1; keep > 0 { // one byte is kept: it may be the first half of a line end
		s.buf = s.buf[:copy(s.buf, s.buf[keep:])]
		s.from = 1
	}
	have := len(s.buf)
	if cap(s.buf)-have < s.bytes {
		grown := make([]byte, have, 2*cap(s.buf)+2*s.bytes)
		copy(grown, s.buf)
		s.buf = grown
	}
	n, err := s.in.Read(s.buf[have : have+s.bytes])
	s.buf = s.buf[:have+n]
	s.ended = err
	if n > 0 {
		return nil
	}
	return err
}

// lines counts the line ends in a text: \n, \r\n and \r.
func lines(text []byte) int {
	n := bytes.Count(text, []byte("\n"))
	if returns := bytes.Count(text, []byte("\r")); returns > 0 {
		n += returns - bytes.Count(text, []byte("\r\n"))
	}
	return n
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
