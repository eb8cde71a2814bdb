package preissue_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// ask is an issuance request as tests write it.
type ask struct {
	verb       string
	id         string
	invitation string // i1 where it is left out
	change     func(*schemas.Terms)
	by         string // the buyer or seller who sends it; the terms' own where it is left out
	account    string // the issuing account; one of the issuing bank where it is left out
	at         int64  // the request's own time, ms
	due        int64  // until when the buyer may request, ms, or never
	keep       int64  // of a tick: the retention, ms
}

const (
	buyer, seller = "buyer", "seller"
	issuing       = "AVALBRSP/0001"
	receiving     = "AVALJPJT/0002"
	never         = -1
)

func terms(invitation string) *schemas.Terms {
	return &schemas.Terms{
		InvitationId: invitation, ContentDigest: make([]byte, schemas.DigestSize), Seller: seller,
		Reference: "R 1", Buyer: buyer, Amount: &schemas.Money{MinorUnits: 17720, Currency: "BRL"},
		Funding: schemas.Funding_FUNDING_DEPOSIT, ReceivingBank: "AVALJPJT", ReceivingAccount: receiving,
		IssuingBank: "AVALBRSP", AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		Route: schemas.Route_ROUTE_DIRECT, KeyId: "k1", DirectoryVersion: 1,
	}
}

// confirmed has the terms pre-fill the issuing account.
func confirmed(t *schemas.Terms) {
	t.AccountSource, t.IssuingAccount = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED, issuing
}

func or(text, usual string) string {
	if text == "" {
		return usual
	}
	return text
}

func (a ask) request() *schemas.IssuanceRequest {
	r := &schemas.IssuanceRequest{Terms: terms(or(a.invitation, "i1"))}
	if a.due != never {
		r.Terms.Deadlines = &schemas.Deadlines{AcceptBy: timestamppb.New(time.UnixMilli(a.due))}
	}
	if a.change != nil {
		a.change(r.GetTerms())
	}
	switch a.verb {
	case "offer":
		r.Verb = &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}}
	case "request":
		request := &schemas.Request{Buyer: or(a.by, buyer), Account: or(a.account, issuing)}
		r.Verb = &schemas.IssuanceRequest_Request{Request: request}
	case "decline":
		r.Verb = &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: or(a.by, buyer)}}
	case "withdraw":
		r.Verb = &schemas.IssuanceRequest_Withdraw{Withdraw: &schemas.Withdraw{Seller: or(a.by, seller)}}
	case "lapse":
		r.Verb = &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}
	case "tick":
		r.Terms = nil
		keep := durationpb.New(time.Duration(a.keep) * time.Millisecond)
		r.Verb = &schemas.IssuanceRequest_Tick{Tick: &schemas.Tick{Retention: keep}}
	}
	return r
}

func (a ask) command() booktest.Command {
	return booktest.Command{Message: schemas.Message{
		Attributes: schemas.Attributes{ID: a.id, Source: "/test", Time: time.UnixMilli(a.at).UTC()},
		Body:       a.request(),
	}}
}

// planned are the script's fields of the ask.
func (a ask) planned() ([]string, error) {
	c := a.command()
	return preissue.Book{}.Plan(pipeline.In{Attributes: c.Attributes, Body: c.Body})
}

// answered is an ask and the answer that it must get.
type answered struct {
	ask  ask
	want string
}

// everywhere runs the asks on every Redis, one in a batch and all in one.
func everywhere(t *testing.T, asks []answered) {
	t.Helper()
	for _, server := range booktest.Servers(t) {
		one := booktest.New(t, preissue.Book{}, server.Address)
		all := booktest.New(t, preissue.Book{}, server.Address)
		commands := make([]booktest.Command, len(asks))
		for i, a := range asks {
			commands[i] = a.ask.command()
			compare(t, server.Name+", alone", a, one.Decide(commands[i])[0])
		}
		for i, in := range all.Decide(commands...) {
			compare(t, server.Name+", together", asks[i], in)
		}
		one.Tables()
		all.Tables()
	}
}

func compare(t *testing.T, how string, a answered, in pipeline.In) {
	t.Helper()
	if got := word(in); got != a.want {
		t.Errorf("%s: %s %s: %s, want %s", how, a.ask.verb, a.ask.id, got, a.want)
	}
}

// word is an item's answer as the script gave it.
func word(in pipeline.In) string {
	item, _ := in.Body.(pipeline.Item)
	d := item.GetDecision()
	words := map[schemas.Outcome]string{
		schemas.Outcome_OUTCOME_DONE: "done", schemas.Outcome_OUTCOME_REFUSED: "refused",
		schemas.Outcome_OUTCOME_REPEAT: "repeat", schemas.Outcome_OUTCOME_CONFLICT: "conflict",
		schemas.Outcome_OUTCOME_UNREADABLE: "unreadable",
	}
	if d.GetReason() == schemas.Reason_REASON_UNSPECIFIED {
		return words[d.GetOutcome()]
	}
	return words[d.GetOutcome()] + " " + d.GetReason().Word()
}
