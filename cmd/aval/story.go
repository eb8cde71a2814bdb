package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// tale is what happened to an invitation, as it is printed.
type tale struct {
	InvitationID  string  `json:"invitation_id"`
	CertificateID string  `json:"certificate_id,omitempty"` // of an issued one
	State         string  `json:"state"`
	Reason        string  `json:"reason,omitempty"` // why there is no certificate
	Terms         agreed  `json:"terms"`
	Events        []event `json:"events"`
	// Forgotten is how many more there were, of which the log does not keep the words any more.
	Forgotten int `json:"forgotten,omitempty"`
}

// agreed is what an invitation asks for, and as far as they are known the terms.
type agreed struct {
	Seller           string  `json:"seller,omitempty"`
	Reference        string  `json:"reference,omitempty"`
	Buyer            string  `json:"buyer,omitempty"`
	Amount           *amount `json:"amount,omitempty"`
	Funding          string  `json:"funding,omitempty"`
	ReceivingBank    string  `json:"receiving_bank,omitempty"`
	ReceivingAccount string  `json:"receiving_account,omitempty"`
	IssuingBank      string  `json:"issuing_bank,omitempty"`
	IssuingAccount   string  `json:"issuing_account,omitempty"`
	AccountSource    string  `json:"account_source,omitempty"`
	Route            string  `json:"route,omitempty"`
	AcceptBy         string  `json:"accept_by,omitempty"`
	PresentBy        string  `json:"present_by,omitempty"`
	SettleBy         string  `json:"settle_by,omitempty"`
	KeyID            string  `json:"key_id,omitempty"`
	DirectoryVersion uint64  `json:"directory_version,omitempty"`
}

