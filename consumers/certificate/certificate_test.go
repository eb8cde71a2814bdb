package certificate_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestCertificateIssues(t *testing.T) {
	t.Parallel()
	x := request(terms())
	entry := answer(done(), holdFor(t, x))
	signer := keys(t)
	outs := follow(t, certificate.Certificate(signer), in(schemas.TopicEntries, entry))
	check(t, outs, "certificates INVITATION", "notices maria BUYER ISSUED",
		"notices AVALBRSP RECEIVING_BANK ISSUED", "notices shop SELLER ISSUED")
	issued, _ := outs[0].Body.(*schemas.Certificate)
	hold := schemas.HoldID(x.GetTerms().GetInvitationId())
	want := &schemas.Certificate{
		Id: schemas.CertificateID(hold), HoldId: hold, Terms: x.GetTerms(), IssuingAccount: mariaAccount,
		Jws: issued.GetJws(),
	}
	if !proto.Equal(issued, want) || outs[0].ID != want.GetId() {
		t.Errorf("got %s %v, want %v", outs[0].ID, issued, want)
	}
	claims, err := certificate.Verify(issued.GetJws(), signer.Public())
	if err != nil || claims != certificate.ClaimsOf(issued) {
		t.Errorf("Verify() = %v, %v, want the certificate's claims", claims, err)
	}
	for _, out := range outs[1:] {
		n, _ := out.Body.(*schemas.Notice)
		if n.GetCertificateId() != want.GetId() || n.GetJws() != want.GetJws() {
			t.Errorf("notice %v does not bring the certificate", n)
		}
	}
}

func TestCertificateRefuses(t *testing.T) {
	t.Parallel()
	refusal, toSeller := "refusals INVITATION not-guaranteed", "notices shop SELLER REFUSED not-guaranteed"
	toBank := "notices AVALBRSP RECEIVING_BANK REFUSED not-guaranteed"
	tests := map[string]struct {
		decision *schemas.Decision
		want     []string
	}{
		"insufficient": {refused(schemas.Reason_REASON_INSUFFICIENT), []string{
			refusal, toSeller, toBank, "notices maria BUYER REFUSED insufficient",
		}},
		"account unknown": {refused(schemas.Reason_REASON_ACCOUNT_UNKNOWN), []string{
			refusal, toSeller, toBank, "notices maria BUYER REFUSED account-unknown",
		}},
		"account of another kind": {refused(schemas.Reason_REASON_ACCOUNT_KIND), []string{
			refusal, toSeller, toBank, "notices maria BUYER REFUSED account-kind",
		}},
		"contradiction": {conflict(), []string{
			"refusals INVITATION conflict", "notices shop SELLER REFUSED conflict",
			"notices AVALBRSP RECEIVING_BANK REFUSED conflict", "notices maria BUYER REFUSED conflict",
		}},
		"too late: what stands is not refused": {refused(schemas.Reason_REASON_STALE), []string{
			"notices maria BUYER ANSWER_REFUSED stale",
		}},
		"repeat": {repeated(), nil},
		"repeat of what was refused": {
			&schemas.Decision{
				Outcome: schemas.Outcome_OUTCOME_REPEAT,
				Reason:  schemas.Reason_REASON_INSUFFICIENT,
			}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := answer(test.decision, holdFor(t, request(terms())))
			outs := follow(t, certificate.Certificate(keys(t)), in(schemas.TopicEntries, entry))
			check(t, outs, test.want...)
			for _, out := range outs {
				checkAbout(t, out, terms())
			}
		})
	}
}

func TestCertificateWaitsForItsKey(t *testing.T) {
	t.Parallel()
	x := request(terms(func(y *schemas.Terms) { y.KeyId = "paga-before" }))
	held := in(schemas.TopicEntries, answer(done(), holdFor(t, x)))
	outs, err := certificate.Certificate(keys(t)).Follow(held)
	if err == nil || outs != nil || !strings.Contains(err.Error(), "paga-before") {
		t.Errorf("Follow() = %v, %v, want to wait for the key", outs, err)
	}
	entry := answer(refused(schemas.Reason_REASON_INSUFFICIENT), holdFor(t, x))
	if outs := follow(t, certificate.Certificate(keys(t)), in(schemas.TopicEntries, entry)); len(outs) != 4 {
		t.Errorf("got %q, want a refusal without any key", told(outs))
	}
}

func TestCertificateLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	change := func(f func(*schemas.Entry)) *schemas.Entry {
		e := answer(done(), holdFor(t, request(terms())))
		f(e)
		return e
	}
	release := &schemas.Movement_Release{Release: &schemas.Release{Hold: "h1"}}
	tests := map[string]*schemas.Entry{
		"no reference":        change(func(e *schemas.Entry) { e.Movement.Reference = nil }),
		"another's reference": change(func(e *schemas.Entry) { e.Movement.Reference = anyOf(t, terms()) }),
		"another verb":        change(func(e *schemas.Entry) { e.Movement.Verb = release }),
		"a vouch":             answer(done(), vouchFor(t, invitation())),
		"what cannot be read": {Decision: unreadable(), Unreadable: &schemas.Unreadable{Reason: "no bytes"}},
	}
	for name, entry := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, follow(t, certificate.Certificate(never{}), in(schemas.TopicEntries, entry)))
		})
	}
}

