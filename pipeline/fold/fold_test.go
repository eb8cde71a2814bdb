package fold_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/fold"
	"github.com/aval-systems/aval/schemas"
)

// journal writes a journal of one partition in memory, as an owner does.
type journal struct {
	records []pipeline.Record
	epoch   int64
	to      int64
	digest  string
}

func (j *journal) add(value []byte, headers ...pipeline.Header) {
	j.records = append(j.records, pipeline.Record{
		Topic: "entries", Offset: int64(len(j.records)), Value: value, Headers: headers,
	})
}

func (j *journal) takeover() {
	j.epoch = int64(len(j.records))
	j.add(nil, pipeline.Header{Key: pipeline.TakeoverHeader, Value: fmt.Append(nil, "history", j.epoch)})
}

func (j *journal) entry(tb rapid.TB, changes ...*schemas.Change) {
	tb.Helper()
	d := &schemas.Decision{Offset: j.to, Outcome: schemas.Outcome_OUTCOME_DONE, Changes: changes}
	e := pipeline.Entry{Epoch: j.epoch, From: j.to, To: j.to + 1}
	e.Digest = pipeline.HistoryDigest(j.digest, e.From, e.To, pipeline.Answer([]*schemas.Decision{d}))
	value, err := proto.Marshal(&schemas.Entry{Decision: d, Id: "x", Movement: &schemas.Movement{Account: "a"}})
	if err != nil {
		tb.Fatal(err)
	}
	j.add(value, pipeline.Header{Key: pipeline.EntryHeader, Value: pipeline.EntryHeaderValue(e, 1)})
	j.to, j.digest = e.To, e.Digest
}

func (j *journal) Bounds(context.Context, string, int) (first, end int64, err error) {
	return 0, int64(len(j.records)), nil
}

func (j *journal) Read(
	_ context.Context, _ string, _ int, from, end int64, visit func([]pipeline.Record) error,
) error {
	const few = 3
	for ; from < end; from += few {
		if err := visit(j.records[from:min(from+few, end)]); err != nil {
			return err
		}
	}
	return nil
}

func (*journal) Claim(context.Context, string, string, int) (pipeline.Appender, error) {
	return nil, errors.New("nobody writes")
}

func rows(f *fold.Fold, table string) map[string]string {
	all := map[string]string{}
	_ = f.Rows(table, func(field, value string) error {
		all[field] = value
		return nil
	})
	return all
}

// TestFoldIsItsMap folds random changes, with texts of all kinds and often the same ones, and compares every table with
// a plain map.
func TestFoldIsItsMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.SampledFrom([]string{"a", "ab", "«", "c2ab", "abcd", "abce", "0", "00", "AB", "é", "00ff00ff"}),
			rapid.StringMatching(`[0-9a-f]{2,9}`), rapid.StringMatching(`[a-z ]{1,20}`),
		)
		j := &journal{digest: ""}
		j.takeover()
		model := map[string]map[string]string{"x": {}, "y": {}}
		f := fold.New(j, "entries", 0)
		for range rapid.IntRange(1, 30).Draw(t, "entries") {
			if rapid.IntRange(0, 9).Draw(t, "takeover") == 0 {
				j.takeover()
			}
			var changes []*schemas.Change
			for range rapid.IntRange(0, 20).Draw(t, "changes") {
				c := &schemas.Change{Table: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "table")}
				switch rapid.IntRange(0, 20).Draw(t, "kind") {
				case 0:
					clear(model[c.GetTable()])
				case 1, 2, 3, 4:
					c.Field = text.Draw(t, "field")
					delete(model[c.GetTable()], c.GetField())
				default:
					c.Field, c.Value = text.Draw(t, "field"), text.Draw(t, "value")
					model[c.GetTable()][c.GetField()] = c.GetValue()
				}
				changes = append(changes, c)
			}
			j.entry(t, changes...)
			if rapid.Bool().Draw(t, "look") {
				check(t, f, j, model)
			}
		}
		check(t, f, j, model)
	})
}

