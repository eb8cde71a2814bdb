package audit_test

import (
	"cmp"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

// TestWhatLooksLikeACard tells numbers of cards from what only looks like them.
func TestWhatLooksLikeACard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		detail, seller, account, claims string
		key                             string // of a notice: a party
		party                           *schemas.Party
		retry                           string // the claims of a notice that waits
		found                           bool
	}{
		"a card of 16 digits":            {detail: "4111111111111111", found: true},
		"a card of 19 digits":            {detail: "is 6304000000000000000.", found: true},
		"a card of 12 digits":            {detail: "(507680000001)", found: true},
		"the check digit is wrong":       {detail: "4111111111111112"},
		"too short":                      {detail: "41111111112"},
		"too long":                       {detail: "00004111111111111111"},
		"in the middle of an identifier": {detail: "a4111111111111111"},
		"a party's identifier":           {seller: "4111111111111111"},
		"an account's number":            {account: "AVALBRRJ/4111111111111111", found: true},
		"a claim that is signed":         {claims: `{"account":"AVALBRRJ/4111111111111111"}`, found: true},
		"an amount that is signed":       {claims: `{"minor_units":"4111111111111111"}`},
		"claims that cannot be read":     {claims: `4111111111111111 is mine`, found: true},
		"the key of a party's notices":   {key: "4111111111111111"},
		"a party in the directory":       {party: &schemas.Party{Id: "4111111111111111"}},
		"a party's URL": {party: &schemas.Party{
			Id: "x", WebhookUrl: "https://shop.example/4111111111111111", WebhookKeyId: "k",
		}, found: true},
		"a claim of what waits":             {retry: `{"account":"AVALBRRJ/4111111111111111"}`, found: true},
		"a canary in a claim of what waits": {retry: `{"account":"canary-7c1f"}`, found: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			switch {
			case c.detail != "" || c.seller != "":
				w.put(schemas.TopicRefusals, "refusal", &schemas.Refusal{
					InvitationId: "x", ContentDigest: make([]byte, schemas.DigestSize),
					Seller: cmp.Or(c.seller, "seller"), Reference: "r",
					Reason: schemas.Reason_REASON_INVALID, Detail: c.detail,
				})
			case c.account != "":
				w.put(schemas.TopicReceipts, "receipt", &schemas.Receipt{
					NoticeId: "notice", Notice: notice("buyer", c.account, jws("{}")),
				})
			case c.claims != "":
				w.put(schemas.TopicNotices, "notice", notice("buyer", "", jws(c.claims)))
			case c.party != nil:
				w.put(schemas.TopicDirectory, "directory-2", directory(c.party))
			case c.retry != "":
				w.put(schemas.TopicNoticeRetries, "retry", &schemas.NoticeRetry{
					NoticeId: "notice", Notice: notice("buyer", "", jws(c.retry)), Tries: 1,
					First: &timestamppb.Timestamp{Seconds: 1}, Due: &timestamppb.Timestamp{Seconds: 2},
				})
			default:
				w.put(schemas.TopicNotices, "notice", notice(c.key, "", jws("{}")))
			}
			if report := audited(t, w.config()); report.OK() == c.found {
				t.Errorf("violations %v, want some: %t", report.Violations, c.found)
			}
		})
	}
}

func directory(party *schemas.Party) *schemas.Directory {
	return &schemas.Directory{
		Participants: []*schemas.Participant{{
			Bank: "AVALBRRJ", SigningKeyId: "k", Keys: []*schemas.PublicKey{{Id: "k", Ed25519: make([]byte, 32)}},
		}},
		Parties: []*schemas.Party{party},
	}
}

func notice(buyer, account, jws string) *schemas.Notice {
	d := issued()
	terms := clone(d.terms)
	if account != "" {
		terms.IssuingAccount, terms.AccountSource = account, schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	}
	return &schemas.Notice{
		Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_BUYER, Id: buyer},
		Subject:   schemas.Subject_SUBJECT_ISSUED, InvitationId: d.id(), Terms: terms,
		CertificateId: "c", Jws: jws,
	}
}
