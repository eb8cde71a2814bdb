package notice_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestDeliverReturnsTheReceipt(t *testing.T) {
	t.Parallel()
	n := &schemas.Notice{
		Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_BUYER, Id: "maria"},
		Subject:   schemas.Subject_SUBJECT_REFUSED, InvitationId: "i1",
		Reason: schemas.Reason_REASON_INSUFFICIENT,
		Then:   []*schemas.Recipient{{Role: schemas.Role_ROLE_BUYER, Id: "paula"}},
	}
	in := pipeline.In{
		Attributes: schemas.Attributes{ID: "n1", Source: "/aval/test", Time: time.Unix(1790000000, 0).UTC()},
		Topic:      schemas.TopicNotices, Body: n,
	}
	for range 2 {
		records, err := pipeline.Follows(notice.Stage(), in)
		if err != nil || len(records) != 1 || string(records[0].Key) != "i1" ||
			records[0].Topic != schemas.TopicReceipts {
			t.Fatalf("Follows() = %v, %v, want one receipt", records, err)
		}
		got, err := schemas.Decode(records[0].Headers, records[0].Value)
		want := &schemas.Receipt{NoticeId: "n1", Notice: n}
		if err != nil || got.ID != schemas.DeriveID("receipt", "n1") || !proto.Equal(got.Body, want) {
			t.Errorf("got %v %v, want %v", got, err, want)
		}
	}
}

// Nothing rests on the receipt of a notice that goes to nobody else: that the inbox has it says the topic.
func TestTheInboxNeedsNoReceipt(t *testing.T) {
	t.Parallel()
	in := pipeline.In{
		Attributes: schemas.Attributes{ID: "n1", Source: "/aval/test", Time: time.Unix(1790000000, 0).UTC()},
		Topic:      schemas.TopicNotices,
		Body: &schemas.Notice{
			Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_ISSUING_BANK, Id: "PAGABRRJ"},
			Subject:   schemas.Subject_SUBJECT_ANSWER_REFUSED, CommandId: "m1", Account: "PAGABRRJ/1",
			Reason: schemas.Reason_REASON_EXCESS,
		},
	}
	records, err := pipeline.Follows(notice.Stage(), in)
	if err != nil || len(records) != 0 {
		t.Errorf("Follows() = %v, %v, want none", records, err)
	}
	record, err := pipeline.Encode(in.Topic, schemas.Message{Attributes: in.Attributes, Body: in.Body})
	if err != nil || notice.Stage().Concerns(record) {
		t.Errorf("Concerns() of a notice without next legs = true, %v", err)
	}
}

func TestStageReadsNotices(t *testing.T) {
	t.Parallel()
	if s := notice.Stage(); s.Name != "notice" || len(s.Reads) != 1 || s.Reads[0] != schemas.TopicNotices {
		t.Errorf("got %s %v", s.Name, s.Reads)
	}
}
