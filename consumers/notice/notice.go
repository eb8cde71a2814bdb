// Package notice delivers what somebody is told.
//
//	reads   notices
//	effect  none: the inbox is the topic itself, which its recipients read by their key
//	emits   receipts
package notice

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Stage delivers notices, one message at a time.
func Stage() pipeline.Stage {
	return pipeline.Stage{Name: "notice", Reads: []string{schemas.TopicNotices}, Follow: Deliver}
}

// Deliver returns the receipt of a notice: the same for the same notice.
func Deliver(in pipeline.In) ([]pipeline.Out, error) {
	n, ok := in.Body.(*schemas.Notice)
	if !ok {
		panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body)) // a dead letter
	}
	return []pipeline.Out{{
		Topic: schemas.TopicReceipts,
		ID:    schemas.DeriveID("receipt", in.ID),
		Body:  &schemas.Receipt{NoticeId: in.ID, Notice: n},
	}}, nil
}
