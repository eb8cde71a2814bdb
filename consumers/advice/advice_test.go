package advice_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	bank    = "PAGABRRJ"
	account = bank + "/0002"
)

func TestAdviceTellsTheAccountsBank(t *testing.T) {
	t.Parallel()
	excess := schemas.Reason_REASON_EXCESS
	tests := map[string]struct {
		verb      string
		reference proto.Message
		decision  *schemas.Decision
		want      schemas.Reason // unspecified: nobody is told
	}{
		"open, refused":              {"open", nil, refused(excess), excess},
		"credit, refused":            {"credit", nil, refused(excess), excess},
		"debit, refused":             {"debit", nil, refused(excess), excess},
		"block, refused":             {"block", nil, refused(excess), excess},
		"unblock, refused":           {"unblock", nil, refused(excess), excess},
		"capture, refused":           {"capture", nil, refused(excess), excess},
		"release, refused":           {"release", nil, refused(excess), excess},
		"release, with a reference":  {"release", &schemas.IssuanceRequest{}, refused(excess), excess},
		"vouch of nobody, refused":   {"vouch", nil, refused(excess), excess},
		"vouch of another, refused":  {"vouch", &schemas.IssuanceRequest{}, refused(excess), excess},
		"vouch of an invitation":     {"vouch", &schemas.Invitation{}, refused(excess), 0},
		"hold of nobody, refused":    {"hold", nil, refused(excess), excess},
		"hold of another, refused":   {"hold", &schemas.Invitation{}, refused(excess), excess},
		"hold of a request, refused": {"hold", &schemas.IssuanceRequest{}, refused(excess), 0},
		"hold of a request, conflict": {
			"hold", &schemas.IssuanceRequest{}, decided(schemas.Outcome_OUTCOME_CONFLICT), 0,
		},
		"conflict": {
			"debit", nil, decided(schemas.Outcome_OUTCOME_CONFLICT), schemas.Reason_REASON_CONFLICT,
		},
		"done":          {"debit", nil, decided(schemas.Outcome_OUTCOME_DONE), 0},
		"repeat":        {"debit", nil, decided(schemas.Outcome_OUTCOME_REPEAT), 0},
		"tick, refused": {"tick", nil, refused(schemas.Reason_REASON_STALE), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := entryOf(t, test.verb, test.reference, test.decision)
			got := noticesOf(t, entry)
			if test.want == schemas.Reason_REASON_UNSPECIFIED {
				if len(got) > 0 {
					t.Errorf("got %v, want nobody to be told", got)
				}
				return
			}
			want := &schemas.Notice{
				Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_ISSUING_BANK, Id: bank},
				Subject:   schemas.Subject_SUBJECT_ANSWER_REFUSED, CommandId: "m1", Account: account,
				Reason: test.want,
			}
			if len(got) != 1 || !proto.Equal(got[0], want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestAdviceLeavesWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	entry := &schemas.Entry{
		Decision:   decided(schemas.Outcome_OUTCOME_UNREADABLE),
		Unreadable: &schemas.Unreadable{Reason: "no bytes"},
	}
	if got := noticesOf(t, entry); len(got) > 0 {
		t.Errorf("got %v: that is a dead letter's", got)
	}
}

// Every refused or conflicting item that no other stage follows is told to the account's bank, once; nothing
// else is told to anybody.
func TestAdviceTellsAllAndNothingElse(t *testing.T) {
	t.Parallel()
	verbs := []string{
		"open", "credit", "debit", "block", "unblock", "vouch", "hold", "capture", "release", "tick",
	}
	references := []proto.Message{
		nil, &schemas.Invitation{}, &schemas.IssuanceRequest{}, &schemas.Terms{}, &schemas.Movement{},
	}
	rapid.Check(t, func(r *rapid.T) {
		verb := rapid.SampledFrom(verbs).Draw(r, "verb")
		reference := rapid.SampledFrom(references).Draw(r, "reference")
		d := decided(schemas.Outcome(rapid.IntRange(1, 4).Draw(r, "outcome")))
		if d.GetOutcome() != schemas.Outcome_OUTCOME_DONE {
			d.Reason = drawReason(r)
		}
		entry := entryOf(t, verb, reference, d)
		if verb != "tick" {
			entry.Movement.Account = rapid.SampledFrom([]string{account, "AVALBRSP/1"}).Draw(r, "account")
		}
		_, ofInvitation := reference.(*schemas.Invitation)
		_, ofRequest := reference.(*schemas.IssuanceRequest)
		others := verb == "tick" || verb == "vouch" && ofInvitation || verb == "hold" && ofRequest
		lost := d.GetOutcome() == schemas.Outcome_OUTCOME_REFUSED ||
			d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT
		got := noticesOf(t, entry)
		if told := len(got) == 1; told != (lost && !others) || len(got) > 1 {
			r.Fatalf("%v: got %v", entry, got)
		}
		for _, n := range got {
			of, _ := schemas.BankOf(entry.GetMovement().GetAccount())
			if n.GetRecipient().GetId() != of || n.GetAccount() != entry.GetMovement().GetAccount() {
				r.Fatalf("%v: got %v", entry, n)
			}
		}
	})
}

func drawReason(r *rapid.T) schemas.Reason {
	all := schemas.Reason(0).Descriptor().Values()
	return schemas.Reason(all.Get(rapid.IntRange(1, all.Len()-1).Draw(r, "reason")).Number())
}

// noticesOf follows the entry twice, and reads what follows.
func noticesOf(t *testing.T, entry *schemas.Entry) []*schemas.Notice {
	t.Helper()
	in := pipeline.In{
		Attributes: schemas.Attributes{ID: "item", Source: "/aval/ledger", Time: time.Unix(1790000000, 0).UTC()},
		Topic:      schemas.TopicEntries, Partition: 3, Offset: 99, Body: entry,
	}
	if err := schemas.Validate(entry); err != nil {
		t.Fatalf("Validate(%v) = %v", entry, err)
	}
	records, err := pipeline.Follows(advice.Stage(), in)
	again, errAgain := pipeline.Follows(advice.Stage(), in)
	if err != nil || errAgain != nil || len(records) != len(again) {
		t.Fatalf("Follows(%v) = %v, %v, then %v, %v", entry, records, err, again, errAgain)
	}
	var notices []*schemas.Notice
	for i, record := range records {
		m, err := schemas.Decode(record.Headers, record.Value)
		n, ok := m.Body.(*schemas.Notice)
		if err != nil || !ok || m.ID != schemas.DeriveID("advice", "item") ||
			string(record.Value) != string(again[i].Value) {
			t.Fatalf("Follows(%v) = %v, %v", entry, m, err)
		}
		notices = append(notices, n)
	}
	return notices
}

func decided(o schemas.Outcome) *schemas.Decision { return &schemas.Decision{Offset: 7, Outcome: o} }

func refused(r schemas.Reason) *schemas.Decision {
	return &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_REFUSED, Reason: r}
}

func entryOf(t *testing.T, verb string, reference proto.Message, d *schemas.Decision) *schemas.Entry {
	t.Helper()
	entry := &schemas.Entry{Decision: d, Id: "m1", Movement: movement(verb)}
	if reference != nil {
		packed, err := anypb.New(reference)
		if err != nil {
			t.Fatal(err)
		}
		entry.Movement.Reference = packed
	}
	return entry
}

func movement(verb string) *schemas.Movement {
	amount := &schemas.Money{MinorUnits: 1, Currency: "BRL"}
	deposit := schemas.AccountKind_ACCOUNT_KIND_DEPOSIT
	genesis := schemas.Contra_CONTRA_GENESIS
	m := &schemas.Movement{Account: account}
	switch verb {
	case "open":
		open := &schemas.Open{Kind: deposit, Holder: "maria", Funds: amount}
		m.Verb = &schemas.Movement_Open{Open: open}
	case "credit":
		m.Verb = &schemas.Movement_Credit{Credit: &schemas.Credit{Amount: amount, Contra: genesis}}
	case "debit":
		m.Verb = &schemas.Movement_Debit{Debit: &schemas.Debit{Amount: amount, Contra: genesis}}
	case "block":
		m.Verb = &schemas.Movement_Block{Block: &schemas.Block{}}
	case "unblock":
		m.Verb = &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}}
	case "vouch":
		m.Verb = &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: "maria", Currency: "BRL"}}
	case "hold":
		hold := &schemas.Hold{Amount: amount, Holder: "maria", Kind: deposit}
		m.Verb = &schemas.Movement_Hold{Hold: hold}
	case "capture":
		m.Verb = &schemas.Movement_Capture{Capture: &schemas.Capture{Hold: "h1", Amount: amount}}
	case "release":
		m.Verb = &schemas.Movement_Release{Release: &schemas.Release{Hold: "h1"}}
	case "tick":
		m.Account = ""
		m.Verb = &schemas.Movement_Tick{Tick: &schemas.Tick{Retention: durationpb.New(time.Hour)}}
	}
	return m
}
