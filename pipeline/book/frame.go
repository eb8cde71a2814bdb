package book

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is how a field of a command reaches the script.
type Kind int

// The kinds of fields. Each may be empty.
const (
	// TextField is the command's alone.
	TextField Kind = iota
	// SharedField is a word that many commands of a batch have: it travels once.
	SharedField
	// PlainField is the field of a row in a plain table, which the command may read and write. It travels once, too.
	PlainField
	// RowField is an identifier, under which the command may read and write the rows of packed tables. The script gets
	// its key, too.
	RowField
	// DigestField is one of 32 or 48 hexadecimal digits. The script gets its token, too.
	DigestField
)

// Field is a field of a command.
type Field struct {
	Kind  Kind
	Table string // of a Plain field
}

// FieldMax is how many bytes a field may have.
const FieldMax = 255

// heads are the fields that every book's commands have: verb, id, own time, digest.
func heads() []Field {
	return []Field{{Kind: SharedField}, {Kind: RowField}, {Kind: TextField}, {Kind: DigestField}}
}

// fields are all fields of a book's commands.
func fields(b Book) []Field { return append(heads(), b.Fields()...) }

// Width is how many fields a book's commands have.
func Width(b Book) int { return len(fields(b)) }

// takeLua is the script's function that takes a command out of the batch: what frame writes, field by field. It is
// made to measure, as a loop over the fields would cost more than the fields.
func takeLua(fields []Field) string {
	var counts []string
	var code strings.Builder
	extra := len(fields)
	set := func(at int, format string, args ...any) {
		fmt.Fprintf(&code, "  c[%d] = %s\n", at, fmt.Sprintf(format, args...))
	}
	text := func(at int, count string) {
		set(at, "sub(batch, p, p + %s - 1)", count)
		fmt.Fprintf(&code, "  p = p + %s\n", count)
	}
	for i, f := range fields {
		var n []string
		for j := range f.Kind.width() {
			n = append(n, fmt.Sprintf("n%d_%d", i+1, j+1))
		}
		counts = append(counts, n...)
		switch f.Kind {
		case SharedField, PlainField:
			set(i+1, "ARGV[WORDS + %s * 256 + %s]", n[0], n[1])
		case TextField:
			text(i+1, n[0])
		case RowField:
			text(i+1, n[0])
			text(extra+1, n[1])
			set(extra+2, "%s * 256 + %s", n[2], n[3])
			extra += 2
		case DigestField:
			text(i+1, n[0])
			text(extra+1, n[1])
			extra++
		}
	}
	const function = "local function take(p, c)\n  local %s = byte(batch, p, p + %d)\n  p = p + %d\n%s  return p\nend\n"
	return fmt.Sprintf(function, strings.Join(counts, ", "), len(counts)-1, len(counts), code.String())
}

// answerGroup is how many commands' answers the script joins first.
const answerGroup = 16

// joinLua is the script's function that joins the groups of the largest answer at once.
func joinLua() string {
	groups := make([]string, CommandsMax/answerGroup+2)
	for i := range groups {
		groups[i] = fmt.Sprintf("(g[%d] or '')", i+1)
	}
	return fmt.Sprintf("local function join(g)\n  return %s\nend\n", strings.Join(groups, " .. "))
}

// width is how many bytes a field of the kind has at a command's head: lengths, or the number of a word or a bucket.
func (k Kind) width() int {
	switch k {
	case TextField:
		return 1
	case SharedField, PlainField, DigestField:
		return 2
	case RowField:
		return 4
	}
	return 0
}

// framer writes batches of commands for the script.
type framer struct {
	fields []Field
	plain  []string // the plain tables but the clock
	packed []string
	quick  Quicker // or nil
	head   int     // bytes
}

func newFramer(b Book) framer {
	f := framer{fields: fields(b), plain: b.Tables().Plain, packed: packedTables(b)}
	f.quick, _ = b.(Quicker)
	for _, field := range f.fields {
		f.head += field.Kind.width()
	}
	return f
}

