package schemas_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "add golden files that are missing; never change one")
	os.Exit(m.Run())
}

const (
	receivingBank = "AVALBRSP"
	issuingBank   = "QUAYUS33XXX"
	seller        = "Loja \"São João\"\nfilial 2"
	reference     = "pedido 1/2026"
	buyer         = "买家"
)

// examples are valid messages: together they set every field there is.
func examples() map[string]proto.Message {
	all := map[string]proto.Message{
		"invitation-bank": invitation(&schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Bank{Bank: issuingBank},
		}),
		"invitation-account": confirmed(),
		"invitation-contact": invitation(&schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Contact{Contact: "buyer@example.com"},
		}),
		"certificate": certificate(),
		"refusal": &schemas.Refusal{
			InvitationId: invitationID(), ContentDigest: digest(1), Seller: seller, Reference: reference,
			Reason: schemas.Reason_REASON_INVALID, Detail: "amount.currency is empty",
		},
		"notice": notice(),
		"notice-of-content": &schemas.Notice{
			Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: seller},
			Subject:   schemas.Subject_SUBJECT_ANSWER_REFUSED, InvitationId: invitationID(),
			ContentDigest: digest(1), Reference: reference, Reason: schemas.Reason_REASON_STALE,
		},
		"notice-of-command": advice(),
		"receipt-of-command": &schemas.Receipt{
			NoticeId: schemas.DeriveID("notice", "2"), Notice: advice(),
		},
		"receipt-given-up": &schemas.Receipt{
			NoticeId: schemas.DeriveID("notice", "1"), Notice: notice(),
			Delivery: schemas.Delivery_DELIVERY_GIVEN_UP,
		},
		"notice-retry": noticeRetry(),
		"receipt":      &schemas.Receipt{NoticeId: schemas.DeriveID("notice", "1"), Notice: notice()},
		"act": &schemas.Act{
			Kind: schemas.ActKind_ACT_KIND_REDRIVE, Subject: "movements/3/1207", By: "maria",
			Note: "the parser is mended",
		},
		"dead-letter": &schemas.DeadLetter{
			Topic: "invitations", Partition: 3, Offset: 1 << 40,
			Original: unreadable(),
		},
		"directory": directory(), "directory-parties": partiesDirectory(),
		"takeover": &schemas.Takeover{
			History: schemas.DeriveID("history"), Partitions: 240,
			Owner: "ledger-0",
		},
		"entry": &schemas.Entry{
			Decision: &schemas.Decision{
				Offset: 7, Outcome: schemas.Outcome_OUTCOME_DONE,
				Changes: []*schemas.Change{{
					Table: "accounts", Field: "AVALBRSP/1",
					Value: "deposit BRL open 0 0 0 - -",
				}},
			},
			Id: "m1", Movement: movements()["hold"],
		},
		"entry-unreadable": &schemas.Entry{
			Decision:   &schemas.Decision{Offset: 8, Outcome: schemas.Outcome_OUTCOME_UNREADABLE},
			Unreadable: unreadable(),
		},
		"pre-issue": &schemas.PreIssue{
			Decision: &schemas.Decision{
				Outcome: schemas.Outcome_OUTCOME_REPEAT, Reason: schemas.Reason_REASON_ALREADY_DECLINED,
			},
			Id: "r1", Request: requests()["request"],
		},
		"pre-issue-unreadable": &schemas.PreIssue{
			Decision:   &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_UNREADABLE},
			Unreadable: unreadable(),
		},
	}
	for verb, m := range movements() {
		all["movement-"+verb] = m
	}
	for verb, r := range requests() {
		all["issuance-request-"+verb] = r
	}
	return all
}

func message(body proto.Message) schemas.Message {
	return schemas.Message{
		Attributes: schemas.Attributes{
			ID: "01J:a.b_c-d", Source: "/aval/test", Cause: "01J0",
			Time: time.Date(2026, 1, 31, 10, 0, 0, 123456789, time.UTC),
		},
		Body: body,
	}
}