// event is one thing that happened, and where the log tells it.
type event struct {
	Time      string `json:"time"`
	Event     string `json:"event"`
	Reason    string `json:"reason,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	ID        string `json:"id"` // of the message; of what a book answered, the command's
	// Command is where the command stands that a book answered: TOPIC/PARTITION/OFFSET.
	Command string `json:"command,omitempty"`

	at time.Time
}

// stories tells what happened to the system's invitations.
func (s *system) stories() *register.Stories {
	return register.NewStories(s.redis, s.kafka, s.register())
}

// register says what the register is told.
func (s *system) register() register.Config {
	return register.Config{Namespace: s.namespace, Partitions: s.partitions, Now: time.Now}
}

// taleOf is a story as it is printed: what happened, in its order.
func taleOf(s register.Story) tale {
	t := tale{InvitationID: s.Invitation, State: string(s.State), Terms: agreedOf(s), Forgotten: s.Forgotten}
	for _, part := range [][]register.Fact{
		s.Invitations, s.Vouches, s.PreIssues, s.Holds, s.Certificates, s.Refusals,
	} {
		for _, f := range part {
			t.Events = append(t.Events, eventOf(f))
		}
	}
	slices.SortStableFunc(t.Events, func(a, b event) int { return a.at.Compare(b.at) })
	for _, f := range s.Certificates {
		t.CertificateID = f.ID
	}
	if s.State != register.StateIssued {
		t.Reason = reasonOf(s)
	}
	return t
}

// reasonOf is why there is no certificate. Who asks here may know the true one.
func reasonOf(s register.Story) string {
	for _, f := range s.Holds {
		if x, _ := f.Body.(*schemas.Entry); x.GetDecision().GetReason() != schemas.Reason_REASON_UNSPECIFIED {
			return x.GetDecision().GetReason().Word()
		}
	}
	for _, f := range slices.Backward(s.Refusals) {
		x, _ := f.Body.(*schemas.Refusal)
		if s.State.Final() && x.GetReason() != schemas.Reason_REASON_CONFLICT {
			return x.GetReason().Word()
		}
	}
	return ""
}

// agreedOf is what is known of what the parties want: of the certificate, else the offer, else the invitation.
func agreedOf(s register.Story) agreed {
	for _, f := range s.Certificates {
		x, _ := f.Body.(*schemas.Certificate)
		a := agreedIn(x.GetTerms())
		a.IssuingAccount = x.GetIssuingAccount()
		return a
	}
	for _, f := range s.PreIssues {
		if x, _ := f.Body.(*schemas.PreIssue); x.GetRequest().GetOffer() != nil {
			return agreedIn(x.GetRequest().GetTerms())
		}
	}
	for _, f := range s.Invitations {
		x, _ := f.Body.(*schemas.Invitation)
		return agreedWanted(x)
	}
	for _, f := range s.Refusals {
		x, _ := f.Body.(*schemas.Refusal)
		return agreed{Seller: x.GetSeller(), Reference: x.GetReference()}
	}
	return agreed{}
}

func agreedIn(t *schemas.Terms) agreed {
	return agreed{
		Seller: t.GetSeller(), Reference: t.GetReference(), Buyer: t.GetBuyer(), Amount: amountOf(t.GetAmount()),
		Funding: wordOf(t.GetFunding().String(), "FUNDING_"), ReceivingBank: t.GetReceivingBank(),
		ReceivingAccount: t.GetReceivingAccount(), IssuingBank: t.GetIssuingBank(),
		IssuingAccount: t.GetIssuingAccount(),
		AccountSource:  wordOf(t.GetAccountSource().String(), "ACCOUNT_SOURCE_"),
		Route:          wordOf(t.GetRoute().String(), "ROUTE_"),
		AcceptBy:       stamp(t.GetDeadlines().GetAcceptBy()), PresentBy: stamp(t.GetDeadlines().GetPresentBy()),
		SettleBy: stamp(t.GetDeadlines().GetSettleBy()), KeyID: t.GetKeyId(), DirectoryVersion: t.GetDirectoryVersion(),
	}
}

func agreedWanted(x *schemas.Invitation) agreed {
	return agreed{
		Seller: x.GetSeller(), Reference: x.GetReference(), Buyer: x.GetBuyer(), Amount: amountOf(x.GetAmount()),
		Funding: wordOf(x.GetFunding().String(), "FUNDING_"), ReceivingBank: x.GetReceivingBank(),
		ReceivingAccount: x.GetReceivingAccount(), IssuingBank: x.GetIssuing().GetBank(),
		IssuingAccount: x.GetIssuing().GetAccount(),
		AccountSource:  wordOf(x.GetAccountSource().String(), "ACCOUNT_SOURCE_"),
		Route:          wordOf(x.GetRoute().String(), "ROUTE_"),
		AcceptBy:       stamp(x.GetDeadlines().GetAcceptBy()), PresentBy: stamp(x.GetDeadlines().GetPresentBy()),
		SettleBy: stamp(x.GetDeadlines().GetSettleBy()), DirectoryVersion: x.GetDirectoryVersion(),
	}
}

func amountOf(m *schemas.Money) *amount {
	return &amount{MinorUnits: m.GetMinorUnits(), Currency: m.GetCurrency()}
}

// money is an amount with its currency.
func (a *amount) money() string {
	if a == nil {
		return ""
	}
	return schemas.FormatAmount(a.MinorUnits, a.Currency) + " " + a.Currency
}

// wordOf is the name of an enumeration's value as people write it; empty where it is unset.
func wordOf(name, prefix string) string {
	word := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", "-"))
	if word == "unspecified" {
		return ""
	}
	return word
}

func stamp(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return moment(t.AsTime())
}

// moment is a time as all commands print it.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// eventOf tells a fact.
func eventOf(f register.Fact) event {
	e := event{
		Time: moment(f.Time), Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, ID: f.ID, at: f.Time,
	}
	switch body := f.Body.(type) {
	case *schemas.Invitation:
		a := agreedWanted(body)
		e.Event, e.Detail = "invited", fmt.Sprintf("%s of %s for %s", a.Amount.money(), cell(a.Buyer), cell(a.Seller))
	case *schemas.PreIssue:
		e.Event, e.Detail = preIssueEvent(body)
		e.answer(f, body.GetId(), body.GetDecision())
	case *schemas.Entry:
		e.Event, e.Detail = entryEvent(body)
		e.answer(f, body.GetId(), body.GetDecision())
	case *schemas.Certificate:
		e.Event, e.Detail = "issued", "signed with key "+body.GetTerms().GetKeyId()
	case *schemas.Refusal:
		e.Event, e.Reason, e.Detail = "refused", body.GetReason().Word(), body.GetDetail()
	}
	return e
}

// answer tells of a book's item whose command it answers.
func (e *event) answer(f register.Fact, id string, d *schemas.Decision) {
	e.ID = cmp.Or(id, e.ID)
	if at, ok := f.Command(); ok {
		e.Command = at.String()
	}
	switch {
	case d.GetReason() != schemas.Reason_REASON_UNSPECIFIED:
		e.Reason = d.GetReason().Word()
	case d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT:
		e.Reason = schemas.Reason_REASON_CONFLICT.Word()
	}
}

func preIssueEvent(x *schemas.PreIssue) (what, detail string) {
	done := x.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
	switch verb := x.GetRequest().GetVerb().(type) {
	case *schemas.IssuanceRequest_Offer:
		what, detail = "offered", "by "+x.GetRequest().GetTerms().GetIssuingBank()
	case *schemas.IssuanceRequest_Request:
		what, detail = "requested", "out of "+cell(verb.Request.GetAccount())
	case *schemas.IssuanceRequest_Decline:
		what, detail = "declined", "by "+cell(verb.Decline.GetBuyer())
	case *schemas.IssuanceRequest_Withdraw:
		what, detail = "withdrawn", "by "+cell(verb.Withdraw.GetSeller())
	case *schemas.IssuanceRequest_Lapse:
		what = "lapsed"
	}
	if !done {
		what = "not " + what
	}
	return what, detail
}

func entryEvent(x *schemas.Entry) (what, detail string) {
	done := x.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
	what = "vouched for"
	if hold := x.GetMovement().GetHold(); hold != nil {
		what, detail = "frozen", amountOf(hold.GetAmount()).money()+" on "
		if hold.GetKind() == schemas.AccountKind_ACCOUNT_KIND_CREDIT {
			what = "line used"
		}
	}
	if !done {
		what = "not " + what
	}
	return what, detail + x.GetMovement().GetAccount()
}

// place is where the event stands.
func (e event) place() pipeline.Place {
	return pipeline.Place{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}
}

func eventColumns() []column[event] {
	return []column[event]{
		{"time", func(e event) string { return e.Time }},
		{"event", func(e event) string {
			if e.Reason != "" {
				return e.Event + ": " + e.Reason
			}
			return e.Event
		}},
		{"detail", func(e event) string { return e.Detail }},
		{"stands at", func(e event) string { return e.place().String() }},
		{"id", func(e event) string { return e.ID }},
	}
}

// lines are what is said of the invitation as a whole.
func (t tale) lines() []line {
	a := t.Terms
	version := ""
	if a.DirectoryVersion > 0 {
		version = fmt.Sprintf("version %d of the directory", a.DirectoryVersion)
	}
	return []line{
		{"state", t.State},
		{"reason", t.Reason},
		{"invitation", t.InvitationID},
		{"certificate", t.CertificateID},
		{"amount", a.Amount.money()},
		{"funding", a.Funding},
		{"seller", cell(a.Seller)},
		{"reference", cell(a.Reference)},
		{"buyer", cell(a.Buyer)},
		{"receiving bank", a.ReceivingBank},
		{"receiving account", cell(a.ReceivingAccount)},
		{"issuing bank", a.IssuingBank},
		{"issuing account", cell(a.IssuingAccount)},
		{"route", a.Route},
		{"accept by", a.AcceptBy},
		{"present by", a.PresentBy},
		{"settle by", a.SettleBy},
		{"resolved with", version},
		{"key", a.KeyID},
	}
}
