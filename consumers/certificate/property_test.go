package certificate_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/deadletter"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Every item of the accounts book's journal reaches somebody, unless it is a repeat, or was done for another
// system.
func TestEveryEntryReachesSomebody(t *testing.T) {
	t.Parallel()
	signer := keys(t)
	stages := []pipeline.Stage{
		certificate.Routing(directories{1}), certificate.Certificate(signer), advice.Stage(), deadletter.Stage(),
	}
	rapid.Check(t, func(t *rapid.T) {
		entry, ours := drawEntry(t)
		done := entry.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
		checkItem(t, stages, drawIn(t, schemas.TopicEntries, entry), entry.GetDecision(), ours || !done)
	})
}

// So does every item of the pre-issues book's, except ticks.
func TestEveryPreIssueReachesSomebody(t *testing.T) {
	t.Parallel()
	stages := []pipeline.Stage{certificate.Relay(), certificate.Funding(directories{1}), deadletter.Stage()}
	rapid.Check(t, func(t *rapid.T) {
		item := &schemas.PreIssue{Decision: drawDecision(t)}
		if item.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_UNREADABLE {
			item.Unreadable = &schemas.Unreadable{
				Reason: "no bytes",
				Value:  rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"),
			}
		} else {
			item.Id, item.Request = "c1", drawRequest(t)
		}
		ours := item.GetRequest().GetTick() == nil
		checkItem(t, stages, drawIn(t, schemas.TopicPreIssues, item), item.GetDecision(), ours)
	})
}

// Every invitation goes on or is refused; every receipt that names a next one brings it.
func TestEveryInvitationAndReceiptReachesSomebody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := drawInvitation(t)
		outs := twice(t, certificate.Invitation(), drawIn(t, schemas.TopicInvitations, x))
		checkOuts(t, outs)
		if len(outs) == 0 {
			t.Fatal("nobody is told")
		}
		then := rapid.SliceOfN(rapid.Custom(drawRecipient), 0, 3).Draw(t, "then")
		receipt := &schemas.Receipt{NoticeId: "n1", Notice: &schemas.Notice{
			Recipient: drawRecipient(t), Subject: schemas.Subject_SUBJECT_REFUSED, InvitationId: "i1",
			Reason: drawReason(t), Then: then,
		}}
		outs = twice(t, certificate.Relay(), drawIn(t, schemas.TopicReceipts, receipt))
		checkOuts(t, outs)
		if len(outs) != min(len(then), 1) {
			t.Fatalf("got %q", told(outs))
		}
	})
}

func checkItem(t *rapid.T, stages []pipeline.Stage, m pipeline.In, d *schemas.Decision, ours bool) {
	if err := schemas.Validate(m.Body); err != nil {
		t.Fatalf("the item is not valid: %v", err)
	}
	var outs []pipeline.Out
	for _, s := range stages {
		outs = append(outs, twice(t, s, m)...)
	}
	checkOuts(t, outs)
	unreadable := d.GetOutcome() == schemas.Outcome_OUTCOME_UNREADABLE
	want := unreadable || ours && d.GetOutcome() != schemas.Outcome_OUTCOME_REPEAT
	if reached := len(outs) > 0; reached != want {
		t.Fatalf("%v: got %q, want somebody to be told: %t", m.Body, told(outs), want)
	}
	refused := d.GetOutcome() == schemas.Outcome_OUTCOME_REFUSED
	contradicts := d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT && m.Topic == schemas.TopicPreIssues
	stands := refused && d.GetReason() == schemas.Reason_REASON_STALE ||
		contradicts && d.GetReason() == schemas.Reason_REASON_TERMS
	for _, out := range outs {
		if _, ok := out.Body.(*schemas.Refusal); ok && stands {
			t.Fatalf("%v: got %q, which contradicts what stands under that content", m.Body, told(outs))
		}
	}
}

