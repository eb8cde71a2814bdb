package certificate_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

func TestFundingAsksForTheMoney(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		funding schemas.Funding
		kind    schemas.AccountKind
	}{
		"deposit": {schemas.Funding_FUNDING_DEPOSIT, schemas.AccountKind_ACCOUNT_KIND_DEPOSIT},
		"credit":  {schemas.Funding_FUNDING_CREDIT, schemas.AccountKind_ACCOUNT_KIND_CREDIT},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := request(terms(func(y *schemas.Terms) { y.Funding = test.funding }))
			out := holdFor(t, x)
			want := &schemas.Movement{
				Account: mariaAccount, Reference: anyOf(t, x),
				Content: append(schemas.TermsDigest(x.GetTerms()), mariaAccount...),
				Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
					Amount: &schemas.Money{MinorUnits: 17720, Currency: "BRL"},
					Holder: maria, Kind: test.kind,
				}},
			}
			if !proto.Equal(out.Body, want) {
				t.Errorf("got %v, want %v", out.Body, want)
			}
			if out.Topic != schemas.TopicMovements ||
				out.ID != schemas.HoldID(x.GetTerms().GetInvitationId()) {
				t.Errorf("got %s %s", out.Topic, out.ID)
			}
		})
	}
}

// Money must not be frozen for what nobody will sign: the bank and its key are looked up first.
func TestFundingRefusesWhatCannotBeSigned(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*schemas.Terms){
		"a version that is none": func(y *schemas.Terms) { y.DirectoryVersion = 2 },
		"a bank that is none":    func(y *schemas.Terms) { y.IssuingBank = "NONEBRSP" },
		"a key that is none":     func(y *schemas.Terms) { y.KeyId = "tomorrow" },
		"another bank's key":     func(y *schemas.Terms) { y.KeyId = "demonstration-aval" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := request(terms(change))
			x.GetRequest().Account = x.GetTerms().GetIssuingBank() + "/0002"
			item := &schemas.PreIssue{Decision: done(), Id: "r1", Request: x}
			outs := follow(t, certificate.Funding(directories{1}), in(schemas.TopicPreIssues, item))
			check(t, outs, "refusals INVITATION invalid", "notices maria BUYER REFUSED invalid",
				"notices shop SELLER REFUSED invalid", "notices AVALBRSP RECEIVING_BANK REFUSED invalid")
			for _, out := range outs[1:] {
				checkAbout(t, out, x.GetTerms())
			}
		})
	}
}

// A key that signs no more was the bank's when it offered.
func TestFundingTakesAnEarlierKey(t *testing.T) {
	t.Parallel()
	if out := holdFor(t, request(terms(func(y *schemas.Terms) { y.KeyId = "paga-before" }))); out.ID == "" {
		t.Errorf("got %v, want a hold", out)
	}
}

func TestFundingWaitsForTheDirectory(t *testing.T) {
	t.Parallel()
	item := &schemas.PreIssue{Decision: done(), Id: "r1", Request: request(terms())}
	outs, err := certificate.Funding(outage{}).Follow(in(schemas.TopicPreIssues, item))
	if !errors.Is(err, errOutage) || outs != nil {
		t.Errorf("Follow() = %v, %v, want to wait", outs, err)
	}
}

// Two requests with two accounts ask for one hold: the book that decides on requests lets one pass, and the
// accounts book would not hold twice.
func TestFundingAsksForOneHold(t *testing.T) {
	t.Parallel()
	one, two := request(terms()), request(terms())
	two.GetRequest().Account = issuingBank + "/other"
	a, b := holdFor(t, one), holdFor(t, two)
	if a.ID != b.ID {
		t.Errorf("got the holds %s and %s, want one", a.ID, b.ID)
	}
}

func TestFundingFollowsOnlyWhatWasDone(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*schemas.Decision{
		"refused": refused(schemas.Reason_REASON_TERMS), "repeat": repeated(), "conflict": conflict(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			item := &schemas.PreIssue{Decision: d, Id: "r1", Request: request(terms())}
			check(t, follow(t, certificate.Funding(outage{}), in(schemas.TopicPreIssues, item)))
		})
	}
	t.Run("another verb", func(t *testing.T) {
		t.Parallel()
		x := &schemas.IssuanceRequest{
			Terms: terms(),
			Verb:  &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}},
		}
		item := &schemas.PreIssue{Decision: done(), Id: "l1", Request: x}
		check(t, follow(t, certificate.Funding(outage{}), in(schemas.TopicPreIssues, item)))
	})
}

func TestFundingBuriesWhatTheBookShouldHaveRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*schemas.IssuanceRequest)
		why    string
	}{
		"no account": {
			func(x *schemas.IssuanceRequest) { x.GetRequest().Account = "no account" },
			"kept by",
		},
		"another's buyer": {func(x *schemas.IssuanceRequest) { x.GetRequest().Buyer = "eve" }, "buyer's"},
		"another bank": {
			func(x *schemas.IssuanceRequest) { x.GetRequest().Account = shopAccount },
			"kept by",
		},
		"not the pre-filled account": {func(x *schemas.IssuanceRequest) {
			x.Terms.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
			x.Terms.IssuingAccount = issuingBank + "/given"
		}, "pre-filled"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := request(terms())
			test.change(x)
			item := &schemas.PreIssue{Decision: done(), Id: "r1", Request: x}
			out := only(t, follow(t, certificate.Funding(outage{}), in(schemas.TopicPreIssues, item)))
			checkLetter(t, out, "issuance-requests/3/7", test.why)
			letter, _ := out.Body.(*schemas.DeadLetter)
			checkOriginal(t, letter, "r1", x)
		})
	}
}

func tick() *schemas.IssuanceRequest {
	return &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Tick{
		Tick: &schemas.Tick{Retention: durationpb.New(time.Hour)},
	}}
}
