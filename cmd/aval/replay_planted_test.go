package main_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	stages "github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

func headerOf(r pipeline.Record, name string) (string, bool) {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value), true
		}
	}
	return "", false
}

func withHeader(r pipeline.Record, name, value string) pipeline.Record {
	r.Headers = slices.Clone(r.Headers)
	for i, h := range r.Headers {
		if h.Key == name {
			r.Headers[i].Value = []byte(value)
		}
	}
	return r
}

// flipped is the record with one bit of its last byte changed.
func flipped(r pipeline.Record) pipeline.Record {
	r.Value = bytes.Clone(r.Value)
	r.Value[len(r.Value)-1] ^= 1
	return r
}

// copied is a log in memory, in which records may be missing.
type copied map[string][][]pipeline.Record

// copyOf copies a system's log.
func copyOf(t *testing.T, log *client) copied {
	t.Helper()
	c := copied{}
	for _, topic := range schemas.Topics() {
		c[topic.Name] = records(t, log, topic.Name)
	}
	return c
}

func (c copied) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	if all := c[topic][partition]; len(all) > 0 {
		return 0, all[len(all)-1].Offset + 1, nil
	}
	return 0, 0, nil
}

func (c copied) Read(
	_ context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	for some := range slices.Chunk(c[topic][partition], 100) {
		some = slices.DeleteFunc(slices.Clone(some), func(r pipeline.Record) bool {
			return r.Offset < from || r.Offset >= end
		})
		if err := visit(some); err != nil {
			return err
		}
	}
	return nil
}

// At implements certificate.Directories.
func (c copied) At(version uint64) (*stages.Directory, error) {
	for _, r := range c[schemas.TopicDirectory][0] {
		if in, err := pipeline.Decode(r); err == nil && uint64(r.Offset)+1 == version {
			if body, ok := in.Body.(*schemas.Directory); ok {
				return stages.NewDirectory(body), nil
			}
		}
	}
	return nil, stages.ErrNoVersion
}

// of finds the last record of a topic that a source wrote and that is wanted, to change it.
func (c copied) of(t *testing.T, topic, source string, want func(pipeline.Record) bool) *pipeline.Record {
	t.Helper()
	for p := range c[topic] {
		for i := len(c[topic][p]) - 1; i >= 0; i-- {
			r := &c[topic][p][i]
			if from, _ := headerOf(*r, schemas.HeaderSource); from == source && (want == nil || want(*r)) {
				return r
			}
		}
	}
	t.Fatalf("%s has nothing of %s", topic, source)
	return nil
}

// add adds a record at the end of a partition.
func (c copied) add(r pipeline.Record, partition int) {
	all := c[r.Topic][partition]
	r.Partition, r.Offset = partition, all[len(all)-1].Offset+1
	c[r.Topic][partition] = append(all, r)
}

// remove leaves a gap where the record stood.
func (c copied) remove(r *pipeline.Record) {
	c[r.Topic][r.Partition] = slices.DeleteFunc(c[r.Topic][r.Partition], func(x pipeline.Record) bool {
		return x.Offset == r.Offset
	})
}

// clone is a copy that can be changed by itself.
func (c copied) clone() copied {
	other := copied{}
	for topic, partitions := range c {
		for _, all := range partitions {
			other[topic] = append(other[topic], slices.Clone(all))
		}
	}
	return other
}

