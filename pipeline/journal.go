package pipeline

import (
	"crypto/sha1" //nolint:gosec // it names a history among honest owners, inside Redis too; it proves nothing to others
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

// Headers of a journal's records, besides the envelope's.
const (
	// EntryHeader stands on the first record of an entry: epoch, from, to, how many records, digest.
	EntryHeader = "aval-entry"
	// TakeoverHeader marks a takeover record; its value is the history's name.
	TakeoverHeader = "aval-takeover"
)

// Journal reads one partition of a book's journal: it is the one place that knows which entries count.
//
// A takeover record's offset is the epoch of those that follow. An entry is one record batch that answers the
// commands [From, To); it counts if its epoch is the latest takeover's before it, and it begins where the entry
// that counted before it ended. Every other one is skipped: a former owner wrote it too late. The zero value
// begins at the partition's first record; it can be copied.
type Journal struct {
	Position

	Skipped int // records that did not count

	open    *Entry
	counts  bool // whether the open entry does
	missing int  // records of the open entry that are still to come
}

// Position is how far a reader of a journal has come.
type Position struct {
	Next    int64  // the journal offset to go on from
	Epoch   int64  // the latest takeover, -1 before the first
	To      int64  // the command offset up to which is answered
	Digest  string // of the history up to To; empty at the beginning
	History string // the name of the history, given by the first takeover
}

// Entry is an entry of a journal that counts.
type Entry struct {
	Epoch    int64
	From, To int64  // the commands that it answers
	Digest   string // of the history up to To
	Offset   int64  // of its first record
	Records  []Record
}

// Read takes the partition's next records and returns the entries that they complete and that count.
func (j *Journal) Read(records []Record) []Entry {
	if j.Next == 0 {
		j.Epoch = -1
	}
	if j.open != nil { // a copy of the reader must not see what this one adds
		open := *j.open
		open.Records = slices.Clone(open.Records)
		j.open = &open
	}
	var entries []Entry
	for i := range records {
		r := &records[i]
		if r.Offset < j.Next {
			continue
		}
		j.Next = r.Offset + 1
		if history, ok := header(r, TakeoverHeader); ok {
			j.takeover(r.Offset, string(history))
			continue
		}
		if text, ok := header(r, EntryHeader); ok {
			j.drop()
			j.begin(r.Offset, string(text), len(records)-i)
		}
		if e, ok := j.take(r); ok {
			entries = append(entries, e)
		}
	}
	return entries
}

func (j *Journal) takeover(offset int64, history string) {
	j.drop()
	j.Epoch = offset
	if j.History == "" {
		j.History = history
	}
}

// take adds the record to the open entry, and returns that if the record completes it and it counts.
func (j *Journal) take(r *Record) (Entry, bool) {
	if j.open == nil {
		j.Skipped++
		return Entry{}, false
	}
	j.open.Records = append(j.open.Records, *r)
	if j.missing--; j.missing > 0 {
		return Entry{}, false
	}
	e := *j.open
	j.open = nil
	if !j.counts {
		j.Skipped += len(e.Records)
		return Entry{}, false
	}
	j.To, j.Digest = e.To, e.Digest
	return e, true
}

// begin opens the entry whose header the record there carries, of which no more than so many records are at hand; one
// that cannot be read is none.
func (j *Journal) begin(offset int64, text string, ahead int) {
	e, count, err := parseEntryHeader(text)
	if err != nil {
		return
	}
	e.Offset, e.Records = offset, make([]Record, 0, min(count, ahead))
	j.open, j.missing = &e, count
	j.counts = e.Epoch == j.Epoch && e.From == j.To
}

func (j *Journal) drop() {
	if j.open != nil {
		j.Skipped += len(j.open.Records)
		j.open = nil
	}
}

// Mark is what a reader of a journal commits: with it the next one resumes in the middle, at an entry's end.
func (j *Journal) Mark() Mark {
	p := j.Position
	if j.open != nil {
		p.Next = j.open.Offset
	}
	return Mark{Offset: p.Next, Metadata: p.String()}
}

// String is the position as a commit's metadata carries it.
func (p Position) String() string {
	return fmt.Sprintf("1 %d %d %d %s %s", p.Next, p.Epoch, p.To, orDash(p.Digest), orDash(p.History))
}

// ParsePosition reads the metadata of a commit; it says no where there is none that it knows.
func ParsePosition(metadata string) (Position, bool) {
	var version int
	var p Position
	n, err := fmt.Sscanf(metadata, "%d %d %d %d %s %s", &version, &p.Next, &p.Epoch, &p.To, &p.Digest, &p.History)
	if err != nil || n != 6 || version != 1 {
		return Position{}, false
	}
	p.Digest, p.History = strings.TrimPrefix(p.Digest, "-"), strings.TrimPrefix(p.History, "-")
	return p, true
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// EntryHeaderValue is the header of an entry's first record.
func EntryHeaderValue(e Entry, count int) []byte {
	return fmt.Appendf(nil, "%d %d %d %d %s", e.Epoch, e.From, e.To, count, e.Digest)
}

func parseEntryHeader(text string) (Entry, int, error) {
	f := strings.Fields(text)
	if len(f) != 5 {
		return Entry{}, 0, fmt.Errorf("entry header %q has not five fields", text)
	}
	var n [4]int64
	for i := range n {
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil || v < 0 {
			return Entry{}, 0, fmt.Errorf("entry header %q: field %d is no number", text, i+1)
		}
		n[i] = v
	}
	e := Entry{Epoch: n[0], From: n[1], To: n[2], Digest: f[4]}
	if e.To <= e.From || n[3] < 1 || n[3] > e.To-e.From {
		return Entry{}, 0, fmt.Errorf("entry header %q contradicts itself", text)
	}
	return e, int(n[3]), nil
}

func header(r *Record, key string) ([]byte, bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value, true
		}
	}
	return nil, false
}

