package certificate_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

func TestRouting(t *testing.T) {
	t.Parallel()
	offer := "issuance-requests INVITATION " + issuingBank + " demonstration-paga"
	unknown := []string{
		"refusals INVITATION issuing-bank-unknown",
		"notices shop SELLER REFUSED issuing-bank-unknown",
	}
	onUs := "issuance-requests INVITATION " + receivingBank + " demonstration-aval"
	tests := map[string]struct {
		decision *schemas.Decision
		change   func(*schemas.Invitation)
		want     []string
	}{
		"by bank":                   {done(), nil, []string{offer}},
		"by account":                {done(), byAccount(mariaAccount), []string{offer}},
		"by contact":                {done(), byContact("joe@paga.example"), []string{offer}},
		"on us":                     {done(), byBank(receivingBank), []string{onUs}},
		"bank is no participant":    {done(), byBank("NONEBRSP"), unknown},
		"account of no participant": {done(), byAccount("NONEBRSP/1"), unknown},
		"contact is nobody's":       {done(), byContact("joe@elsewhere.example"), unknown},
		"receiving bank is no participant": {done(), func(x *schemas.Invitation) {
			x.ReceivingBank, x.ReceivingAccount = "NONEBRSP", "NONEBRSP/1"
			x.Id = schemas.InvitationID("NONEBRSP", shop, "order 1")
		}, []string{
			"refusals " + schemas.InvitationID("NONEBRSP", shop, "order 1") + " receiving-bank-unknown",
			"notices shop SELLER REFUSED receiving-bank-unknown",
		}},
		"account is another's": {refused(schemas.Reason_REASON_ACCOUNT_HOLDER), nil, []string{
			"refusals INVITATION account-holder", "notices shop SELLER REFUSED account-holder",
		}},
		"too old": {refused(schemas.Reason_REASON_STALE), nil, []string{
			"notices shop SELLER ANSWER_REFUSED stale",
		}},
		"what cannot be is not told": {refused(schemas.Reason_REASON_INSUFFICIENT), nil, []string{
			"refusals INVITATION not-guaranteed", "notices shop SELLER REFUSED not-guaranteed",
		}},
		"contradiction": {conflict(), nil, []string{
			"refusals INVITATION conflict", "notices shop SELLER REFUSED conflict",
		}},
		"repeat":         {repeated(), nil, nil},
		"faulty, repeat": {repeated(), func(x *schemas.Invitation) { x.Reference = "" }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := invitation()
			entry := answer(test.decision, vouchFor(t, x))
			if test.change != nil {
				x = invitation(test.change)
				if len(schemas.InvitationFaults(x)) == 0 {
					entry = answer(test.decision, vouchFor(t, x))
				} else {
					entry.Movement.Reference = anyOf(t, x)
				}
			}
			outs := follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry))
			check(t, outs, test.want...)
			for _, out := range outs {
				if n, ok := out.Body.(*schemas.Notice); ok &&
					(!bytes.Equal(n.GetContentDigest(), schemas.ContentDigest(x)) ||
						n.GetReference() != x.GetReference()) {
					t.Errorf("notice %v does not say what it is about", n)
				}
			}
		})
	}
}

func TestRoutingMakesTerms(t *testing.T) {
	t.Parallel()
	deadlines := &schemas.Deadlines{AcceptBy: at(1), PresentBy: at(2), SettleBy: at(3)}
	x := invitation(byAccount(mariaAccount), func(x *schemas.Invitation) {
		x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
		x.Route, x.Funding = schemas.Route_ROUTE_VIA_SELLER, schemas.Funding_FUNDING_CREDIT
		x.Deadlines = deadlines
	})
	entry := answer(done(), vouchFor(t, x))
	out := only(t, follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry)))
	want := &schemas.IssuanceRequest{
		Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
		Terms: terms(func(y *schemas.Terms) {
			y.ContentDigest, y.Deadlines, y.IssuingAccount = schemas.ContentDigest(x), deadlines, mariaAccount
			y.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
			y.Route, y.Funding = schemas.Route_ROUTE_VIA_SELLER, schemas.Funding_FUNDING_CREDIT
		}),
	}
	if !proto.Equal(out.Body, want) {
		t.Errorf("got %v, want %v", out.Body, want)
	}
	if out.ID != schemas.OfferID(x.GetId()) || schemas.KeyOf(out.Body) != x.GetId() {
		t.Errorf("got %s %s", out.ID, schemas.KeyOf(out.Body))
	}
}

func TestRoutingWaitsForTheDirectory(t *testing.T) {
	t.Parallel()
	entry := answer(done(), vouchFor(t, invitation()))
	outs, err := certificate.Routing(outage{}).Follow(in(schemas.TopicEntries, entry))
	if !errors.Is(err, errOutage) || outs != nil {
		t.Errorf("Follow() = %v, %v, want to wait", outs, err)
	}
	// What is refused needs no directory.
	entry.Decision = conflict()
	outs = follow(t, certificate.Routing(outage{}), in(schemas.TopicEntries, entry))
	check(t, outs, "refusals INVITATION conflict", "notices shop SELLER REFUSED conflict")
}

