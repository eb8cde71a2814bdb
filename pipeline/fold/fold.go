// Package fold is the state of one shard of a book, folded in memory from its journal: what Redis has to hold.
//
//	reads   a book's journal, through pipeline.Journal
//	effect  none
//	emits   nothing
//
// It knows the tables and rows that a book's answers name, and not what they mean. Each entry has to have the digest
// that its items make.
package fold

import (
	"context"
	"crypto/sha1" //nolint:gosec // as pipeline.HistoryDigest, which says why
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// ToTheEnd is a position that no journal has reached.
const ToTheEnd = math.MaxInt64

// BrokenError says that the journal holds what no owner writes.
type BrokenError struct{ Problem string }

func (e *BrokenError) Error() string { return e.Problem }

// Fold is the state of a shard up to a position. It is for one goroutine.
type Fold struct {
	// Touched is told of each row that an entry has written or removed, after the whole entry is folded; of a table
	// that was emptied with an empty field. It may be nil. The texts are valid until it returns.
	Touched func(table, field []byte)
	// Read is told of so many records that were read. It may be nil.
	Read func(records int)
	// Until is an offset of the journal at which it is to end; 0: nowhere.
	Until int64

	log   pipeline.Log
	topic string
	shard int

	journal pipeline.Journal
	waiting []pipeline.Entry // read, and not folded yet
	folded  pipeline.Position
	items   int64

	tables  map[string]*table
	scratch scratch
	decided []schemas.Decided // of the entry that is folded
	text    []byte
	words   map[word]string
}

type word struct {
	outcome schemas.Outcome
	reason  schemas.Reason
}

// New returns the empty state of a shard, before its journal's first entry.
func New(log pipeline.Log, journal string, shard int) *Fold {
	return &Fold{
		log: log, topic: journal, shard: shard, folded: pipeline.Position{Epoch: -1},
		tables: map[string]*table{}, scratch: scratch{seed: maphash.MakeSeed()}, words: map[word]string{},
	}
}

// Position is how far the state was folded: at an entry's end, from where the journal can be read on.
func (f *Fold) Position() pipeline.Position { return f.folded }

// Epoch is the latest takeover that was read, -1 where there was none; History is the name that the first one gave.
func (f *Fold) Epoch() int64 {
	if f.journal.Next == 0 {
		return -1
	}
	return f.journal.Epoch
}

// History is the name of the history.
func (f *Fold) History() string { return f.journal.History }

// Items is how many answers were folded.
func (f *Fold) Items() int64 { return f.items }

// Following is where the entry ends that was read and not folded yet, because To was told to end before it.
func (f *Fold) Following() (to int64, ok bool) {
	if len(f.waiting) == 0 {
		return 0, false
	}
	return f.waiting[0].To, true
}

// errEnough says that the fold has come as far as it should.
var errEnough = errors.New("enough")

// To folds the entries that end at or before a position of the command topic, as far as they are written by now. It
// never goes back. An error of the log may be passed over by calling again; a *BrokenError stays.
func (f *Fold) To(ctx context.Context, at int64) error {
	if done, err := f.fold(at); done || err != nil {
		return err
	}
	first, end, err := f.log.Bounds(ctx, f.topic, f.shard)
	if err != nil {
		return fmt.Errorf("read bounds of %s/%d: %w", f.topic, f.shard, err)
	}
	if first > f.journal.Next {
		return &BrokenError{fmt.Sprintf("%s/%d begins at offset %d, and %d is needed: a journal is kept for ever",
			f.topic, f.shard, first, f.journal.Next)}
	}
	if f.Until > 0 {
		end = min(end, f.Until)
	}
	if end <= f.journal.Next {
		return nil
	}
	err = f.log.Read(ctx, f.topic, f.shard, f.journal.Next, end, func(records []pipeline.Record) error {
		f.waiting = append(f.waiting, f.journal.Read(records)...)
		if f.Read != nil {
			f.Read(len(records))
		}
		if done, err := f.fold(at); done || err != nil {
			return errors.Join(err, errEnough)
		}
		return nil
	})
	if broken := (*BrokenError)(nil); errors.As(err, &broken) {
		return broken
	}
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read %s/%d: %w", f.topic, f.shard, err)
	}
	return nil
}

// fold folds what waits, up to a position, and says whether that was reached.
func (f *Fold) fold(at int64) (done bool, err error) {
	n := 0
	for ; n < len(f.waiting) && f.waiting[n].To <= at; n++ {
		if err := f.entry(f.waiting[n]); err != nil {
			f.waiting = f.waiting[n:]
			return false, err
		}
	}
	f.waiting = slices.Delete(f.waiting, 0, n)
	return len(f.waiting) > 0 || f.folded.To >= at, nil
}

// entry folds one entry, after its items turned out to be those that its digest names.
func (f *Fold) entry(e pipeline.Entry) error {
	f.text = fmt.Appendf(f.text[:0], "%s\n%d\n%d\n", f.folded.Digest, e.From, e.To)
	for len(f.decided) < len(e.Records) {
		f.decided = append(f.decided, schemas.Decided{})
	}
	for i, r := range e.Records {
		d := &f.decided[i]
		if !schemas.GlanceDecision(r.Value, d) {
			return &BrokenError{fmt.Sprintf("the item at %s/%d/%d has no decision that can be read",
				f.topic, f.shard, r.Offset)}
		}
		if i > 0 {
			f.text = append(f.text, '\n')
		}
		f.answer(d)
	}
	sum := sha1.Sum(f.text) //nolint:gosec // see the import
	if digest := hex.EncodeToString(sum[:]); digest != e.Digest {
		return &BrokenError{fmt.Sprintf("the entry at %s/%d/%d has the digest %s, its items make %s",
			f.topic, f.shard, e.Offset, e.Digest, digest)}
	}
	for i := range e.Records {
		for _, c := range f.decided[i].Changes {
			f.change(c)
		}
	}
	f.items += int64(len(e.Records))
	f.folded = pipeline.Position{
		Next: e.Records[len(e.Records)-1].Offset + 1, Epoch: e.Epoch, To: e.To, Digest: e.Digest,
		History: f.journal.History,
	}
	f.tell(len(e.Records))
	return nil
}

