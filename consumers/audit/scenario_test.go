package audit_test

import (
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Accounts of the scenario.
const (
	sellers = "AVALBRSP/seller"
	buyers  = "AVALBRRJ/buyer"
	credits = "AVALBRRJ/credit"
)

// deal is one invitation on its way.
type deal struct {
	invitation *schemas.Invitation
	terms      *schemas.Terms
	account    string
}

func newDeal(reference, account string, funding schemas.Funding, amount int64) *deal {
	x := &schemas.Invitation{
		Id: schemas.InvitationID("AVALBRSP", "holder", reference), ReceivingBank: "AVALBRSP",
		ReceivingAccount: sellers, Seller: "holder", Reference: reference, Buyer: "holder",
		Amount:  brl(amount),
		Funding: funding, Route: schemas.Route_ROUTE_DIRECT,
		AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		Issuing: &schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Bank{Bank: "AVALBRRJ"},
		},
		DirectoryVersion: 1,
	}
	return &deal{invitation: x, account: account, terms: &schemas.Terms{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Seller: x.GetSeller(),
		Reference: x.GetReference(), Buyer: x.GetBuyer(), Amount: x.GetAmount(), Funding: x.GetFunding(),
		ReceivingBank: x.GetReceivingBank(), ReceivingAccount: x.GetReceivingAccount(),
		IssuingBank:   "AVALBRRJ",
		AccountSource: x.GetAccountSource(), Route: x.GetRoute(), KeyId: "key-1", DirectoryVersion: 1,
	}}
}

func (d *deal) id() string { return d.invitation.GetId() }

func (d *deal) hold() string { return schemas.HoldID(d.id()) }

func (d *deal) certificate() *schemas.Certificate {
	return &schemas.Certificate{
		Id: schemas.CertificateID(d.hold()), Terms: d.terms, IssuingAccount: d.account, HoldId: d.hold(),
		Jws: jws(`{"minor_units":"4111111111111111","seller":"4111111111111111"}`),
	}
}

func (d *deal) movement(t *testing.T) *schemas.Movement {
	t.Helper()
	return &schemas.Movement{
		Account: d.account, Content: schemas.TermsDigest(d.terms), Reference: reference(t, d.request()),
		Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
			Amount: d.terms.GetAmount(), Holder: "holder", Kind: schemas.FundingKind(d.terms.GetFunding()),
		}},
	}
}

func (d *deal) request() *schemas.IssuanceRequest {
	return &schemas.IssuanceRequest{Terms: d.terms, Verb: &schemas.IssuanceRequest_Request{
		Request: &schemas.Request{Buyer: "holder", Account: d.account},
	}}
}

// invite brings the deal up to its offer.
func (w *world) invite(d *deal) {
	w.t.Helper()
	w.put(schemas.TopicInvitations, d.id(), d.invitation)
	w.vouch(d)
	w.offer(schemas.OfferID(d.id()), d)
}

func (w *world) vouch(d *deal) {
	w.t.Helper()
	w.decide(schemas.VouchID(d.id()), &schemas.Movement{
		Account: sellers, Content: schemas.ContentDigest(d.invitation),
		Reference: reference(w.t, d.invitation),
		Verb:      &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: "holder", Currency: "BRL"}},
	}, schemas.Outcome_OUTCOME_DONE, 0)
}

func (w *world) offer(id string, d *deal) {
	w.t.Helper()
	w.decide(id, &schemas.IssuanceRequest{
		Terms: d.terms,
		Verb:  &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	},
		schemas.Outcome_OUTCOME_DONE, 0, &schemas.Change{Table: "open", Field: d.id(), Value: termsRow(d)})
}

// answer decides the pre-issue.
func (w *world) answerDeal(id string, d *deal, verb string, command *schemas.IssuanceRequest) {
	w.t.Helper()
	w.decide(id, command, schemas.Outcome_OUTCOME_DONE, 0, &schemas.Change{Table: "open", Field: d.id()},
		&schemas.Change{Table: "decided0", Field: d.id(), Value: verb + " " + termsRow(d) + " " + id +
			" " + digest(id)})
}

