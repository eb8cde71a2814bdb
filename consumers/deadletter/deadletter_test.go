package deadletter_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/deadletter"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestStageKeepsWhatNoBookCouldRead(t *testing.T) {
	t.Parallel()
	d := &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_UNREADABLE}
	original := pipeline.UnreadableOf(pipeline.Record{
		Key: []byte{0xff}, Value: []byte("bytes"), Headers: []pipeline.Header{{Key: "a", Value: []byte{0}}},
	}, "it is no message")
	tests := map[string]struct {
		journal, commands string
		body              proto.Message
	}{
		"movement": {
			schemas.TopicEntries,
			schemas.TopicMovements,
			&schemas.Entry{Decision: d, Unreadable: original},
		},
		"request": {
			schemas.TopicPreIssues, schemas.TopicIssuanceRequests,
			&schemas.PreIssue{Decision: d, Unreadable: original},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 2 {
				records, err := pipeline.Follows(deadletter.Stage(), item(test.journal, test.body))
				if err != nil || len(records) != 1 || string(records[0].Key) != test.commands+"/3/7" {
					t.Fatalf("Follows() = %v, %v, want one letter", records, err)
				}
				got, err := schemas.Decode(records[0].Headers, records[0].Value)
				want := &schemas.DeadLetter{Topic: test.commands, Partition: 3, Offset: 7, Original: original}
				id := schemas.DeriveID("dead-letter", test.commands, "3", "7")
				if err != nil || got.ID != id || !proto.Equal(got.Body, want) {
					t.Errorf("got %v %v, want %v", got, err, want)
				}
			}
		})
	}
}

func TestStageLeavesTheRest(t *testing.T) {
	t.Parallel()
	d := &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_REFUSED, Reason: schemas.Reason_REASON_STALE}
	for topic, body := range map[string]proto.Message{
		schemas.TopicEntries:   &schemas.Entry{Decision: d},
		schemas.TopicPreIssues: &schemas.PreIssue{Decision: d},
	} {
		records, err := pipeline.Follows(deadletter.Stage(), item(topic, body))
		if err != nil || len(records) != 0 {
			t.Errorf("Follows(%s) = %v, %v, want nothing", topic, records, err)
		}
	}
}

func item(topic string, body proto.Message) pipeline.In {
	return pipeline.In{
		Attributes: schemas.Attributes{
			ID:     "item",
			Source: "/aval/ledger",
			Time:   time.Unix(1790000000, 0).UTC(),
		},
		Topic: topic, Partition: 3, Offset: 99, Body: body,
	}
}
