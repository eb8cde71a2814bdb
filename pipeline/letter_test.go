package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestDeadLetterKeepsWhatItCan(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte{0xff}, 5<<20)
	many := make([]pipeline.Header, 1<<20)
	sum := fmt.Sprintf("%x", sha256.Sum256(large))
	tests := map[string]struct {
		record pipeline.Record
		reason string
		whole  bool
		want   []string // parts of the reason
	}{
		"nothing at all": {pipeline.Record{}, "", true, []string{"nobody says why"}},
		"a record of a megabyte": {
			pipeline.Record{Value: large[:1<<20], Headers: []pipeline.Header{{Key: "a", Value: large[:9]}}},
			"no bytes", true,
			[]string{"no bytes"},
		},
		"as much as can be kept": {
			pipeline.Record{Key: large[:1<<19], Value: large[:1<<20]}, "no bytes", true, []string{"no bytes"},
		},
		"one byte more": {
			pipeline.Record{Key: large[:1<<19], Value: large[:1<<20+1]},
			"no bytes", false,
			[]string{"no bytes; the value of 1048577 bytes is cut"},
		},
		"a large value": {
			pipeline.Record{Key: []byte("k"), Value: large},
			strings.Repeat("é", 5000), false,
			[]string{"é; the value of 5242880 bytes is cut, its sha256 is " + sum},
		},
		"a large key": {
			pipeline.Record{Key: large, Value: large},
			"no bytes", false,
			[]string{"the key of 5242880 bytes is cut, its sha256 is " + sum, "the value of 5242880 bytes"},
		},
		"a large header": {
			pipeline.Record{Headers: []pipeline.Header{{Key: "a"}, {Key: "b", Value: large}, {Key: "c"}}},
			"no bytes", false,
			[]string{"the 3 headers of 5242883 bytes are cut"},
		},
		"a large header's key": {
			pipeline.Record{Headers: []pipeline.Header{{Key: string(bytes.Repeat([]byte("é\xff"), 1<<20))}}},
			"no bytes", false,
			[]string{"the 1 headers of 3145728 bytes are cut"},
		},
		"many headers": {
			pipeline.Record{Headers: many, Value: []byte("v")},
			"no bytes", false,
			[]string{"the 1048576 headers of 0 bytes are cut", "the value of 1 bytes"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.record.Topic = schemas.TopicMovements
			kept := letterOf(t, test.record, test.reason).GetOriginal()
			if whole := isWhole(kept, test.record); whole != test.whole {
				t.Errorf("it is kept whole: %t, want %t", whole, test.whole)
			}
			for _, part := range test.want {
				if !strings.Contains(kept.GetReason(), part) {
					t.Errorf("the reason is %q, want %q in it", kept.GetReason(), part)
				}
			}
			if test.whole && strings.Contains(kept.GetReason(), "cut") {
				t.Errorf("the reason is %q, and nothing was cut", kept.GetReason())
			}
		})
	}
}

func isWhole(kept *schemas.Unreadable, r pipeline.Record) bool {
	whole := bytes.Equal(kept.GetKey(), r.Key) && bytes.Equal(kept.GetValue(), r.Value) &&
		len(kept.GetHeaders()) == len(r.Headers)
	for i, h := range kept.GetHeaders() {
		whole = whole && h.GetKey() == r.Headers[i].Key && bytes.Equal(h.GetValue(), r.Headers[i].Value)
	}
	return whole
}

// letterOf writes and reads the record's dead letter, and asks that a journal can keep the same.
func letterOf(t *testing.T, r pipeline.Record, reason string) *schemas.DeadLetter {
	t.Helper()
	record := pipeline.DeadLetter("test", r, reason)
	m, err := schemas.Decode(record.Headers, record.Value)
	letter, ok := m.Body.(*schemas.DeadLetter)
	if err != nil || !ok {
		t.Fatalf("Decode() = %T, %v", m.Body, err)
	}
	dead, _ := schemas.TopicOf(schemas.TopicDeadLetters)
	if record.Topic != dead.Name || record.Size() > dead.MaxMessageBytes-1<<10 {
		t.Fatalf("the dead letter has %d bytes, %s takes %d", record.Size(), record.Topic, dead.MaxMessageBytes)
	}
	again := pipeline.Letter(r.Topic, r.Partition, r.Offset, pipeline.UnreadableOf(r, reason))
	if again.ID != m.ID || !proto.Equal(again.Body, letter) {
		t.Fatalf("Letter() = %s %v, want %s %v", again.ID, again.Body, m.ID, letter)
	}
	return letter
}

// What is kept is never longer than what was read and a bound: a book counts on it when it measures its entries.
func TestUnreadableAddsLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		some := rapid.SliceOfN(rapid.Byte(), 0, 100)
		record := pipeline.Record{Key: some.Draw(r, "key"), Value: some.Draw(r, "value")}
		for range rapid.IntRange(0, 20).Draw(r, "headers") {
			record.Headers = append(record.Headers, pipeline.Header{
				Key: string(some.Draw(r, "header")), Value: some.Draw(r, "header's value"),
			})
		}
		u := pipeline.UnreadableOf(record, strings.Repeat("long ", 1000))
		if got, limit := proto.Size(u), record.Size()+1<<10; got > limit {
			r.Fatalf("%d bytes are kept of %d", got, record.Size())
		}
		if err := schemas.Validate(pipeline.Letter("movements", 1, 1, u).Body); err != nil {
			r.Fatal(err)
		}
	})
}