// twice follows an equal message again and gets the same records, byte for byte; the message stays as it was.
func twice(t *rapid.T, s pipeline.Stage, m pipeline.In) []pipeline.Out {
	again, before := m, proto.Clone(m.Body)
	again.Body = proto.Clone(m.Body)
	record, err := pipeline.Encode(m.Topic, schemas.Message{Attributes: m.Attributes, Body: m.Body})
	if err != nil {
		t.Fatal(err)
	}
	a, errA := pipeline.Follows(s, m)
	if s.Concerns != nil && !s.Concerns(record) && len(a) > 0 {
		t.Fatalf("%s: %v does not concern it, and %d records follow", s.Name, m.Body, len(a))
	}
	b, errB := pipeline.Follows(s, again)
	if errA != nil || errB != nil {
		t.Fatalf("%s: Follows(%v) = %v, %v", s.Name, m.Body, errA, errB)
	}
	if !proto.Equal(m.Body, before) {
		t.Fatalf("%s changed its message to %v", s.Name, m.Body)
	}
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d records follow", s.Name, len(a), len(b))
	}
	for i := range a {
		same := a[i].Topic == b[i].Topic && bytes.Equal(a[i].Key, b[i].Key) &&
			bytes.Equal(a[i].Value, b[i].Value)
		for j := range a[i].Headers {
			same = same && bytes.Equal(a[i].Headers[j].Value, b[i].Headers[j].Value)
		}
		if !same {
			t.Fatalf("%s: record %d is %v, then %v", s.Name, i, a[i], b[i])
		}
	}
	outs, _ := s.Follow(m)
	return outs
}

// checkOuts asks what holds of all that follows: each has an id of its own, and the seller's side learns
// nothing of what the buyer has.
func checkOuts(t *rapid.T, outs []pipeline.Out) {
	seen := map[string]bool{}
	for _, out := range outs {
		if seen[out.ID] {
			t.Fatalf("%q: an id stands twice", told(outs))
		}
		seen[out.ID] = true
		var reason schemas.Reason
		switch body := out.Body.(type) {
		case *schemas.Refusal:
			reason = body.GetReason()
		case *schemas.Movement:
			checkSignable(t, body)
		case *schemas.Notice:
			switch body.GetRecipient().GetRole() {
			case schemas.Role_ROLE_SELLER, schemas.Role_ROLE_RECEIVING_BANK:
				reason = body.GetReason()
			case schemas.Role_ROLE_BUYER, schemas.Role_ROLE_ISSUING_BANK, schemas.Role_ROLE_UNSPECIFIED:
			}
		}
		if reason == schemas.Reason_REASON_INSUFFICIENT {
			t.Fatalf("%q: the seller's side is told", told(outs))
		}
	}
}

// checkSignable asks that no money is asked for without a key that can sign for it.
func checkSignable(t *rapid.T, m *schemas.Movement) {
	x := &schemas.IssuanceRequest{}
	if m.GetHold() == nil {
		return
	}
	if err := m.GetReference().UnmarshalTo(x); err != nil {
		t.Fatal(err)
	}
	key := map[string]string{issuingBank: "demonstration-paga", receivingBank: "demonstration-aval"}
	y := x.GetTerms()
	if y.GetDirectoryVersion() != 1 || y.GetKeyId() != key[y.GetIssuingBank()] {
		t.Fatalf("money is asked for %v, which nobody signs", y)
	}
}

func drawIn(t *rapid.T, topic string, body proto.Message) pipeline.In {
	m := in(topic, body)
	m.ID = rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "id")
	return m
}

func drawReason(t *rapid.T) schemas.Reason {
	all := schemas.Reason(0).Descriptor().Values()
	return schemas.Reason(all.Get(rapid.IntRange(1, all.Len()-1).Draw(t, "reason")).Number())
}