func check(t *rapid.T, f *fold.Fold, j *journal, model map[string]map[string]string) {
	if err := f.To(t.Context(), fold.ToTheEnd); err != nil {
		t.Fatal(err)
	}
	if at := f.Position(); at.To != j.to || at.Digest != j.digest || f.Epoch() != j.epoch || f.Items() != j.to {
		t.Fatalf("it stands at %+v, epoch %d, the journal at %+v", at, f.Epoch(), j)
	}
	for name, want := range model {
		if got := rows(f, name); !maps.Equal(got, want) || f.Len(name) != len(want) {
			t.Fatalf("table %s is %q (%d), want %q", name, got, f.Len(name), want)
		}
		for field, value := range want {
			if got, found := f.Row(name, field); !found || got != value || !f.Same(name, field, value) {
				t.Fatalf("%s %q is %q (%v), want %q", name, field, got, found, value)
			}
			if f.Same(name, field, value+"0") {
				t.Fatalf("%s %q is the same as something else", name, field)
			}
		}
	}
}

// TestFoldStopsWhereItIsTold folds up to positions, and no further, and goes on from there.
func TestFoldStopsWhereItIsTold(t *testing.T) {
	t.Parallel()
	j := &journal{}
	j.takeover()
	for i := range 10 {
		j.entry(t, &schemas.Change{Table: "x", Field: "sum", Value: strconv.Itoa(i)})
	}
	f := fold.New(j, "entries", 0)
	for _, at := range []int64{0, 1, 4, 4, 7} {
		if err := f.To(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if f.Position().To != at {
			t.Errorf("it stands at %d, want %d", f.Position().To, at)
		}
		if sum, found := f.Row("x", "sum"); found != (at > 0) || found && sum != strconv.FormatInt(at-1, 10) {
			t.Errorf("at %d the sum is %q", at, sum)
		}
	}
	if next, ok := f.Following(); !ok || next != 8 {
		t.Errorf("the entry after it ends at %d, %v", next, ok)
	}
	if p := f.Position(); p.Next != 8 || p.Epoch != 0 || p.History != "history0" {
		t.Errorf("the journal goes on at %+v", p)
	}
}

// TestFoldOfABrokenJournalSaysSo has an item that another digest names, and one that cannot be read.
func TestFoldOfABrokenJournalSaysSo(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(r *pipeline.Record){
		"another value": func(r *pipeline.Record) {
			r.Value = []byte(strings.Replace(string(r.Value), "good", "food", 1))
		},
		"no item": func(r *pipeline.Record) { r.Value = []byte("\xff\xff") },
		"no body": func(r *pipeline.Record) { r.Value = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{}
			j.takeover()
			j.entry(t, &schemas.Change{Table: "x", Field: "a", Value: "good"})
			breaks(&j.records[1])
			f := fold.New(j, "entries", 0)
			err := f.To(t.Context(), fold.ToTheEnd)
			broken := (*fold.BrokenError)(nil)
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), "entries/0/1") {
				t.Errorf("To = %v", err)
			}
			if _, found := f.Row("x", "a"); found {
				t.Error("what was broken was folded")
			}
		})
	}
}

// TestUnseen visits what nobody has seen since it was written, once.
func TestUnseen(t *testing.T) {
	t.Parallel()
	j := &journal{}
	j.takeover()
	j.entry(t, &schemas.Change{Table: "x", Field: "a", Value: "1"}, &schemas.Change{Table: "x", Field: "b", Value: "2"},
		&schemas.Change{Table: "x", Field: "c", Value: "3"})
	f := fold.New(j, "entries", 0)
	unseen := func() (fields string) {
		if err := f.To(t.Context(), fold.ToTheEnd); err != nil {
			t.Fatal(err)
		}
		_ = f.Unseen("x", func(field string) error {
			fields += field
			return nil
		})
		return fields
	}
	if err := f.To(t.Context(), fold.ToTheEnd); err != nil {
		t.Fatal(err)
	}
	f.Same("x", "a", "1")
	f.Same("x", "b", "1")
	f.Same("x", "c", "3")
	if got := unseen(); got != "b" {
		t.Errorf("unseen are %q, want b", got)
	}
	j.entry(t, &schemas.Change{Table: "x", Field: "c", Value: "4"})
	if got := unseen(); got != "c" {
		t.Errorf("unseen are %q, want c", got)
	}
}