// differences replays the stage certificate over all that is copied.
func (c copied) differences(t *testing.T) (found []replay.Difference) {
	t.Helper()
	entries := c[schemas.TopicEntries]
	config := replay.Config{
		Log: c, Stage: stages.Certificate(stages.Blank{}), Partitions: len(entries),
		IsJournal: func(topic string) bool { return topic == schemas.TopicEntries },
		Seals:     stages.Seals{Directories: c}, Ranges: map[string][]replay.Range{}, TempDir: t.TempDir(),
		Memory: 1, // as little as it can do with
	}
	for p := range entries {
		_, end, _ := c.Bounds(t.Context(), schemas.TopicEntries, p)
		config.Ranges[schemas.TopicEntries] = append(config.Ranges[schemas.TopicEntries], replay.Range{To: end})
	}
	x, err := replay.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close() //nolint:errcheck // the folder ends with the test
	if err := x.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = x.Compare(t.Context(), func(d replay.Difference) error {
		found = append(found, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// bookDifferences replays the accounts book.
func (c copied) bookDifferences(t *testing.T) (found []replay.Difference) {
	t.Helper()
	client := localtest.RedisClient(t, miniredis.RunT(t).Addr())
	x := &book.Replay{
		Book: ledger.Book{}, Store: book.NewStore(client, "replay", ledger.Book{}), Log: c,
		Partitions: len(c[schemas.TopicEntries]), Progress: func(int) {},
		Report: func(d replay.Difference) error { found = append(found, d); return nil },
	}
	for p := range x.Partitions {
		_, end, _ := c.Bounds(t.Context(), schemas.TopicMovements, p)
		if _, _, err := x.Shard(t.Context(), p, book.ReplayRange{To: end, Done: end}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestPlantedDifferences changes a log in each way that there is, and expects that the change is found and nothing
// else.
func TestPlantedDifferences(t *testing.T) {
	t.Parallel()
	j := newJob(t, sampleOf(t, 6, sample.RowsMin), sample.Funds)
	at := embeddedPlace(j.path("data"))
	j.judge(t, start(t, j.args(at.flags...)...))
	var whole copied
	at.look(t, func(log *client) { whole = copyOf(t, log) })
	const stage = "/aval/certificate"
	first := func(d pipeline.Record) string { return fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset) }
	resigned := func(c copied, topic string) *pipeline.Record {
		return c.of(t, topic, stage, func(r pipeline.Record) bool { return bytes.Contains(r.Value, []byte("eyJ")) })
	}
	sign := func(r *pipeline.Record) { // another signature of the same form
		jws := r.Value[bytes.Index(r.Value, []byte("eyJ")):]
		points := 0
		at := bytes.IndexFunc(jws, func(c rune) bool { points += strings.Count(".", string(c)); return points == 2 })
		*r = pipeline.Record{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Headers: r.Headers,
			Value: bytes.Replace(r.Value, jws[at:at+9], []byte(".AAAAAAAA"), 1),
		}
	}
	tests := map[string]struct {
		change func(c copied) string // returns where the difference should be, or nothing
		book   bool
		says   string
	}{
		"nothing":             {func(copied) string { return "" }, false, ""},
		"nothing in the book": {func(copied) string { return "" }, true, ""},
		"a follow is missing": {func(c copied) string {
			r := c.of(t, schemas.TopicNotices, stage, nil)
			cause, _ := pipeline.CauseOf(*r)
			c.remove(r)
			return cause.String()
		}, false, "that follows is missing"},
		"one too many": {func(c copied) string {
			r := withHeader(*c.of(t, schemas.TopicNotices, stage, nil), schemas.HeaderID, "forged")
			c.add(r, r.Partition)
			all := c[r.Topic][r.Partition]
			return first(all[len(all)-1])
		}, false, "does not follow"},
		"of a cause that is not there": {func(c copied) string {
			r := withHeader(*c.of(t, schemas.TopicNotices, stage, nil), schemas.HeaderCause, "forged")
			r = withHeader(r, pipeline.CauseHeader, "entries/0/99999999")
			c.add(r, r.Partition)
			all := c[r.Topic][r.Partition]
			return first(all[len(all)-1])
		}, false, "is not there"},
		"one byte": {func(c copied) string {
			r := c.of(t, schemas.TopicRefusals, stage, nil)
			*r = flipped(*r)
			return first(*r)
		}, false, " is "},
		"a header": {func(c copied) string {
			r := c.of(t, schemas.TopicRefusals, stage, nil)
			*r = withHeader(*r, schemas.HeaderTime, "2001-01-01T00:00:00Z")
			return first(*r)
		}, false, "header ce_time"},
		"a signature": {func(c copied) string {
			r := resigned(c, schemas.TopicCertificates)
			sign(r)
			return first(*r)
		}, false, "the signature does not verify"},
		"a notice's signature": {func(c copied) string {
			r := resigned(c, schemas.TopicNotices)
			sign(r)
			return first(*r)
		}, false, "another than its certificate's"},
		"another partition": {func(c copied) string {
			r := *c.of(t, schemas.TopicNotices, stage, nil)
			c.remove(&r)
			to := (r.Partition + 1) % len(c[r.Topic])
			c.add(r, to)
			all := c[r.Topic][to]
			return first(all[len(all)-1])
		}, false, "its key belongs to"},
		"a repeat": {func(c copied) string {
			r := *c.of(t, schemas.TopicNotices, stage, nil)
			c.add(r, r.Partition)
			return ""
		}, false, ""},
		"another place": {func(c copied) string {
			r := *c.of(t, schemas.TopicCertificates, stage, nil)
			c.remove(&r)
			c.add(r, r.Partition)
			return ""
		}, false, ""},
		"an item of a journal": {func(c copied) string {
			r := c.of(t, schemas.TopicEntries, "/aval/accounts", nil)
			*r = withHeader(*r, schemas.HeaderTime, "2001-01-01T00:00:00Z")
			return first(*r)
		}, true, "header ce_time"},
		"a decision": {func(c copied) string {
			r := c.of(t, schemas.TopicEntries, "/aval/accounts", nil)
			*r = decidedOtherwise(t, *r)
			return first(*r)
		}, true, "decision.outcome is OUTCOME_CONFLICT"},
		"the end of a journal": {func(c copied) string {
			r := *c.of(t, schemas.TopicEntries, "/aval/accounts", nil)
			c.remove(&r)
			return first(r)
		}, true, "entries are missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := whole.clone()
			want := test.change(c)
			found := c.differences
			if test.book {
				found = c.bookDifferences
			}
			all := found(t)
			if want == "" && len(all) > 0 || want != "" && len(all) != 1 {
				t.Fatalf("found %+v, want %q", all, want)
			}
			for _, d := range all {
				place := fmt.Sprintf("%s/%d/%d", d.Topic, d.Partition, d.Offset)
				if place != want || !strings.Contains(d.What, test.says) {
					t.Errorf("found %+v, want %s, that %q", d, want, test.says)
				}
			}
		})
	}
}

// decidedOtherwise is the item with another decision.
func decidedOtherwise(t *testing.T, r pipeline.Record) pipeline.Record {
	t.Helper()
	entry := &schemas.Entry{}
	if err := schemas.Unmarshal(r.Value, entry); err != nil {
		t.Fatal(err)
	}
	entry.GetDecision().Outcome = schemas.Outcome_OUTCOME_CONFLICT
	value, err := schemas.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	r.Value = value
	return r
}
