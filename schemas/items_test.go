package schemas_test

import (
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

func example[M proto.Message](name string) func() M {
	return func() M {
		m, _ := examples()[name].(M)
		return m
	}
}

func TestIssuanceRequest(t *testing.T) {
	t.Parallel()
	type rows = map[string]row[*schemas.IssuanceRequest]
	for name, r := range map[string]rows{
		"request": {
			"empty":    {func(x *schemas.IssuanceRequest) { proto.Reset(x) }, "terms verb"},
			"no terms": {func(x *schemas.IssuanceRequest) { x.Terms = nil }, "terms"},
			"faulty terms": {
				func(x *schemas.IssuanceRequest) { x.Terms.Amount.Currency = "" }, "terms.amount.currency",
			},
			"empty request": {
				func(x *schemas.IssuanceRequest) { proto.Reset(x.GetRequest()) },
				"request.account request.buyer",
			},
			"an account for the book to refuse": {
				func(x *schemas.IssuanceRequest) { x.GetRequest().Account = "my savings" }, "",
			},
			"another buyer": {func(x *schemas.IssuanceRequest) { x.GetRequest().Buyer = "else" }, ""},
		},
		"decline": {
			"empty": {func(x *schemas.IssuanceRequest) { proto.Reset(x.GetDecline()) }, "decline.buyer"},
		},
		"withdraw": {
			"empty": {func(x *schemas.IssuanceRequest) { proto.Reset(x.GetWithdraw()) }, "withdraw.seller"},
		},
		"tick": {
			"terms": {func(x *schemas.IssuanceRequest) { x.Terms = terms() }, "terms"},
			"no retention": {
				func(x *schemas.IssuanceRequest) { x.GetTick().Retention = nil }, "tick.retention",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := func() *schemas.IssuanceRequest { return requests()[name] }
			table(t, fresh, validate[*schemas.IssuanceRequest], r)
		})
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	table(t, example[*schemas.Entry]("entry"), validate[*schemas.Entry], map[string]row[*schemas.Entry]{
		"empty":           {func(x *schemas.Entry) { proto.Reset(x) }, "decision id movement"},
		"no decision":     {func(x *schemas.Entry) { x.Decision = nil }, "decision"},
		"no outcome":      {func(x *schemas.Entry) { x.Decision.Outcome = 0 }, "decision.outcome"},
		"below zero":      {func(x *schemas.Entry) { x.Decision.Offset = -1 }, "decision.offset"},
		"odd id":          {func(x *schemas.Entry) { x.Id = "" }, "id"},
		"faulty":          {func(x *schemas.Entry) { x.Movement.Account = "" }, "movement.account"},
		"both":            {func(x *schemas.Entry) { x.Unreadable = unreadable() }, "unreadable"},
		"refused, no why": {func(x *schemas.Entry) { x.Decision.Outcome = 2 }, "decision.reason"},
		"refused":         {func(x *schemas.Entry) { x.Decision.Outcome, x.Decision.Reason = 2, 15 }, ""},
		"conflict":        {func(x *schemas.Entry) { x.Decision.Outcome = 4 }, ""},
		"conflict of terms": {func(x *schemas.Entry) {
			x.Decision.Outcome, x.Decision.Reason = 4, schemas.Reason_REASON_TERMS
		}, ""},
		"done, and why": {func(x *schemas.Entry) { x.Decision.Reason = 15 }, "decision.reason"},
		"no table": {
			func(x *schemas.Entry) { x.Decision.Changes[0].Table = "" }, "decision.changes[0].table",
		},
		"a removed table": {func(x *schemas.Entry) {
			x.Decision.Changes[0].Field, x.Decision.Changes[0].Value = "", ""
		}, ""},
		"tabs": {func(x *schemas.Entry) {
			x.Decision.Changes[0] = &schemas.Change{Table: "a\t", Field: "b\n", Value: "\tc"}
		}, "decision.changes[0].field decision.changes[0].table decision.changes[0].value"},
	})
}

func TestUnreadableItems(t *testing.T) {
	t.Parallel()
	table(t, example[*schemas.Entry]("entry-unreadable"), validate[*schemas.Entry],
		map[string]row[*schemas.Entry]{
			"no original": {func(x *schemas.Entry) { x.Unreadable = nil }, "unreadable"},
			"movement":    {func(x *schemas.Entry) { x.Movement = movements()["block"] }, "movement"},
			"no reason":   {func(x *schemas.Entry) { x.Unreadable.Reason = "" }, "unreadable.reason"},
			"an empty record": {func(x *schemas.Entry) {
				x.Unreadable = &schemas.Unreadable{Reason: "header ce_id is missing"}
			}, ""},
			"done": {func(x *schemas.Entry) { x.Decision.Outcome = 1 }, "id movement unreadable"},
		})
	table(t, example[*schemas.PreIssue]("pre-issue-unreadable"), validate[*schemas.PreIssue],
		map[string]row[*schemas.PreIssue]{
			"empty":   {func(x *schemas.PreIssue) { proto.Reset(x) }, "decision id request"},
			"request": {func(x *schemas.PreIssue) { x.Request = requests()["offer"] }, "request"},
		})
	table(t, example[*schemas.DeadLetter]("dead-letter"), validate[*schemas.DeadLetter],
		map[string]row[*schemas.DeadLetter]{
			"empty": {func(x *schemas.DeadLetter) { proto.Reset(x) }, "original topic"},
			"below zero": {
				func(x *schemas.DeadLetter) { x.Partition, x.Offset = -1, -1 }, "offset partition",
			},
			"no reason": {func(x *schemas.DeadLetter) { x.Original.Reason = "" }, "original.reason"},
		})
}

func TestAct(t *testing.T) {
	t.Parallel()
	table(t, example[*schemas.Act]("act"), validate[*schemas.Act], map[string]row[*schemas.Act]{
		"empty":        {func(x *schemas.Act) { proto.Reset(x) }, "by kind subject"},
		"unknown kind": {func(x *schemas.Act) { x.Kind = 99 }, "kind"},
		"no note":      {func(x *schemas.Act) { x.Note = "" }, ""},
	})
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	table(t, certificate, validate[*schemas.Certificate], map[string]row[*schemas.Certificate]{
		"empty": {
			func(x *schemas.Certificate) { proto.Reset(x) }, "hold_id id issuing_account jws terms",
		},
		"another id": {func(x *schemas.Certificate) { x.Id = "c1" }, "id"},
		"another account": {
			func(x *schemas.Certificate) { x.IssuingAccount = issuingBank + "/1" }, "issuing_account",
		},
		"another's bank": {func(x *schemas.Certificate) {
			x.IssuingAccount, x.Terms.IssuingAccount = receivingBank+"/1", ""
			x.Terms.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		}, "issuing_account"},
		"entered": {func(x *schemas.Certificate) {
			x.IssuingAccount, x.Terms.IssuingAccount = issuingBank+"/1", ""
			x.Terms.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		}, ""},
		"two parts":  {func(x *schemas.Certificate) { x.Jws = "a.b" }, "jws"},
		"four parts": {func(x *schemas.Certificate) { x.Jws = "a.b.c.d" }, "jws"},
		"unsigned":   {func(x *schemas.Certificate) { x.Jws = "a.b." }, "jws"},
		"padded":     {func(x *schemas.Certificate) { x.Jws = "a.b.c=" }, "jws"},
		"long":       {func(x *schemas.Certificate) { x.Jws = "a.b." + long(schemas.JWSMax) }, "jws"},
	})
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	table(t, example[*schemas.Refusal]("refusal"), validate[*schemas.Refusal],
		map[string]row[*schemas.Refusal]{
			"empty": {
				func(x *schemas.Refusal) { proto.Reset(x) },
				"content_digest invitation_id reason reference seller",
			},
			"no detail":   {func(x *schemas.Refusal) { x.Detail = "" }, ""},
			"long detail": {func(x *schemas.Refusal) { x.Detail = long(4097) }, "detail"},
		})
}

func TestNotice(t *testing.T) {
	t.Parallel()
	table(t, notice, validate[*schemas.Notice], map[string]row[*schemas.Notice]{
		"empty":    {func(x *schemas.Notice) { proto.Reset(x) }, "invitation_id recipient subject"},
		"nobody":   {func(x *schemas.Notice) { x.Recipient.Reset() }, "recipient.id recipient.role"},
		"odd bank": {func(x *schemas.Notice) { x.Recipient.Id = "bank" }, "recipient.id"},
		"no terms": {func(x *schemas.Notice) { x.Terms = nil }, ""},
		"a digest and a reference": {func(x *schemas.Notice) {
			x.ContentDigest, x.Reference = digest(1), reference
		}, ""},
		"odd digest and reference": {func(x *schemas.Notice) {
			x.ContentDigest, x.Reference = digest(1)[1:], "\xff"
		}, "content_digest reference"},
		"odd terms": {func(x *schemas.Notice) { x.Terms.KeyId = "" }, "terms.key_id"},
		"no issue":  {func(x *schemas.Notice) { x.CertificateId, x.Jws = "", "" }, "certificate_id jws"},
		"pre-issue without terms": {func(x *schemas.Notice) {
			x.Subject, x.Terms = schemas.Subject_SUBJECT_PRE_ISSUE, nil
		}, "terms"},
		"refused without why": {func(x *schemas.Notice) {
			x.Subject, x.Reason = schemas.Subject_SUBJECT_REFUSED, 0
		}, "reason"},
		"answer refused without why": {func(x *schemas.Notice) {
			x.Subject, x.Reason = schemas.Subject_SUBJECT_ANSWER_REFUSED, 0
		}, "reason"},
		"odd leg":       {func(x *schemas.Notice) { x.Then[1] = nil }, "then[1]"},
		"odd recipient": {func(x *schemas.Notice) { x.Then[1].Id = "" }, "then[1].id"},
		"nine legs":     {func(x *schemas.Notice) { x.Then = make([]*schemas.Recipient, 9) }, "then"},
	})
	table(t, advice, validate[*schemas.Notice], map[string]row[*schemas.Notice]{
		"about nothing": {
			func(x *schemas.Notice) { x.CommandId, x.Account = "", "" }, "account command_id",
		},
		"about an invitation": {func(x *schemas.Notice) {
			x.InvitationId, x.CommandId, x.Account = invitationID(), "", ""
		}, ""},
		"odd": {func(x *schemas.Notice) {
			x.InvitationId, x.CommandId, x.Account = "?", "?", "?"
		}, "account command_id invitation_id"},
		"of a refusal": {
			func(x *schemas.Notice) { x.Subject = schemas.Subject_SUBJECT_REFUSED }, "invitation_id",
		},
	})
	table(t, example[*schemas.Receipt]("receipt"), validate[*schemas.Receipt],
		map[string]row[*schemas.Receipt]{
			"empty":  {func(x *schemas.Receipt) { proto.Reset(x) }, "notice notice_id"},
			"faulty": {func(x *schemas.Receipt) { x.Notice.Subject = 0 }, "notice.subject"},
		})
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	table(t, directory, validate[*schemas.Directory], map[string]row[*schemas.Directory]{
		"empty": {func(x *schemas.Directory) { proto.Reset(x) }, "participants"},
		"an empty participant": {
			func(x *schemas.Directory) { x.Participants[1].Reset() }, "participants[1].bank",
		},
		"a bank that issues nothing": {
			func(x *schemas.Directory) { x.Participants[1].Keys, x.Participants[1].SigningKeyId = nil, "" }, "",
		},
		"no key of those": {
			func(x *schemas.Directory) { x.Participants[1].SigningKeyId = "" }, "participants[1].signing_key_id",
		},
		"no keys, and one of them signs": {
			func(x *schemas.Directory) { x.Participants[1].Keys = nil }, "participants[1].signing_key_id",
		},
		"a bank twice": {
			func(x *schemas.Directory) { x.Participants[1].Bank = receivingBank }, "participants[1].bank",
		},
		"a contact twice": {func(x *schemas.Directory) {
			x.Participants[1].Contacts = []string{"@aval.example"}
		}, "participants[1].contacts[0]"},
		"a key twice": {func(x *schemas.Directory) {
			x.Participants[0].Keys[0].Id = "aval-2026"
		}, "participants[0].keys[1].id"},
		"a key of two banks": {func(x *schemas.Directory) {
			x.Participants[1].Keys[0].Id, x.Participants[1].SigningKeyId = "aval-2025", "aval-2025"
		}, "participants[1].keys[0].id"},
		"another's key": {func(x *schemas.Directory) {
			x.Participants[1].SigningKeyId = "aval-2026"
		}, "participants[1].signing_key_id"},
		"a short key": {func(x *schemas.Directory) {
			x.Participants[0].Keys[0].Ed25519 = make([]byte, 31)
		}, "participants[0].keys[0].ed25519"},
		"odd contacts": {func(x *schemas.Directory) {
			x.Participants[0].Contacts = []string{"", long(257), long(256)}
		}, "participants[0].contacts[0] participants[0].contacts[1]"},
	})
	many := directory()
	for i := range 1000 {
		many.Participants = append(many.Participants, &schemas.Participant{Bank: strconv.Itoa(i)})
	}
	if got := schemas.FaultsOf(schemas.Validate(many)); len(got) != schemas.FaultsMax {
		t.Errorf("%d faults are reported, want %d", len(got), schemas.FaultsMax)
	}
	table(t, example[*schemas.Takeover]("takeover"), validate[*schemas.Takeover],
		map[string]row[*schemas.Takeover]{
			"empty":      {func(x *schemas.Takeover) { proto.Reset(x) }, "history partitions"},
			"no owner":   {func(x *schemas.Takeover) { x.Owner = "" }, ""},
			"long owner": {func(x *schemas.Takeover) { x.Owner = long(1025) }, "owner"},
		})
}
