package certificate_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestRelay(t *testing.T) {
	t.Parallel()
	offer := &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Offer{}}
	decline := &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Decline{
		Decline: &schemas.Decline{Buyer: maria},
	}}
	withdraw := &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Withdraw{
		Withdraw: &schemas.Withdraw{Seller: shop},
	}}
	lapse := &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Lapse{}}
	evesRequest := &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Request{
		Request: &schemas.Request{Buyer: "eve", Account: "anything at all"},
	}}
	viaSeller := func(y *schemas.Terms) { y.Route = schemas.Route_ROUTE_VIA_SELLER }
	late := refused(schemas.Reason_REASON_ALREADY_REQUESTED)
	tests := map[string]struct {
		decision *schemas.Decision
		request  *schemas.IssuanceRequest
		change   func(*schemas.Terms)
		want     []string
	}{
		"offered directly": {done(), offer, nil, []string{"notices maria BUYER PRE_ISSUE"}},
		"offered via the seller": {done(), offer, viaSeller, []string{
			"notices AVALBRSP RECEIVING_BANK PRE_ISSUE > SELLER > BUYER",
		}},
		"offered on us via the seller": {done(), offer, func(y *schemas.Terms) {
			viaSeller(y)
			y.IssuingBank = receivingBank
		}, []string{"notices AVALBRSP RECEIVING_BANK PRE_ISSUE > SELLER > BUYER"}},
		"offer again": {repeated(), offer, nil, nil},
		"offer contradicts": {conflict(), offer, nil, []string{
			"refusals INVITATION conflict", "notices shop SELLER REFUSED conflict",
		}},
		"offer of other terms to the same invitation": {otherTerms(), offer, nil, []string{
			"notices PAGABRRJ ISSUING_BANK ANSWER_REFUSED terms",
		}},
		"request twofold, of other terms": {otherTerms(), request(terms()), nil, []string{
			"notices maria BUYER ANSWER_REFUSED conflict",
		}},
		"offer too old": {refused(schemas.Reason_REASON_STALE), offer, nil, []string{
			"notices shop SELLER ANSWER_REFUSED stale",
		}},
		"declined": {done(), decline, nil, []string{
			"refusals INVITATION declined", "notices shop SELLER REFUSED declined",
			"notices AVALBRSP RECEIVING_BANK REFUSED declined",
		}},
		"withdrawn": {done(), withdraw, nil, []string{
			"refusals INVITATION withdrawn", "notices maria BUYER REFUSED withdrawn",
		}},
		"lapsed": {done(), lapse, nil, []string{
			"refusals INVITATION lapsed", "notices shop SELLER REFUSED lapsed",
			"notices maria BUYER REFUSED lapsed",
		}},
		"requested":       {done(), request(terms()), nil, nil},
		"requested again": {repeated(), request(terms()), nil, nil},
		"declined late": {late, decline, nil, []string{
			"notices maria BUYER ANSWER_REFUSED already-requested",
		}},
		"withdrawn late": {late, withdraw, nil, []string{
			"notices shop SELLER ANSWER_REFUSED already-requested",
		}},
		"lapsed late": {late, lapse, nil, []string{
			"notices PAGABRRJ ISSUING_BANK ANSWER_REFUSED already-requested",
		}},
		"request twofold": {conflict(), request(terms()), nil, []string{
			"notices maria BUYER ANSWER_REFUSED conflict",
		}},
		"decline twofold": {conflict(), decline, nil, []string{
			"notices maria BUYER ANSWER_REFUSED conflict",
		}},
		"withdraw twofold": {conflict(), withdraw, nil, []string{
			"notices shop SELLER ANSWER_REFUSED conflict",
		}},
		"lapse twofold": {conflict(), lapse, nil, []string{
			"notices PAGABRRJ ISSUING_BANK ANSWER_REFUSED conflict",
		}},
		"another's request is told to who sent it": {
			refused(schemas.Reason_REASON_BUYER), evesRequest, nil,
			[]string{"notices eve BUYER ANSWER_REFUSED buyer"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, _ := proto.Clone(test.request).(*schemas.IssuanceRequest)
			x.Terms = terms()
			if test.change != nil {
				test.change(x.GetTerms())
			}
			item := &schemas.PreIssue{Decision: test.decision, Id: "c1", Request: x}
			outs := follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item))
			check(t, outs, test.want...)
			for _, out := range outs {
				refusal, ok := out.Body.(*schemas.Refusal)
				if ok && string(refusal.GetContentDigest()) != string(x.GetTerms().GetContentDigest()) {
					t.Error("the refusal is not of the terms' content")
				}
			}
		})
	}
}