func drawDecision(t *rapid.T) *schemas.Decision {
	d := &schemas.Decision{
		Offset:  rapid.Int64Range(0, 1<<40).Draw(t, "offset"),
		Outcome: schemas.Outcome(rapid.IntRange(1, 5).Draw(t, "outcome")),
	}
	if d.GetOutcome() == schemas.Outcome_OUTCOME_REFUSED ||
		d.GetOutcome() != schemas.Outcome_OUTCOME_DONE && rapid.Bool().Draw(t, "because") {
		d.Reason = drawReason(t)
	}
	return d
}

func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{shop, maria, receivingBank}), rapid.StringN(1, 200, schemas.TextMax),
	).Draw(t, name)
}

func drawAccount(t *rapid.T, name string) string {
	accounts := []string{shopAccount, mariaAccount, issuingBank + "/x", "NONEBRSP/1"}
	return rapid.SampledFrom(accounts).Draw(t, name)
}

func drawRecipient(t *rapid.T) *schemas.Recipient {
	r := &schemas.Recipient{
		Role: schemas.Role(rapid.IntRange(1, 4).Draw(t, "role")),
		Id:   drawText(t, "recipient"),
	}
	switch r.GetRole() {
	case schemas.Role_ROLE_RECEIVING_BANK, schemas.Role_ROLE_ISSUING_BANK:
		r.Id = receivingBank
	case schemas.Role_ROLE_SELLER, schemas.Role_ROLE_BUYER, schemas.Role_ROLE_UNSPECIFIED:
	}
	return r
}

// drawInvitation draws one that Decode lets pass, with or without sense.
func drawInvitation(t *rapid.T) *schemas.Invitation {
	return invitation(func(x *schemas.Invitation) {
		x.Seller, x.Buyer, x.Reference = drawText(t, "seller"), drawText(t, "buyer"), drawText(t, "reference")
		x.Amount = &schemas.Money{
			MinorUnits: rapid.Int64Range(1, schemas.AmountMax).Draw(t, "amount"),
			Currency:   rapid.SampledFrom(schemas.Currencies()).Draw(t, "currency"),
		}
		x.Funding = schemas.Funding(rapid.IntRange(0, 2).Draw(t, "funding"))
		x.Route = schemas.Route(rapid.IntRange(0, 2).Draw(t, "route"))
		x.AccountSource = schemas.AccountSource(rapid.IntRange(0, 2).Draw(t, "source"))
		if rapid.IntRange(0, 9).Draw(t, "elsewhere") == 0 {
			x.ReceivingAccount = rapid.String().Draw(t, "receiving account")
		}
		x.DirectoryVersion = rapid.Uint64Range(0, 2).Draw(t, "version")
		rapid.SampledFrom([]func(*schemas.Invitation){
			byBank(issuingBank), byBank(receivingBank), byBank("nobody"), byContact(drawText(t, "contact")),
			byContact("joe@paga.example"), byAccount(drawAccount(t, "issuing account")),
			func(x *schemas.Invitation) { x.Issuing = nil },
		}).Draw(t, "issuing")(x)
	})
}

func drawTerms(t *rapid.T) *schemas.Terms {
	return terms(func(y *schemas.Terms) {
		y.Seller, y.Buyer, y.Reference = drawText(t, "seller"), drawText(t, "buyer"), drawText(t, "reference")
		y.Funding = schemas.Funding(rapid.IntRange(1, 2).Draw(t, "funding"))
		y.Route = schemas.Route(rapid.IntRange(1, 2).Draw(t, "route"))
		y.IssuingBank = rapid.SampledFrom([]string{issuingBank, receivingBank}).Draw(t, "issuing bank")
		y.KeyId = rapid.SampledFrom([]string{"demonstration-paga", "demonstration-aval"}).Draw(t, "key")
		y.DirectoryVersion = rapid.Uint64Range(1, 2).Draw(t, "version")
		y.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		if rapid.Bool().Draw(t, "confirmed") {
			y.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
			y.IssuingAccount = y.GetIssuingBank() + "/0002"
		}
	})
}