// frame is the commands, whose fields are at most FieldMax bytes long, as the arguments of the script: the batch, how
// many buckets there are, what quick takes, how many fields of each plain table there are, the words, the texts that
// quick takes, and the buckets' names.
func (f *framer) frame(seed uint64, sp spread, commands [][]string) []any {
	b := framing{framer: f, seed: seed, spread: sp, buckets: map[string]int{}, words: f.words(commands)}
	b.batch = make([]byte, 0, len(commands)*256)
	q := Quick{framing: &b, tables: f.packed, current: strconv.Itoa(int(sp.era % 2))}
	for _, c := range commands {
		at := len(b.batch)
		b.command(c)
		if f.quick != nil {
			q.command(f.quick, c, at)
		}
	}
	before, behind := q.args()
	args := append(make([]any, 0, 16+len(b.names)+len(b.words.own)+len(behind)), b.batch, len(b.names))
	args = append(args, before...)
	for _, n := range b.words.counts {
		args = append(args, n)
	}
	args = append(append(args, ""), b.words.own...)
	return append(append(args, behind...), b.names...)
}

// framing is a frame that is being written.
type framing struct {
	*framer
	seed    uint64
	spread  spread
	words   words
	batch   []byte
	rows    []framedRow    // of the command at hand
	buckets map[string]int // by name, from 1
	names   []any
	digits  [digitsMax]byte
}

// framedRow is where a row's key stands in the batch, and its bucket.
type framedRow struct{ from, to, bucket int }

func (b *framing) command(c []string) {
	at := len(b.batch)
	b.batch = append(b.batch, make([]byte, b.head)...)
	b.rows = b.rows[:0]
	for i, field := range b.fields {
		b.field(at, field, c[i])
		at += field.Kind.width()
	}
}

// field writes a field behind the others, and at its place in the head what take needs to find it there.
func (b *framing) field(at int, field Field, text string) {
	head := func(j, n int) { b.batch[at+j] = byte(n) } //nolint:gosec // at most FieldMax, or a half of two bytes
	if field.Kind == SharedField || field.Kind == PlainField {
		n := b.words.index[text]
		head(0, n>>8)
		head(1, n)
		return
	}
	if text == "" {
		return
	}
	head(0, len(text))
	b.batch = append(b.batch, text...)
	before := len(b.batch)
	switch field.Kind {
	case RowField:
		bucket := b.bucket(text)
		b.batch = appendKey(b.batch, text)
		b.rows = append(b.rows, framedRow{from: before, to: len(b.batch), bucket: bucket})
		head(1, len(b.batch)-before)
		head(2, bucket>>8)
		head(3, bucket)
	case DigestField:
		b.batch = appendTokens(b.batch, text)
		head(1, len(b.batch)-before)
	case TextField, SharedField, PlainField:
	}
}

// bucket is the number of an identifier's bucket.
func (b *framing) bucket(id string) int {
	name := b.spread.name(appendDigits(b.digits[:0], b.seed, id))
	n, ok := b.buckets[string(name)]
	if !ok {
		n = len(b.buckets) + 1
		b.buckets[string(name)] = n
		b.names = append(b.names, string(name))
	}
	return n
}

// words are what commands share, each once.
type words struct {
	index  map[string]int // of the empty one it is 0
	own    []any          // the others: the plain tables' fields first
	counts []int          // how many of these there are, of each table
}

func (f *framer) words(commands [][]string) words {
	w := words{index: map[string]int{"": 0}}
	for _, table := range f.plain {
		before := len(w.own)
		for i, field := range f.fields {
			if field.Kind == PlainField && field.Table == table {
				w.add(commands, i)
			}
		}
		w.counts = append(w.counts, len(w.own)-before)
	}
	for i, field := range f.fields {
		if field.Kind == SharedField {
			w.add(commands, i)
		}
	}
	return w
}

// add adds the words in a field of the commands.
func (w *words) add(commands [][]string, field int) {
	last := ""
	for _, c := range commands {
		word := c[field]
		if word == last {
			continue
		}
		last = word
		if _, ok := w.index[word]; !ok {
			w.put(word)
		}
	}
}

// put adds a word that is not there yet, and returns its number.
func (w *words) put(word string) int {
	w.own = append(w.own, word)
	w.index[word] = len(w.own)
	return len(w.own)
}