func (w *world) request(d *deal) {
	w.t.Helper()
	w.answerDeal("request:"+d.id(), d, "request", d.request())
}

func (w *world) decline(d *deal) {
	w.t.Helper()
	w.answerDeal("decline:"+d.id(), d, "decline", &schemas.IssuanceRequest{
		Terms: d.terms, Verb: &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: "holder"}},
	})
	w.refuse(d, schemas.Reason_REASON_DECLINED)
}

func (w *world) refuse(d *deal, why schemas.Reason) {
	w.t.Helper()
	w.put(schemas.TopicRefusals, schemas.DeriveID("refusal", d.id()), &schemas.Refusal{
		InvitationId: d.id(), ContentDigest: schemas.ContentDigest(d.invitation), Seller: "holder",
		Reference: d.invitation.GetReference(), Reason: why,
	})
}

func (w *world) certify(d *deal) {
	w.t.Helper()
	w.put(schemas.TopicCertificates, schemas.CertificateID(d.hold()), d.certificate())
}

func (w *world) issue(d *deal) {
	w.t.Helper()
	w.invite(d)
	w.request(d)
	w.hold(d.hold(), d.movement(w.t))
	w.certify(d)
}

// termsRow is what stands for the deal's terms in the rows of pre-issues.
func termsRow(d *deal) string {
	return hex.EncodeToString(schemas.TermsDigest(d.terms)) + hex.EncodeToString(d.terms.GetContentDigest())[:16]
}

// Deals of the scenario.
func issued() *deal   { return newDeal("issued", buyers, schemas.Funding_FUNDING_DEPOSIT, 300) }
func settled() *deal  { return newDeal("settled", credits, schemas.Funding_FUNDING_CREDIT, 500) }
func declined() *deal { return newDeal("declined", buyers, schemas.Funding_FUNDING_DEPOSIT, 100) }
func refused() *deal  { return newDeal("refused", buyers, schemas.Funding_FUNDING_DEPOSIT, 9_000) }
func opened() *deal   { return newDeal("opened", buyers, schemas.Funding_FUNDING_DEPOSIT, 50) }

// play plays the scenario: every way that a deal can go, with repeats and what nobody can read.
func (w *world) play() {
	w.t.Helper()
	w.open(sellers, schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, 0)
	w.open(buyers, schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, 1_000)
	w.open(credits, schemas.AccountKind_ACCOUNT_KIND_CREDIT, 700)
	w.issue(issued())
	w.issue(settled())
	w.capture("capture-1", settled().hold(), 200)
	w.release("release-1", settled().hold())
	w.invite(declined())
	w.decline(declined())
	w.invite(refused())
	w.request(refused())
	w.decide(refused().hold(), refused().movement(w.t), schemas.Outcome_OUTCOME_REFUSED,
		schemas.Reason_REASON_INSUFFICIENT)
	w.refuse(refused(), schemas.Reason_REASON_NOT_GUARANTEED)
	w.invite(opened())
	w.put(schemas.TopicInvitations, opened().id(), opened().invitation) // again: nothing follows
	w.put(schemas.TopicCertificates, schemas.CertificateID(issued().hold()), issued().certificate())
	w.unreadable(1, "what is this?")
	garbage := pipeline.Record{
		Topic: schemas.TopicInvitations, Partition: 1, Key: []byte("k"),
		Value: []byte("?"),
	}
	letter := &schemas.DeadLetter{
		Topic: garbage.Topic, Partition: 1, Offset: w.append(garbage),
		Original: pipeline.UnreadableOf(garbage, "why"),
	}
	w.put(schemas.TopicDeadLetters, "letter", letter)
}

func clone[T proto.Message](m T) T {
	c, _ := proto.Clone(m).(T)
	return c
}
