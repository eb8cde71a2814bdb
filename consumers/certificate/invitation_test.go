package certificate_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

func TestInvitationAsksToVouch(t *testing.T) {
	t.Parallel()
	x := invitation()
	out := vouchFor(t, x)
	if out.Topic != schemas.TopicMovements || schemas.KeyOf(out.Body) != shopAccount ||
		out.ID != schemas.VouchID(x.GetId()) {
		t.Errorf("got %s %s", out.Topic, out.ID)
	}
	want := &schemas.Movement{
		Account: shopAccount, Reference: anyOf(t, x), Content: schemas.ContentDigest(x),
		Verb: &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: shop, Currency: "BRL"}},
	}
	if !proto.Equal(out.Body, want) {
		t.Errorf("got %v, want %v", out.Body, want)
	}
}

func TestInvitationWithoutSenseIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*schemas.Invitation)
		detail string
	}{
		"no issuing information": {func(x *schemas.Invitation) { x.Issuing = nil }, "issuing"},
		"an empty one": {
			func(x *schemas.Invitation) { x.Issuing = &schemas.IssuingInformation{} },
			"issuing",
		},
		"confirmed without account": {func(x *schemas.Invitation) {
			x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
		}, "issuing"},
		"account of another bank": {
			func(x *schemas.Invitation) { x.ReceivingAccount = mariaAccount },
			"receiving_account",
		},
		"no receiving account": {
			func(x *schemas.Invitation) { x.ReceivingAccount = "" },
			"receiving_account",
		},
		"id of another":     {func(x *schemas.Invitation) { x.Id = "another" }, "id"},
		"no funding":        {func(x *schemas.Invitation) { x.Funding = 0 }, "funding"},
		"no route":          {func(x *schemas.Invitation) { x.Route = 0 }, "route"},
		"no account source": {func(x *schemas.Invitation) { x.AccountSource = 0 }, "account_source"},
		"no directory": {
			func(x *schemas.Invitation) { x.DirectoryVersion = 0 },
			"directory_version",
		},
		"presented before accepted": {func(x *schemas.Invitation) {
			x.Deadlines = &schemas.Deadlines{AcceptBy: at(2), PresentBy: at(1)}
		}, "present_by"},
		"everything at once, and long": {func(x *schemas.Invitation) {
			x.ReceivingBank, x.ReceivingAccount, x.Issuing, x.Funding = strings.Repeat("x", 5000), "y", nil, 0
		}, "funding"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := invitation(test.change)
			outs := follow(t, certificate.Invitation(), in(schemas.TopicInvitations, x))
			check(t, outs, "refusals "+shortID(x)+" invalid", "notices shop SELLER REFUSED invalid")
			refusal, _ := outs[0].Body.(*schemas.Refusal)
			if !strings.Contains(refusal.GetDetail(), test.detail) {
				t.Errorf("detail is %q, want it to name %s", refusal.GetDetail(), test.detail)
			}
			if string(refusal.GetContentDigest()) != string(schemas.ContentDigest(x)) {
				t.Error("the refusal is not of this content")
			}
		})
	}
}

func TestFaultyInvitationAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	first := in(schemas.TopicInvitations, invitation(func(x *schemas.Invitation) { x.Funding = 0 }))
	again := first
	again.ID = "another-intake"
	a, b := follow(t, certificate.Invitation(), first), follow(t, certificate.Invitation(), again)
	for i := range a {
		if a[i].ID != b[i].ID {
			t.Errorf("follow %d has the ids %s and %s, want the same", i, a[i].ID, b[i].ID)
		}
	}
	other := first
	other.Body = invitation(func(x *schemas.Invitation) { x.Funding, x.Buyer = 0, "eve" })
	if c := follow(t, certificate.Invitation(), other); c[0].ID == a[0].ID {
		t.Error("another content has the same refusal")
	}
}

// shortID is the id as told writes it.
func shortID(x *schemas.Invitation) string {
	return strings.ReplaceAll(x.GetId(), invitation().GetId(), "INVITATION")
}
