package certificate_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// What each stage costs for one certificate: reading the record, what follows from it, writing that.
func BenchmarkStages(b *testing.B) {
	x := invitation()
	asked := &schemas.PreIssue{Decision: done(), Id: "r1", Request: request(terms())}
	vouch := pipeline.Out{}
	if outs, err := certificate.Invitation().Follow(in(schemas.TopicInvitations, x)); err == nil {
		vouch = outs[0]
	}
	hold := pipeline.Out{}
	if outs, err := certificate.Funding(directories{1}).Follow(in(schemas.TopicPreIssues, asked)); err == nil {
		hold = outs[0]
	}
	offered := &schemas.PreIssue{Decision: done(), Id: "o1", Request: &schemas.IssuanceRequest{
		Terms: terms(), Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}}
	for _, test := range []struct {
		stage pipeline.Stage
		topic string
		body  proto.Message
	}{
		{certificate.Invitation(), schemas.TopicInvitations, x},
		{certificate.Routing(directories{1}), schemas.TopicEntries, answer(done(), vouch)},
		{certificate.Relay(), schemas.TopicPreIssues, offered},
		{certificate.Funding(directories{1}), schemas.TopicPreIssues, asked},
		{certificate.Certificate(keys(b)), schemas.TopicEntries, answer(done(), hold)},
	} {
		b.Run(test.stage.Name, func(b *testing.B) {
			m := in(test.topic, test.body)
			record, err := pipeline.Encode(m.Topic, schemas.Message{Attributes: m.Attributes, Body: m.Body})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				m, err := pipeline.Decode(record)
				if err != nil {
					b.Fatal(err)
				}
				records, err := pipeline.Follows(test.stage, m)
				if err != nil || len(records) == 0 {
					b.Fatalf("%d records follow, %v", len(records), err)
				}
			}
		})
	}
}
