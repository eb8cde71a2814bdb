package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

var errNotNow = errors.New("not now")

// publisher keeps what it is given; it may fail.
type publisher struct {
	records []pipeline.Record
	fails   error
}

func (p *publisher) Publish(_ context.Context, records []pipeline.Record) error {
	if p.fails != nil {
		return p.fails
	}
	p.records = append(p.records, records...)
	return nil
}

func (p *publisher) topics() []string {
	var topics []string
	for _, r := range p.records {
		topics = append(topics, r.Topic)
	}
	return topics
}

func refusal(t *testing.T, invitation string) pipeline.Record {
	t.Helper()
	r, err := pipeline.Encode(schemas.TopicRefusals, schemas.Message{
		Attributes: schemas.Attributes{ID: invitation, Source: "/test", Time: time.UnixMilli(1e12)},
		Body: &schemas.Refusal{
			InvitationId: invitation, ContentDigest: make([]byte, schemas.DigestSize), Seller: "s", Reference: "r",
			Reason: schemas.Reason_REASON_DECLINED,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Partition = schemas.PartitionOf(r.Key, partitions)
	return r
}

const partitions = 3

// echo is a stage that answers every refusal with itself, and does what the identifiers say.
func echo() pipeline.Stage {
	return pipeline.Stage{
		Name: "echo", Reads: []string{schemas.TopicRefusals},
		Follow: func(in pipeline.In) ([]pipeline.Out, error) {
			switch {
			case strings.HasPrefix(in.ID, "panic"):
				panic("it cannot take this")
			case strings.HasPrefix(in.ID, "later"):
				return nil, errNotNow
			case strings.HasPrefix(in.ID, "huge"):
				return []pipeline.Out{{Topic: schemas.TopicReceipts, ID: "x", Body: &schemas.Receipt{}}}, nil
			}
			return []pipeline.Out{{Topic: schemas.TopicCertificates, ID: in.ID, Body: in.Body}}, nil
		},
	}
}

func follower(p *publisher) *pipeline.Follower {
	return &pipeline.Follower{
		Publisher: p, Partitions: partitions, Logger: slog.New(slog.DiscardHandler),
		IsJournal: func(topic string) bool { return topic == schemas.TopicEntries },
	}
}

// neighbour is a good message that stands in the partition of the bad one.
func neighbour(t *testing.T, bad pipeline.Record, offset int64) pipeline.Record {
	t.Helper()
	for i := 0; ; i++ {
		r := refusal(t, fmt.Sprintf("good-%d-%d", offset, i))
		if r.Partition == bad.Partition {
			r.Offset = offset
			return r
		}
	}
}

// What cannot be read, stands elsewhere, makes the stage panic or makes what cannot be written is a dead letter at
// its own place; its neighbours go on.
func TestABadMessageStopsNobody(t *testing.T) {
	t.Parallel()
	astray := refusal(t, "astray")
	astray.Partition = (astray.Partition + 1) % partitions
	rekeyed := refusal(t, "rekeyed")
	rekeyed.Key = []byte("another")
	keyless := refusal(t, "keyless")
	keyless.Key = nil
	garbled := refusal(t, "garbled")
	garbled.Value = []byte{0xff}
	tests := map[string]pipeline.Record{
		"bytes that say nothing": {Topic: schemas.TopicRefusals, Value: []byte("\x00\x01")},
		"a garbled body":         garbled,
		"another partition":      astray,
		"another key":            rekeyed,
		"no key":                 keyless,
		"a panic":                refusal(t, "panic"),
		"what cannot be written": refusal(t, "huge"),
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &publisher{}
			work := follower(p).Stage(echo())[0]
			bad.Offset = 7
			b := &pipeline.Batch{
				Topic: schemas.TopicRefusals, Partition: bad.Partition,
				Records: []pipeline.Record{neighbour(t, bad, 6), bad, neighbour(t, bad, 8)}, Next: 9,
			}
			if err := work.Handle(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			var letters []*schemas.DeadLetter
			answers := 0
			for _, r := range p.records {
				in, err := pipeline.Decode(r)
				if err != nil {
					t.Fatal(err)
				}
				if letter, ok := in.Body.(*schemas.DeadLetter); ok {
					letters = append(letters, letter)
				} else {
					answers++
				}
			}
			if len(letters) != 1 || letters[0].GetOffset() != bad.Offset {
				t.Fatalf("the dead letters are %v, want one of what stands at %d", letters, bad.Offset)
			}
			if got := letters[0].GetOriginal().GetValue(); string(got) != string(bad.Value) {
				t.Errorf("the letter keeps %q, want %q", got, bad.Value)
			}
			if answers != 2 || b.Mark().Offset != 9 {
				t.Errorf("%d neighbours were answered, committed to %d, want 2 and 9", answers, b.Mark().Offset)
			}
		})
	}
}

// Not now, and a publisher that fails, leave the batch as it was: nothing is committed, and it can come again.
func TestABatchThatFailsComesAgain(t *testing.T) {
	t.Parallel()
	p := &publisher{}
	work := follower(p).Stage(echo())[0]
	later := refusal(t, "later")
	b := &pipeline.Batch{Topic: later.Topic, Partition: later.Partition, Records: []pipeline.Record{later}, Next: 1}
	if err := work.Handle(t.Context(), b); !errors.Is(err, errNotNow) || len(p.records) > 0 {
		t.Errorf("a stage that cannot go on gives %v and publishes %v", err, p.topics())
	}
	p.fails = errNotNow
	good := refusal(t, "good")
	b = &pipeline.Batch{Topic: good.Topic, Partition: good.Partition, Records: []pipeline.Record{good}, Next: 1}
	if err := work.Handle(t.Context(), b); !errors.Is(err, errNotNow) {
		t.Errorf("a publisher that fails gives %v", err)
	}
	p.fails = nil
	err := work.Handle(t.Context(), b)
	if err != nil || !slices.Equal(p.topics(), []string{schemas.TopicCertificates}) {
		t.Errorf("brought again it gives %v and publishes %v", err, p.topics())
	}
}

// A reader of a journal that does not know where its entries stand reads from the beginning, and hands on nothing
// that was done before.
func TestAReaderWithoutMetadataHandsNothingOnTwice(t *testing.T) {
	t.Parallel()
	var records journal
	epoch := records.takeover("h")
	for i := range int64(4) {
		records.entry(epoch, i, i+1, "d")
	}
	var seen []int64
	stage := pipeline.Stage{Name: "watch", Reads: []string{schemas.TopicEntries}}
	p := &publisher{}
	work := follower(p).Stage(stage)[0]
	from, err := work.Config.Resume(t.Context(), schemas.TopicEntries, 0, pipeline.Mark{Offset: 3})
	if err != nil || from != 0 {
		t.Fatalf("resumes at %d, %v, want 0", from, err)
	}
	b := &pipeline.Batch{Topic: schemas.TopicEntries, Records: records, Next: 5}
	if err := work.Handle(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.records { // the items are no messages here: what is handed on becomes dead letters
		in, err := pipeline.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		letter, _ := in.Body.(*schemas.DeadLetter)
		seen = append(seen, letter.GetOffset())
	}
	if !slices.Equal(seen, []int64{3, 4}) {
		t.Errorf("handed on %v, want what stands at 3 and 4", seen)
	}
}

func TestRunStopsEverybodyWithTheFirst(t *testing.T) {
	t.Parallel()
	stopped := false
	err := pipeline.Run(t.Context(),
		func(context.Context) error { return errNotNow },
		func(ctx context.Context) error { <-ctx.Done(); stopped = true; return ctx.Err() })
	if !errors.Is(err, errNotNow) || errors.Is(err, context.Canceled) || !stopped {
		t.Errorf("Run gives %v, stopped the other: %v", err, stopped)
	}
}
