package book

import (
	"cmp"
	"encoding/binary"
	"strconv"
)

// Quicker is a book whose script decides usual commands in a shorter way. What it leaves is decided by the book's own
// decide, and either way the answer is the same.
type Quicker interface {
	// Quick writes what the script's quick takes of a command with these fields, or nothing.
	Quick(c []string, q *Quick)
	// QuickLua defines quick(p, q): see decide.lua.
	QuickLua() string
}

// A command's head in the quick way: its kind, zero where there is no quick way; where it begins in the batch; the
// buckets of its rows; words; a number.
const (
	quickAt      = 1
	quickRows    = 4
	quickWords   = 8
	quickNumber  = 16
	quickHead    = 23
	numberDigits = 7 // to the base 256: 2^53-1 has so many
)

// Quick is what the script's quick takes of the commands of a batch.
type Quick struct {
	framing *framing
	tables  []string // packed
	current string   // the half of rotating tables to which is written

	heads []byte
	head  []byte // of the command at hand
	texts []byte
	ends  []int // of each text
	times [2]int64
	any   bool
	word  []byte
}

// Begin begins a command of a kind, from 1, with its own time.
func (q *Quick) Begin(kind byte, millis string) {
	t, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return
	}
	q.head[0] = kind
	if !q.any {
		q.any, q.times = true, [2]int64{t, t}
	}
	q.times = [2]int64{min(q.times[0], t), max(q.times[1], t)}
	for i, r := range q.framing.rows {
		binary.BigEndian.PutUint16(q.head[quickRows+2*i:], uint16(r.bucket)) //nolint:gosec // as in field
	}
}

// Word adds a word, which may be given in parts, as the command's i-th: from 0, of four.
func (q *Quick) Word(i int, parts ...string) {
	q.word = q.word[:0]
	for _, part := range parts {
		q.word = append(q.word, part...)
	}
	n, ok := q.framing.words.index[string(q.word)]
	if !ok {
		n = q.framing.words.put(string(q.word))
	}
	q.Small(i, n)
}

// Small adds a number of two bytes in the place of the i-th word.
func (q *Quick) Small(i, n int) {
	binary.BigEndian.PutUint16(q.head[quickWords+2*i:], uint16(n)) //nolint:gosec // few
}

// Number adds an amount.
func (q *Quick) Number(decimal string) {
	n, err := strconv.ParseUint(decimal, 10, 64)
	if err != nil || n>>(8*numberDigits) > 0 {
		q.head[0] = 0
		return
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	copy(q.head[quickNumber:], b[8-numberDigits:])
}

// Key writes the key of the command's i-th row to the text at hand, and returns its length.
func (q *Quick) Key(i int) int {
	r := q.framing.rows[i]
	q.texts = append(q.texts, q.framing.batch[r.from:r.to]...)
	return r.to - r.from
}

// Tag writes the byte of a packed table to the text at hand; of one that rotates, of the half that is written to.
func (q *Quick) Tag(table string) {
	for i, name := range q.tables {
		if name == table || len(name) == len(table)+1 && name[:len(table)] == table && name[len(table):] == q.current {
			q.texts = append(q.texts, byte(i+1))
			return
		}
	}
}

// Half writes the digit of the half of rotating tables that is written to.
func (q *Quick) Half() { q.texts = append(q.texts, q.current...) }

// Token writes a digest as a token.
func (q *Quick) Token(digest string) { q.texts, _ = appendToken(q.texts, digest) }

// Text writes parts of the text at hand.
func (q *Quick) Text(parts ...string) {
	for _, part := range parts {
		q.texts = append(q.texts, part...)
	}
}

// End ends the text at hand: the script's quick finds the texts of its commands one after the other.
func (q *Quick) End() { q.ends = append(q.ends, len(q.texts)) }

// command adds the command with these fields, which begins there in the batch.
func (q *Quick) command(book Quicker, c []string, at int) {
	before := len(q.heads)
	q.heads = append(q.heads, make([]byte, quickHead)...)
	q.head = q.heads[before:]
	for i := range 3 {
		q.head[quickAt+i] = byte(at >> (16 - 8*i)) //nolint:gosec // a batch is no larger
	}
	texts, ends := len(q.texts), len(q.ends)
	book.Quick(c, q)
	if q.head[0] == 0 {
		q.texts, q.ends = q.texts[:texts], q.ends[:ends]
	}
}

// args are the arguments before and behind the words.
func (q *Quick) args() (before, behind []any) {
	all, from := string(q.texts), 0
	behind = make([]any, len(q.ends))
	for i, end := range q.ends {
		behind[i], from = all[from:end], end
	}
	return []any{q.heads, cmp.Or(q.current, "0"), q.times[0], q.times[1], len(behind)}, behind
}