// never signs nothing: who asks it has decided to sign.
type never struct{}

func (never) Sign(string, []byte) (string, error) { return "", errors.New("nothing may be signed") }

func TestCertificateSignsNoForgery(t *testing.T) {
	t.Parallel()
	refer := func(change func(*schemas.IssuanceRequest)) func(*schemas.Entry) {
		return func(e *schemas.Entry) {
			x := request(terms())
			change(x)
			e.Movement.Reference = anyOf(t, x)
		}
	}
	tests := map[string]func(*schemas.Entry){
		"id":       func(e *schemas.Entry) { e.Id = "mine" },
		"account":  func(e *schemas.Entry) { e.Movement.Account = issuingBank + "/other" },
		"amount":   func(e *schemas.Entry) { e.Movement.GetHold().Amount.MinorUnits = 1 },
		"currency": func(e *schemas.Entry) { e.Movement.GetHold().Amount.Currency = "CLP" },
		"holder":   func(e *schemas.Entry) { e.Movement.GetHold().Holder = "eve" },
		"kind": func(e *schemas.Entry) {
			e.Movement.GetHold().Kind = schemas.AccountKind_ACCOUNT_KIND_CREDIT
		},
		"content":          func(e *schemas.Entry) { e.Movement.Content = []byte("other") },
		"bytes":            func(e *schemas.Entry) { e.Movement.Reference.Value = []byte{0xff} },
		"terms":            refer(func(x *schemas.IssuanceRequest) { x.Terms.Seller = "eve" }),
		"face":             refer(func(x *schemas.IssuanceRequest) { x.Terms.Amount.MinorUnits++ }),
		"no terms":         refer(func(x *schemas.IssuanceRequest) { x.Terms = nil }),
		"another bank's":   refer(func(x *schemas.IssuanceRequest) { x.Terms.IssuingBank = receivingBank }),
		"requested by eve": refer(func(x *schemas.IssuanceRequest) { x.GetRequest().Buyer = "eve" }),
		"no request": refer(func(x *schemas.IssuanceRequest) {
			x.Verb = &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}
		}),
		"a tick": refer(func(x *schemas.IssuanceRequest) { x.Terms, x.Verb = nil, tick().GetVerb() }),
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := answer(done(), holdFor(t, request(terms())))
			change(entry)
			out := only(t, follow(t, certificate.Certificate(never{}), in(schemas.TopicEntries, entry)))
			checkLetter(t, out, "movements/3/7", "")
			letter, _ := out.Body.(*schemas.DeadLetter)
			checkOriginal(t, letter, entry.GetId(), entry.GetMovement())
		})
	}
}

// Nor where the movement and its reference agree with each other, but the request not with its terms.
func TestCertificateSignsNoRequestAgainstItsTerms(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*schemas.IssuanceRequest){
		"another bank's":   func(x *schemas.IssuanceRequest) { x.Terms.IssuingBank = receivingBank },
		"requested by eve": func(x *schemas.IssuanceRequest) { x.GetRequest().Buyer = "eve" },
		"not the pre-filled account": func(x *schemas.IssuanceRequest) {
			x.Terms.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
			x.Terms.IssuingAccount = issuingBank + "/given"
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := request(terms())
			entry := answer(done(), holdFor(t, x))
			change(x)
			entry.Movement.Reference = anyOf(t, x)
			entry.Movement.Content = append(schemas.TermsDigest(x.GetTerms()), mariaAccount...)
			entry.Movement.GetHold().Holder = x.GetRequest().GetBuyer()
			out := only(t, follow(t, certificate.Certificate(never{}), in(schemas.TopicEntries, entry)))
			checkLetter(t, out, "movements/3/7", "the request")
		})
	}
}

// A later version's field is not this version's business: its holds are certified all the same.
func TestCertificateTakesNewFields(t *testing.T) {
	t.Parallel()
	entry := answer(done(), holdFor(t, request(terms())))
	entry.Movement.GetHold().ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 1}) // field 127, varint 1
	outs := follow(t, certificate.Certificate(keys(t)), in(schemas.TopicEntries, entry))
	if len(outs) != 4 {
		t.Errorf("got %q, want a certificate", told(outs))
	}
}

// checkAbout asks whether a notice says what it is about: with it, nobody needs to have seen anything else.
func checkAbout(t *testing.T, out pipeline.Out, want *schemas.Terms) {
	t.Helper()
	n, ok := out.Body.(*schemas.Notice)
	if ok && (n.GetReference() != want.GetReference() || !proto.Equal(n.GetTerms(), want) ||
		!bytes.Equal(n.GetContentDigest(), want.GetContentDigest())) {
		t.Errorf("notice %v is not about %v", n, want)
	}
}

func checkLetter(t *testing.T, out pipeline.Out, place, why string) {
	t.Helper()
	letter, ok := out.Body.(*schemas.DeadLetter)
	if !ok || out.Topic != schemas.TopicDeadLetters || schemas.KeyOf(letter) != place {
		t.Fatalf("got %q, want the dead letter of %s", told([]pipeline.Out{out}), place)
	}
	if !strings.Contains(letter.GetOriginal().GetReason(), why) {
		t.Errorf("its reason is %q, want it to say %q", letter.GetOriginal().GetReason(), why)
	}
}