// otherTerms is what an offer gets whose content is that of an offer that stands.
func otherTerms() *schemas.Decision {
	d := conflict()
	d.Reason = schemas.Reason_REASON_TERMS
	return d
}

func TestRelayHasNothingToTell(t *testing.T) {
	t.Parallel()
	tests := map[string]*schemas.PreIssue{
		"of a tick": {Decision: done(), Id: "t1", Request: tick()},
		"of what cannot be read": {
			Decision:   unreadable(),
			Unreadable: &schemas.Unreadable{Reason: "no bytes"},
		},
	}
	for name, item := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item)))
			check(t, follow(t, certificate.Funding(outage{}), in(schemas.TopicPreIssues, item)))
		})
	}
}

// TestRelayLegs walks the whole way: each receipt brings the next leg, once, with the same terms.
func TestRelayLegs(t *testing.T) {
	t.Parallel()
	x := terms(func(y *schemas.Terms) { y.Route = schemas.Route_ROUTE_VIA_SELLER })
	item := &schemas.PreIssue{Decision: done(), Id: "o1", Request: &schemas.IssuanceRequest{
		Terms: x, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}}
	leg := only(t, follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item)))
	for _, want := range []string{"notices shop SELLER PRE_ISSUE > BUYER", "notices maria BUYER PRE_ISSUE"} {
		next := only(t, follow(t, certificate.Relay(), receiptOf(leg, "first")))
		check(t, []pipeline.Out{next}, want)
		if again := only(t, follow(t, certificate.Relay(), receiptOf(leg, "second"))); again.ID != next.ID {
			t.Errorf("a second receipt brings the leg %s, want %s again", again.ID, next.ID)
		}
		checkAbout(t, next, x)
		leg = next
	}
	check(t, follow(t, certificate.Relay(), receiptOf(leg, "last")))
}

func TestRelayLegsOfTwoNoticesAreTwo(t *testing.T) {
	t.Parallel()
	x := terms(func(y *schemas.Terms) { y.Route = schemas.Route_ROUTE_VIA_SELLER })
	item := &schemas.PreIssue{Decision: done(), Id: "o1", Request: &schemas.IssuanceRequest{
		Terms: x, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}}
	one := only(t, follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item)))
	two := one
	two.ID = "another"
	a := only(t, follow(t, certificate.Relay(), receiptOf(one, "r1")))
	b := only(t, follow(t, certificate.Relay(), receiptOf(two, "r2")))
	if a.ID == b.ID {
		t.Errorf("both bring the leg %s", a.ID)
	}
}

// A webhook that did not take a leg holds up no other: the inbox has it.
func TestRelayGoesOnWhateverTheDelivery(t *testing.T) {
	t.Parallel()
	item := &schemas.PreIssue{Decision: done(), Id: "o1", Request: &schemas.IssuanceRequest{
		Terms: terms(func(y *schemas.Terms) { y.Route = schemas.Route_ROUTE_VIA_SELLER }),
		Verb:  &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}}
	leg := only(t, follow(t, certificate.Relay(), in(schemas.TopicPreIssues, item)))
	want := only(t, follow(t, certificate.Relay(), receiptOf(leg, "r")))
	for delivery := range schemas.Delivery_name {
		receipt := receiptOf(leg, "r")
		body, _ := receipt.Body.(*schemas.Receipt)
		body.Delivery = schemas.Delivery(delivery)
		got := only(t, follow(t, certificate.Relay(), receipt))
		if got.ID != want.ID || !proto.Equal(got.Body, want.Body) {
			t.Errorf("after %s the next leg is %v, want %v", body.GetDelivery(), got, want)
		}
	}
}

func receiptOf(notice pipeline.Out, id string) pipeline.In {
	n, _ := notice.Body.(*schemas.Notice)
	m := in(schemas.TopicReceipts, &schemas.Receipt{NoticeId: notice.ID, Notice: n})
	m.ID = id
	return m
}