func drawRequest(t *rapid.T) *schemas.IssuanceRequest {
	x := request(drawTerms(t))
	switch rapid.IntRange(0, 7).Draw(t, "verb") {
	case 0:
		x.Verb = &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}}
	case 1:
		x.Verb = &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: drawText(t, "decliner")}}
	case 2:
		x.Verb = &schemas.IssuanceRequest_Withdraw{
			Withdraw: &schemas.Withdraw{Seller: drawText(t, "withdrawer")},
		}
	case 3:
		x.Verb = &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}
	case 4:
		x = tick()
	case 5:
		x.GetRequest().Account, x.GetRequest().Buyer = drawText(t, "account"), drawText(t, "requester")
	default:
		x.GetRequest().Account = x.GetTerms().GetIssuingBank() + "/0002"
	}
	return x
}

// drawEntry draws an item of the accounts book's journal, and says whether it is the certificate system's.
func drawEntry(t *rapid.T) (*schemas.Entry, bool) {
	d := drawDecision(t)
	if d.GetOutcome() == schemas.Outcome_OUTCOME_UNREADABLE {
		return &schemas.Entry{Decision: d, Unreadable: &schemas.Unreadable{Reason: "no bytes"}}, true
	}
	x := drawRequest(t)
	for x.GetRequest() == nil {
		x = request(drawTerms(t))
	}
	references := []proto.Message{drawInvitation(t), x, drawTerms(t), nil}
	reference := rapid.SampledFrom(references).Draw(t, "reference")
	account, currency := drawAccount(t, "account"), "BRL"
	m := &schemas.Movement{Account: account}
	vouch := &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: shop, Currency: currency}}
	hold := &schemas.Movement_Hold{Hold: &schemas.Hold{
		Amount: x.GetTerms().GetAmount(), Holder: x.GetTerms().GetBuyer(),
		Kind: schemas.FundingKind(x.GetTerms().GetFunding()),
	}}
	entry := &schemas.Entry{Decision: d, Id: "m1", Movement: m}
	genuine := rapid.IntRange(0, 3).Draw(t, "genuine") > 0
	switch r := reference.(type) {
	case *schemas.Invitation:
		m.Account, m.Content = shopAccount, schemas.ContentDigest(r)
		entry.Id, m.Verb = schemas.VouchID(r.GetId()), vouch
		vouch.Vouch.Holder, vouch.Vouch.Currency = r.GetSeller(), r.GetAmount().GetCurrency()
	case *schemas.IssuanceRequest:
		m.Content = append(schemas.TermsDigest(r.GetTerms()), r.GetRequest().GetAccount()...)
		entry.Id, m.Verb = schemas.HoldID(r.GetTerms().GetInvitationId()), hold
		if _, ok := schemas.BankOf(r.GetRequest().GetAccount()); ok {
			m.Account = r.GetRequest().GetAccount()
		}
	}
	if m.GetVerb() == nil || !genuine {
		m.Verb = rapid.SampledFrom([]*schemas.Movement{
			{Verb: vouch},
			{Verb: hold},
			{Verb: &schemas.Movement_Release{Release: &schemas.Release{Hold: "h1"}}},
		}).Draw(t, "verb").GetVerb()
	}
	if reference != nil {
		m.Reference = &anypb.Any{}
		if err := m.GetReference().MarshalFrom(reference); err != nil {
			t.Fatal(err)
		}
		if !genuine && rapid.Bool().Draw(t, "garbled") {
			m.Reference.Value = append(m.Reference.Value, rapid.SliceOf(rapid.Byte()).Draw(t, "garbage")...)
		}
	}
	ours := m.GetVouch() != nil && m.GetReference().MessageIs(&schemas.Invitation{}) ||
		m.GetHold() != nil && m.GetReference().MessageIs(&schemas.IssuanceRequest{})
	return entry, ours
}