// Who stamps a version has read it: one that is none will not come, and nobody behind it may wait.
func TestRoutingRefusesAVersionThatIsNone(t *testing.T) {
	t.Parallel()
	x := invitation(func(x *schemas.Invitation) { x.DirectoryVersion = 2 })
	entry := answer(done(), vouchFor(t, x))
	outs := follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry))
	check(t, outs, "refusals INVITATION invalid", "notices shop SELLER REFUSED invalid")
	refusal, _ := outs[0].Body.(*schemas.Refusal)
	if !strings.Contains(refusal.GetDetail(), "directory_version 2") {
		t.Errorf("detail is %q, want it to name the version", refusal.GetDetail())
	}
}

// A bank without keys signs nothing: what it is asked to issue must not wait for a key.
func TestRoutingRefusesABankThatOnlyReceives(t *testing.T) {
	t.Parallel()
	entry := answer(done(), vouchFor(t, invitation(byBank(issuingBank))))
	outs := follow(t, certificate.Routing(keyless{}), in(schemas.TopicEntries, entry))
	check(t, outs, "refusals INVITATION issuing-bank-unknown", "notices shop SELLER REFUSED issuing-bank-unknown")
}

// keyless is a directory of banks that only receive.
type keyless struct{}

func (keyless) At(uint64) (*certificate.Directory, error) {
	d := participants()
	for _, p := range d.GetParticipants() {
		p.Keys, p.SigningKeyId = nil, ""
	}
	return certificate.NewDirectory(d), nil
}

func TestRoutingLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	vouch := answer(done(), vouchFor(t, invitation()))
	change := func(f func(*schemas.Entry)) *schemas.Entry {
		e, _ := proto.Clone(vouch).(*schemas.Entry)
		f(e)
		return e
	}
	credit := &schemas.Movement_Credit{Credit: &schemas.Credit{
		Amount: &schemas.Money{MinorUnits: 1, Currency: "BRL"}, Contra: schemas.Contra_CONTRA_GENESIS,
	}}
	tests := map[string]*schemas.Entry{
		"no reference":        change(func(e *schemas.Entry) { e.Movement.Reference = nil }),
		"another's reference": change(func(e *schemas.Entry) { e.Movement.Reference = anyOf(t, terms()) }),
		"another verb":        change(func(e *schemas.Entry) { e.Movement.Verb = credit }),
		"a hold":              answer(done(), holdFor(t, request(terms()))),
		"what cannot be read": {Decision: unreadable(), Unreadable: &schemas.Unreadable{Reason: "no bytes"}},
		"an unknown reference": change(
			func(e *schemas.Entry) { e.Movement.Reference.TypeUrl = "type.googleapis.com/x.Y" },
		),
	}
	for name, entry := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry)))
		})
	}
}

func TestRoutingBuriesForgeries(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*schemas.Entry){
		"id":       func(e *schemas.Entry) { e.Id = "mine" },
		"account":  func(e *schemas.Entry) { e.Movement.Account = mariaAccount },
		"holder":   func(e *schemas.Entry) { e.Movement.GetVouch().Holder = "eve" },
		"currency": func(e *schemas.Entry) { e.Movement.GetVouch().Currency = "USD" },
		"content":  func(e *schemas.Entry) { e.Movement.Content = nil },
		"bytes":    func(e *schemas.Entry) { e.Movement.Reference.Value = []byte{0xff} },
		"nothing":  func(e *schemas.Entry) { e.Movement.Reference.Value = nil },
		"no sense": func(e *schemas.Entry) {
			x := invitation(func(x *schemas.Invitation) { x.DirectoryVersion = 0 })
			e.Movement.Reference = anyOf(t, x)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := answer(done(), vouchFor(t, invitation()))
			change(entry)
			out := only(t, follow(t, certificate.Routing(directories{1}), in(schemas.TopicEntries, entry)))
			checkLetter(t, out, "movements/3/7", "")
			letter, _ := out.Body.(*schemas.DeadLetter)
			checkOriginal(t, letter, entry.GetId(), entry.GetMovement())
		})
	}
}

// checkOriginal drives the letter's original again: it must be the command.
func checkOriginal(t *testing.T, letter *schemas.DeadLetter, id string, want proto.Message) {
	t.Helper()
	var headers []schemas.Header
	for _, h := range letter.GetOriginal().GetHeaders() {
		headers = append(headers, schemas.Header{Key: h.GetKey(), Value: h.GetValue()})
	}
	m, err := schemas.Decode(headers, letter.GetOriginal().GetValue())
	if err != nil || m.ID != id || !proto.Equal(m.Body, want) {
		t.Errorf("the original is %v %v, %v; want %s %v", m.ID, m.Body, err, id, want)
	}
}

func byBank(bank string) func(*schemas.Invitation) {
	return func(x *schemas.Invitation) {
		x.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: bank}}
	}
}

func byAccount(account string) func(*schemas.Invitation) {
	return func(x *schemas.Invitation) {
		x.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Account{Account: account}}
	}
}

func byContact(contact string) func(*schemas.Invitation) {
	return func(x *schemas.Invitation) {
		x.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{Contact: contact}}
	}
}
