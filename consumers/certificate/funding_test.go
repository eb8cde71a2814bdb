package certificate_test

import (
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
			check(t, follow(t, certificate.Funding(), in(schemas.TopicPreIssues, item)))
		})
	}
	t.Run("another verb", func(t *testing.T) {
		t.Parallel()
		x := &schemas.IssuanceRequest{
			Terms: terms(),
			Verb:  &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}},
		}
		item := &schemas.PreIssue{Decision: done(), Id: "l1", Request: x}
		check(t, follow(t, certificate.Funding(), in(schemas.TopicPreIssues, item)))
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
			out := only(t, follow(t, certificate.Funding(), in(schemas.TopicPreIssues, item)))
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
