package pipeline_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/aval-systems/aval/pipeline"
)

// journal writes a journal as owners do: its records have the offsets at which they stand.
type journal []pipeline.Record

func (j *journal) add(value string, headers ...pipeline.Header) {
	*j = append(*j, pipeline.Record{
		Topic: "entries", Offset: int64(len(*j)), Value: []byte(value), Headers: headers,
	})
}

// takeover returns the epoch.
func (j *journal) takeover(history string) int64 {
	j.add("", pipeline.Header{Key: pipeline.TakeoverHeader, Value: []byte(history)})
	return int64(len(*j) - 1)
}

func (j *journal) entry(epoch, from, to int64, digest string) {
	e := pipeline.Entry{Epoch: epoch, From: from, To: to, Digest: digest}
	header := pipeline.Header{Key: pipeline.EntryHeader, Value: pipeline.EntryHeaderValue(e, int(to-from))}
	j.add(strconv.FormatInt(from, 10), header)
	for i := from + 1; i < to; i++ {
		j.add(strconv.FormatInt(i, 10))
	}
}

// contested is a journal in which two former owners wrote too late, one owner wrote what does not continue, and
// somebody wrote what nobody knows.
func contested() journal {
	var j journal
	first := j.takeover("h1")
	j.entry(first, 0, 3, "d1")
	second := j.takeover("h2")
	j.entry(first, 3, 5, "late")
	j.entry(second, 3, 4, "d2")
	j.add("what nobody knows")
	j.entry(first, 4, 6, "late-too")
	third := j.takeover("h3")
	j.entry(second, 4, 6, "late-as-well")
	j.entry(third, 5, 6, "elsewhere")
	j.entry(third, 4, 8, "d3")
	j.add("broken", pipeline.Header{Key: pipeline.EntryHeader, Value: []byte("7 no header")})
	j.entry(third, 8, 9, "d4")
	return j
}

func digests(entries []pipeline.Entry) []string {
	var d []string
	for _, e := range entries {
		d = append(d, e.Digest)
	}
	return d
}

func TestOnlyEntriesThatContinueUnderTheLatestTakeoverCount(t *testing.T) {
	t.Parallel()
	records := contested()
	var reader pipeline.Journal
	entries := reader.Read(records)
	if got, want := digests(entries), []string{"d1", "d2", "d3", "d4"}; !slices.Equal(got, want) {
		t.Errorf("entries %v count, want %v", got, want)
	}
	if reader.To != 9 || reader.Digest != "d4" || reader.History != "h1" {
		t.Errorf("the reader stands at %v", reader.Position)
	}
	counted := 0
	for _, e := range entries {
		counted += len(e.Records)
		if int64(len(e.Records)) != e.To-e.From {
			t.Errorf("the entry [%d, %d) has %d records", e.From, e.To, len(e.Records))
		}
	}
	if got, want := reader.Skipped, len(records)-3-counted; got != want {
		t.Errorf("%d records were skipped, want %d", got, want)
	}
}

// A batch may end anywhere, be brought again after it was read, and be followed by another process that knows
// no more than what was committed.
func TestReadingGoesOnWhereverItWasCut(t *testing.T) {
	t.Parallel()
	records := contested()
	for cut := range len(records) + 1 {
		var reader pipeline.Journal
		first := reader.Read(records[:cut])
		again := reader // the batch is read by a copy, which is dropped
		again.Read(records[cut:])
		rest := reader.Read(records[cut:])
		want := []string{"d1", "d2", "d3", "d4"}
		if got := slices.Concat(digests(first), digests(rest)); !slices.Equal(got, want) {
			t.Errorf("cut at %d: entries %v count, want %v", cut, got, want)
		}
		for _, e := range rest {
			if int64(len(e.Records)) != e.To-e.From {
				t.Errorf("cut at %d: the entry [%d, %d) has %d records", cut, e.From, e.To, len(e.Records))
			}
		}

		var before pipeline.Journal
		done := before.Read(records[:cut])
		position, ok := pipeline.ParsePosition(before.Mark().Metadata)
		if cut == 0 {
			continue // nobody commits nothing
		}
		if !ok || position.Next != before.Mark().Offset {
			t.Fatalf("cut at %d: the mark %v cannot be read", cut, before.Mark())
		}
		after := pipeline.Journal{Position: position}
		if got := slices.Concat(digests(done), digests(after.Read(records[position.Next:]))); !slices.Equal(got, want) {
			t.Errorf("resumed at %d: entries %v count, want %v", cut, got, want)
		}
	}
}

func TestPositionsSurviveACommit(t *testing.T) {
	t.Parallel()
	for _, p := range []pipeline.Position{
		{Next: 3, Epoch: -1},
		{Next: 12, Epoch: 7, To: 5, Digest: "abc", History: "def"},
	} {
		if got, ok := pipeline.ParsePosition(p.String()); !ok || got != p {
			t.Errorf("ParsePosition(%q) = %v, %v", p, got, ok)
		}
	}
	for _, text := range []string{"", "x", "2 1 1 1 a b", "1 1 1 1 a"} {
		if _, ok := pipeline.ParsePosition(text); ok {
			t.Errorf("ParsePosition(%q) knows it", text)
		}
	}
}

func TestAnswersAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	answer := "done\taccounts\tA/1\tdeposit BRL\tholds\th\t\nrefused insufficient\nrepeat\n" +
		"repeat insufficient\nconflict\n" +
		"conflict terms\nunreadable\ndone\tseen0\t\t"
	decisions, err := pipeline.ParseAnswer(answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := pipeline.Answer(decisions); got != answer {
		t.Errorf("Answer gives %q, want %q", got, answer)
	}
	for _, text := range []string{"", "perhaps", "done\tx", "refused because", "done\ta\tb\tc\td"} {
		if _, err := pipeline.ParseAnswer(text); err == nil {
			t.Errorf("ParseAnswer(%q) gives no error", text)
		}
	}
}