// HistoryDigest is the digest of a history after one more answer.
// The script computes the same: d = sha1(d before, from, to, answer), each on a line of its own.
func HistoryDigest(before string, from, to int64, answer string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s\n%d\n%d\n%s", before, from, to, answer)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// Item is a body of a journal's record.
type Item interface {
	proto.Message
	GetDecision() *schemas.Decision
}

// Items decodes an entry's records. An error means that the journal holds what no owner writes.
func (e Entry) Items() ([]In, error) {
	items := make([]In, 0, len(e.Records))
	for _, r := range e.Records {
		in, err := Decode(r)
		if err != nil {
			return nil, fmt.Errorf("read item at %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		if item, ok := in.Body.(Item); !ok || item.GetDecision() == nil {
			return nil, fmt.Errorf("item at %s/%d/%d is a %T without decision", r.Topic, r.Partition, r.Offset, in.Body)
		}
		items = append(items, in)
	}
	return items, nil
}

// Answer is what the script answered with these decisions, in its own form: one line for each, of its word
// and of its changes, tabs between. Of it and the digest before, HistoryDigest makes the digest.
func Answer(decisions []*schemas.Decision) string {
	var b strings.Builder
	for i, d := range decisions {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(answerWord(d))
		for _, c := range d.GetChanges() {
			b.WriteString("\t" + c.GetTable() + "\t" + c.GetField() + "\t" + c.GetValue())
		}
	}
	return b.String()
}

func answerWord(d *schemas.Decision) string {
	word := map[schemas.Outcome]string{
		schemas.Outcome_OUTCOME_DONE: "done", schemas.Outcome_OUTCOME_REFUSED: "refused",
		schemas.Outcome_OUTCOME_REPEAT: "repeat", schemas.Outcome_OUTCOME_CONFLICT: "conflict",
		schemas.Outcome_OUTCOME_UNREADABLE: "unreadable",
	}[d.GetOutcome()]
	if d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		word += " " + d.GetReason().Word()
	}
	return word
}

// ParseAnswer reads what the script answered.
func ParseAnswer(answer string) ([]*schemas.Decision, error) {
	var decisions []*schemas.Decision
	for line := range strings.SplitSeq(answer, "\n") {
		d, err := parseAnswerLine(line)
		if err != nil {
			return nil, fmt.Errorf("read answer %d: %w", len(decisions), err)
		}
		decisions = append(decisions, d)
	}
	return decisions, nil
}

func parseAnswerLine(line string) (*schemas.Decision, error) {
	fields := strings.Split(line, "\t")
	word, why, _ := strings.Cut(fields[0], " ")
	outcome, ok := map[string]schemas.Outcome{
		"done": schemas.Outcome_OUTCOME_DONE, "refused": schemas.Outcome_OUTCOME_REFUSED,
		"repeat": schemas.Outcome_OUTCOME_REPEAT, "conflict": schemas.Outcome_OUTCOME_CONFLICT,
		"unreadable": schemas.Outcome_OUTCOME_UNREADABLE,
	}[word]
	if !ok || len(fields)%3 != 1 {
		return nil, fmt.Errorf("%q is no answer", line)
	}
	d := &schemas.Decision{Outcome: outcome}
	if why != "" {
		if d.Reason, ok = schemas.ReasonOf(why); !ok {
			return nil, fmt.Errorf("%q is no reason", why)
		}
	}
	for i := 1; i < len(fields); i += 3 {
		d.Changes = append(d.Changes, &schemas.Change{Table: fields[i], Field: fields[i+1], Value: fields[i+2]})
	}
	return d, nil
}