func invitation(issuing *schemas.IssuingInformation) *schemas.Invitation {
	return &schemas.Invitation{
		Id: invitationID(), ReceivingBank: receivingBank, ReceivingAccount: receivingBank + "/0001-7",
		Seller: seller, Reference: reference, Buyer: buyer, Amount: money(17720),
		Funding: schemas.Funding_FUNDING_DEPOSIT, Issuing: issuing, Route: schemas.Route_ROUTE_VIA_SELLER,
		AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED, Deadlines: deadlines(),
		DirectoryVersion: 3,
	}
}

func confirmed() *schemas.Invitation {
	i := invitation(&schemas.IssuingInformation{
		Kind: &schemas.IssuingInformation_Account{Account: issuingBank + "/9.9"},
	})
	i.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	return i
}

func invitationID() string { return schemas.InvitationID(receivingBank, seller, reference) }

func money(minor int64) *schemas.Money { return &schemas.Money{MinorUnits: minor, Currency: "BRL"} }

func deadlines() *schemas.Deadlines {
	return &schemas.Deadlines{
		AcceptBy:  &timestamppb.Timestamp{Seconds: 1_800_000_000},
		PresentBy: &timestamppb.Timestamp{Seconds: 1_800_000_000, Nanos: 1},
		SettleBy:  &timestamppb.Timestamp{Seconds: 1_900_000_000},
	}
}

func digest(b byte) []byte { return bytes.Repeat([]byte{b}, schemas.DigestSize) }

func terms() *schemas.Terms {
	return &schemas.Terms{
		InvitationId: invitationID(), ContentDigest: digest(2), Seller: seller, Reference: reference,
		Buyer:  buyer,
		Amount: money(17720), Funding: schemas.Funding_FUNDING_CREDIT,
		ReceivingBank: receivingBank, ReceivingAccount: receivingBank + "/0001-7",
		IssuingBank: issuingBank, IssuingAccount: issuingBank + "/9.9",
		AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED, Route: schemas.Route_ROUTE_DIRECT,
		Deadlines: deadlines(), KeyId: "quay-2026", DirectoryVersion: 3,
	}
}

func certificate() *schemas.Certificate {
	hold := schemas.HoldID(invitationID())
	return &schemas.Certificate{
		Id: schemas.CertificateID(hold), Terms: terms(), IssuingAccount: issuingBank + "/9.9", HoldId: hold,
		Jws: "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
	}
}

func notice() *schemas.Notice {
	return &schemas.Notice{
		Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_RECEIVING_BANK, Id: receivingBank},
		Subject:   schemas.Subject_SUBJECT_ISSUED, InvitationId: invitationID(), Terms: terms(),
		Reason: schemas.Reason_REASON_TERMS, CertificateId: "c1", Jws: "e30.e30.c2ln",
		Then: []*schemas.Recipient{
			{Role: schemas.Role_ROLE_SELLER, Id: seller}, {Role: schemas.Role_ROLE_BUYER, Id: buyer},
		},
	}
}

func advice() *schemas.Notice {
	return &schemas.Notice{
		Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_ISSUING_BANK, Id: issuingBank},
		Subject:   schemas.Subject_SUBJECT_ANSWER_REFUSED, CommandId: "m1", Account: issuingBank + "/9.9",
		Reason: schemas.Reason_REASON_HOLD_UNKNOWN,
	}
}

func unreadable() *schemas.Unreadable {
	return &schemas.Unreadable{
		Reason: "header ce_id is missing", Key: []byte{0, 0xff}, Value: []byte("\xc3\x28"),
		Headers: []*schemas.OriginalHeader{{Key: "ce_type", Value: []byte{0xfe}}},
	}
}

func directory() *schemas.Directory {
	return &schemas.Directory{Participants: []*schemas.Participant{
		{
			Bank: receivingBank, Name: "Banco Aval", Contacts: []string{"@aval.example", "+5511999990000"},
			Keys: []*schemas.PublicKey{
				{Id: "aval-2025", Ed25519: bytes.Repeat([]byte{1}, 32)},
				{Id: "aval-2026", Ed25519: bytes.Repeat([]byte{2}, 32)},
			},
			SigningKeyId: "aval-2026",
		},
		{
			Bank: issuingBank, Name: "Quay",
			Keys:         []*schemas.PublicKey{{Id: "quay-2026", Ed25519: bytes.Repeat([]byte{3}, 32)}},
			SigningKeyId: "quay-2026",
		},
	}}
}