// answer writes what the script answered.
func (f *Fold) answer(d *schemas.Decided) {
	w, ok := f.words[word{d.Outcome, d.Reason}]
	if !ok {
		w = pipeline.Answer([]*schemas.Decision{{Outcome: d.Outcome, Reason: d.Reason}})
		f.words[word{d.Outcome, d.Reason}] = w
	}
	f.text = append(f.text, w...)
	for _, c := range d.Changes {
		f.text = append(append(f.text, '\t'), c.Table...)
		f.text = append(append(f.text, '\t'), c.Field...)
		f.text = append(append(f.text, '\t'), c.Value...)
	}
}

func (f *Fold) change(c schemas.Changed) {
	if len(c.Field) == 0 {
		delete(f.tables, string(c.Table))
		return
	}
	t := f.tables[string(c.Table)]
	if len(c.Value) == 0 {
		if t != nil {
			t.remove(&f.scratch, c.Field)
		}
		return
	}
	if t == nil {
		t = &table{}
		f.tables[string(c.Table)] = t
	}
	t.set(&f.scratch, c.Field, c.Value)
}

func (f *Fold) tell(items int) {
	if f.Touched == nil {
		return
	}
	for i := range items {
		for _, c := range f.decided[i].Changes {
			f.Touched(c.Table, c.Field)
		}
	}
}

// Tables are the names of the tables that have rows; of one that rotates the halves' names.
func (f *Fold) Tables() []string { return slices.Sorted(maps.Keys(f.tables)) }

// Len is how many rows a table has.
func (f *Fold) Len(name string) int {
	if t := f.tables[name]; t != nil {
		return t.count
	}
	return 0
}

// Row returns a row of a table.
func (f *Fold) Row(name, field string) (value string, found bool) {
	r, _, found := f.tables[name].get(&f.scratch, []byte(field))
	return unpacked(r.value, r.flags&flagValueHex != 0), found
}

// Same says whether a row has a value, and marks it as seen if it has: see Unseen.
func (f *Fold) Same(name, field, value string) bool {
	r, raw, found := f.tables[name].get(&f.scratch, []byte(field))
	if !found {
		return false
	}
	var isHex bool
	f.scratch.value, isHex = packed(f.scratch.value[:0], []byte(value))
	if (r.flags&flagValueHex != 0) != isHex || string(r.value) != string(f.scratch.value) {
		return false
	}
	raw[0] |= flagMarked
	return true
}

// Unseen visits the rows of a table that nobody has seen since they were written last, and marks them as seen. The fold
// must not go on meanwhile.
func (f *Fold) Unseen(name string, visit func(field string) error) error {
	return f.rows(name, func(r row, raw []byte) error {
		if r.flags&flagMarked != 0 {
			return nil
		}
		raw[0] |= flagMarked
		return visit(unpacked(r.field, r.flags&flagFieldHex != 0))
	})
}

// Rows visits the rows of a table, in no order. The fold must not go on meanwhile.
func (f *Fold) Rows(name string, visit func(field, value string) error) error {
	return f.rows(name, func(r row, _ []byte) error {
		return visit(unpacked(r.field, r.flags&flagFieldHex != 0), unpacked(r.value, r.flags&flagValueHex != 0))
	})
}

func (f *Fold) rows(name string, visit func(r row, raw []byte) error) error {
	t := f.tables[name]
	if t == nil {
		return nil
	}
	for _, slot := range t.slots {
		if slot == 0 {
			continue
		}
		r, raw := t.at(slot)
		if err := visit(r, raw); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of what Grouped sorts.
const (
	groupBits = 24
	tableBits = 4
	refBits   = 64 - groupBits - tableBits
)

// Grouped visits the rows of some tables, 16 at most, in the order of groups, which are below 2^24. The fold must not
// go on meanwhile.
func (f *Fold) Grouped(
	tables []string, group func(field string) int, visit func(group, table int, field, value string) error,
) error {
	total := 0
	for _, name := range tables {
		total += f.Len(name)
	}
	refs := make([]uint64, 0, total)
	for i, name := range tables {
		t := f.tables[name]
		if t == nil {
			continue
		}
		for _, slot := range t.slots {
			if slot == 0 {
				continue
			}
			r, _ := t.at(slot)
			g := uint64(group(unpacked(r.field, r.flags&flagFieldHex != 0))) //nolint:gosec // it is small
			refs = append(refs, g<<(64-groupBits)|uint64(i)<<refBits|slot&placeMask)
		}
	}
	slices.Sort(refs)
	for _, ref := range refs {
		table := int(ref >> refBits & (1<<tableBits - 1))
		r, _ := f.tables[tables[table]].at(ref & (1<<refBits - 1))
		g := int(ref >> (64 - groupBits))
		field, value := unpacked(r.field, r.flags&flagFieldHex != 0), unpacked(r.value, r.flags&flagValueHex != 0)
		if err := visit(g, table, field, value); err != nil {
			return err
		}
	}
	return nil
}

// String names the shard's journal and position, for people.
func (f *Fold) String() string {
	return f.topic + "/" + strconv.Itoa(f.shard) + " up to command " + strconv.FormatInt(f.folded.To, 10)
}
