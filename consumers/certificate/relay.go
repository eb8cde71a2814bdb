package certificate

import (
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Relay hands pre-issues over, and tells everybody what was decided on them.
//
// A pre-issue goes straight to the buyer, or over the receiving bank and the seller: then each leg follows
// the receipt of the one before. A request that was accepted is told by those who follow its money.
//
//	reads  pre-issues (every item), receipts
//	emits  notices, refusals
func Relay() pipeline.Stage {
	return pipeline.Stage{
		Name: "relay", Reads: []string{schemas.TopicPreIssues, schemas.TopicReceipts},
		Writes: []string{
			schemas.TopicNotices, schemas.TopicRefusals, schemas.TopicDeadLetters,
		},
		Concerns: func(r pipeline.Record) bool {
			if r.Topic == schemas.TopicReceipts {
				return true
			}
			g, ok := schemas.GlanceItem(r.Value)
			return !ok || g.Verb != schemas.VerbRequest || g.Outcome != schemas.Outcome_OUTCOME_DONE
		},
		Follow: func(in pipeline.In) ([]pipeline.Out, error) {
			if in.Topic == schemas.TopicReceipts {
				return followReceipt(bodyOf[*schemas.Receipt](in)), nil
			}
			return followPreIssue(in, bodyOf[*schemas.PreIssue](in)), nil
		},
	}
}

// followReceipt hands what was delivered to the next one. Two receipts of one notice make one.
func followReceipt(receipt *schemas.Receipt) []pipeline.Out {
	told := receipt.GetNotice()
	then := told.GetThen()
	if len(then) == 0 {
		return nil
	}
	next := proto.CloneOf(told) // with what a newer version has added
	next.Recipient, next.Then = then[0], then[1:]
	return []pipeline.Out{tell(receipt.GetNoticeId(), next)}
}

func followPreIssue(in pipeline.In, item *schemas.PreIssue) []pipeline.Out {
	terms := item.GetRequest().GetTerms()
	if terms == nil {
		return nil // unreadable, or a tick
	}
	switch decision := item.GetDecision(); decision.GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE:
		return followDone(in, item.GetRequest())
	case schemas.Outcome_OUTCOME_REFUSED:
		return followLost(in, item.GetRequest(), decision.GetReason())
	case schemas.Outcome_OUTCOME_CONFLICT:
		if item.GetRequest().GetOffer() != nil && decision.GetReason() == schemas.Reason_REASON_TERMS {
			// Another offer of the same invitation stands: a refusal, which names the content, would refuse it too.
			return answerRefused(in.ID, terms, issuingBank(terms), decision.GetReason())
		}
		return followLost(in, item.GetRequest(), schemas.Reason_REASON_CONFLICT)
	case schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_UNREADABLE,
		schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil
}

// followDone tells of the decision to those who did not send it.
func followDone(in pipeline.In, request *schemas.IssuanceRequest) []pipeline.Out {
	terms := request.GetTerms()
	switch request.GetVerb().(type) {
	case *schemas.IssuanceRequest_Offer:
		return []pipeline.Out{tell(in.ID, handOver(terms))}
	case *schemas.IssuanceRequest_Decline:
		return refuseTerms(in.ID, terms, schemas.Reason_REASON_DECLINED, seller(terms), receivingBank(terms))
	case *schemas.IssuanceRequest_Withdraw:
		return refuseTerms(in.ID, terms, schemas.Reason_REASON_WITHDRAWN, buyer(terms))
	case *schemas.IssuanceRequest_Lapse:
		return refuseTerms(in.ID, terms, schemas.Reason_REASON_LAPSED, seller(terms), buyer(terms))
	}
	return nil // a request: funding follows it
}

// handOver is the pre-issue's first leg.
func handOver(terms *schemas.Terms) *schemas.Notice {
	n := noticeOf(terms, buyer(terms), schemas.Subject_SUBJECT_PRE_ISSUE)
	if terms.GetRoute() == schemas.Route_ROUTE_VIA_SELLER {
		n.Recipient = receivingBank(terms)
		n.Then = []*schemas.Recipient{seller(terms), buyer(terms)}
	}
	return n
}

// followLost tells whoever sent what was not accepted. An offer that was not accepted is an invitation that
// leads to nothing, and so a refusal; unless it came too late: what became of it when it came in time stands.
func followLost(in pipeline.In, request *schemas.IssuanceRequest, reason schemas.Reason) []pipeline.Out {
	terms := request.GetTerms()
	var sender *schemas.Recipient
	switch verb := request.GetVerb().(type) {
	case *schemas.IssuanceRequest_Offer:
		if reason != schemas.Reason_REASON_STALE {
			return refuseTerms(in.ID, terms, reason, seller(terms))
		}
		sender = seller(terms)
	case *schemas.IssuanceRequest_Request:
		sender = &schemas.Recipient{Role: schemas.Role_ROLE_BUYER, Id: verb.Request.GetBuyer()}
	case *schemas.IssuanceRequest_Decline:
		sender = &schemas.Recipient{Role: schemas.Role_ROLE_BUYER, Id: verb.Decline.GetBuyer()}
	case *schemas.IssuanceRequest_Withdraw:
		sender = &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: verb.Withdraw.GetSeller()}
	case *schemas.IssuanceRequest_Lapse: // the issuing bank keeps the time of its offers
		sender = issuingBank(terms)
	default:
		return nil
	}
	return answerRefused(in.ID, terms, sender, reason)
}