func partiesDirectory() *schemas.Directory {
	d := directory()
	d.Parties = []*schemas.Party{
		{Id: seller, WebhookUrl: "https://shop.example:8443/aval/notices", WebhookKeyId: "shop-2026"},
		{Id: issuingBank, WebhookUrl: "http://10.1.2.3/", WebhookKeyId: "quay-2026"},
		{Id: buyer},
	}
	return d
}

func noticeRetry() *schemas.NoticeRetry {
	return &schemas.NoticeRetry{
		NoticeId: schemas.DeriveID("notice", "1"), Notice: notice(), Tries: 3,
		First: &timestamppb.Timestamp{Seconds: 1_790_000_000},
		Due:   &timestamppb.Timestamp{Seconds: 1_790_000_060, Nanos: 1},
	}
}

func movements() map[string]*schemas.Movement {
	movement := func() *schemas.Movement {
		return &schemas.Movement{
			Account: issuingBank + "/9.9",
			Reference: &anypb.Any{
				TypeUrl: "type.googleapis.com/aval.v1.Receipt",
				Value:   []byte("\x0a\x02n1"),
			},
			Content: digest(9),
		}
	}
	all := map[string]*schemas.Movement{}
	for _, verb := range []string{
		"open", "credit", "debit", "block", "unblock", "vouch", "hold", "capture", "release", "tick",
	} {
		all[verb] = movement()
	}
	all["open"].Verb = &schemas.Movement_Open{Open: &schemas.Open{
		Kind: schemas.AccountKind_ACCOUNT_KIND_CREDIT, Holder: buyer, Funds: money(0),
	}}
	all["credit"].Verb = &schemas.Movement_Credit{
		Credit: &schemas.Credit{Amount: money(1), Contra: schemas.Contra_CONTRA_GENESIS},
	}
	all["debit"].Verb = &schemas.Movement_Debit{
		Debit: &schemas.Debit{Amount: money(schemas.AmountMax), Contra: schemas.Contra_CONTRA_CLEARING},
	}
	all["block"].Verb = &schemas.Movement_Block{Block: &schemas.Block{}}
	all["unblock"].Verb = &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}}
	all["vouch"].Verb = &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: seller, Currency: "JPY"}}
	all["hold"].Verb = &schemas.Movement_Hold{Hold: &schemas.Hold{
		Amount: money(17720), Holder: buyer, Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
	}}
	all["capture"].Verb = &schemas.Movement_Capture{Capture: &schemas.Capture{Hold: "h1", Amount: money(5)}}
	all["release"].Verb = &schemas.Movement_Release{Release: &schemas.Release{Hold: "h1"}}
	all["tick"] = &schemas.Movement{Verb: &schemas.Movement_Tick{Tick: tick()}}
	return all
}

func tick() *schemas.Tick { return &schemas.Tick{Retention: durationpb.New(720*time.Hour + 1)} }

func requests() map[string]*schemas.IssuanceRequest {
	return map[string]*schemas.IssuanceRequest{
		"offer": {Terms: terms(), Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}}},
		"request": {Terms: terms(), Verb: &schemas.IssuanceRequest_Request{
			Request: &schemas.Request{Buyer: buyer, Account: issuingBank + "/9.9"},
		}},
		"decline": {
			Terms: terms(), Verb: &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: buyer}},
		},
		"withdraw": {
			Terms: terms(),
			Verb:  &schemas.IssuanceRequest_Withdraw{Withdraw: &schemas.Withdraw{Seller: seller}},
		},
		"lapse": {Terms: terms(), Verb: &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}},
		"tick":  {Verb: &schemas.IssuanceRequest_Tick{Tick: tick()}},
	}
}

// fields are the faults' fields, sorted.
func fields(err error) string {
	var names []string
	for _, f := range schemas.FaultsOf(err) {
		names = append(names, f.Field)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
