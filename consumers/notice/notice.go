// Package notice delivers what somebody is told.
//
//	reads   notices, notice-retries, and the newest directory
//	effect  posts to the webhooks of the recipients that have one; the inbox of everybody is the topic itself, which
//	        recipients read by their key
//	emits   receipts, notice-retries
//
// A notice is delivered at least once: one that a webhook took just before the process died is posted again, under
// the same webhook-id. Webhooks come in no order; the inbox has one. What a webhook did not take after GiveUpAfter
// has a receipt that says so.
package notice

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const stageName = "notice"

// Stage delivers notices into the inbox, where they are already: it gives the receipts on which a next leg rests. That
// a notice stands in the inbox says the topic itself. See Courier for webhooks.
func Stage() pipeline.Stage {
	return pipeline.Stage{
		Name: stageName, Reads: []string{schemas.TopicNotices}, Follow: Deliver,
		Concerns: func(r pipeline.Record) bool {
			goesOn, ok := schemas.GlanceNotice(r.Headers, r.Key, r.Value)
			return goesOn || !ok
		},
	}
}

// Deliver returns the receipt of a notice that goes to others next: the same for the same notice.
func Deliver(in pipeline.In) ([]pipeline.Out, error) {
	n, ok := in.Body.(*schemas.Notice)
	if !ok {
		panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body)) // a dead letter
	}
	if len(n.GetThen()) == 0 {
		return nil, nil
	}
	return []pipeline.Out{{
		Topic: schemas.TopicReceipts,
		ID:    receiptID(in.ID),
		Body:  receiptOf(in.ID, n, schemas.Delivery_DELIVERY_UNSPECIFIED),
	}}, nil
}

func receiptID(notice string) string { return schemas.DeriveID("receipt", notice) }

func receiptOf(id string, n *schemas.Notice, how schemas.Delivery) *schemas.Receipt {
	return &schemas.Receipt{NoticeId: id, Notice: n, Delivery: how}
}
