package main

import (
	"context"
	"fmt"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/producers/command"
	"github.com/aval-systems/aval/schemas"
)

// accountAnswer is what the accounts book recorded about a command, as it is printed.
type accountAnswer struct {
	ID      string `json:"id"`
	Verb    string `json:"verb"`
	Account string `json:"account"`
	Outcome string `json:"outcome"`          // done, refused, repeat, conflict
	Reason  string `json:"reason,omitempty"` // of a repeat: why that which stands was refused
	Words   string `json:"words"`
	// Where the answer stands.
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	// After is what the account has after it; of what changed nothing, what it has now. It may be unknown.
	After *accountView `json:"after,omitempty"`

	stands bool
}

// accountAnswer tells an answer, with what the account has after it.
func (s *system) accountAnswer(ctx context.Context, m *schemas.Movement, a command.Answer) accountAnswer {
	d := a.Decision
	told := accountAnswer{
		ID: a.ID, Verb: verbOf(m), Account: m.GetAccount(), Outcome: outcomeWord(d.GetOutcome()),
		Topic: schemas.TopicEntries, Partition: a.Partition, Offset: a.Offset, stands: a.Stands(),
	}
	if d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		told.Reason = d.GetReason().Word()
	}
	told.Words = answerWords(d)
	row, found := "", false
	for _, c := range d.GetChanges() {
		if c.GetTable() == ledger.TableAccounts && c.GetField() == m.GetAccount() {
			row, found = c.GetValue(), true
		}
	}
	if !found { // nothing changed: what it has now, if that can be read
		row, found, _ = s.accounts().row(ctx, m.GetAccount())
	}
	if found {
		if view, err := viewOf(a.Partition, m.GetAccount(), row); err == nil {
			told.After = &view
		}
	}
	return told
}

// verbOf is what a movement asks for.
func verbOf(m *schemas.Movement) string {
	x := m.ProtoReflect()
	return string(x.WhichOneof(x.Descriptor().Oneofs().ByName("verb")).Name())
}

func outcomeWord(o schemas.Outcome) string {
	switch o {
	case schemas.Outcome_OUTCOME_DONE:
		return "done"
	case schemas.Outcome_OUTCOME_REFUSED:
		return "refused"
	case schemas.Outcome_OUTCOME_REPEAT:
		return "repeat"
	case schemas.Outcome_OUTCOME_CONFLICT:
		return "conflict"
	case schemas.Outcome_OUTCOME_UNREADABLE, schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return "unreadable"
}

// answerWords is the outcome for people.
func answerWords(d *schemas.Decision) string {
	why, _ := accountReason(d.GetReason())
	switch {
	case d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT:
		return "this id, or this account, stands for something else"
	case d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT && why != "":
		return "it was refused before: " + why
	case d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT:
		return "it was done before; nothing changed"
	case why != "":
		return why
	}
	return "it is done"
}

// accountReason is why the accounts book refuses what these commands ask, and what to do about it.
func accountReason(r schemas.Reason) (why, mend string) {
	words := map[schemas.Reason][2]string{
		schemas.Reason_REASON_ACCOUNT_UNKNOWN:  {"there is no such account", "open it with `aval account open`"},
		schemas.Reason_REASON_ACCOUNT_BLOCKED:  {"the account is blocked", "`aval account unblock` ends that"},
		schemas.Reason_REASON_ACCOUNT_CURRENCY: {"the account has another currency", "`aval account show` says which"},
		schemas.Reason_REASON_INSUFFICIENT:     {"less is available than the amount", "credit the account first"},
		schemas.Reason_REASON_OVER_LIMIT:       {"a balance would become too large", "give less"},
		schemas.Reason_REASON_EXCESS:           {"less is drawn of the credit account than the amount", "give less"},
		schemas.Reason_REASON_UNCHANGED:        {"the account is in that state already", "there is nothing to do"},
		schemas.Reason_REASON_STALE:            {"the command is older than what the book remembers", "send it anew"},
		schemas.Reason_REASON_EARLY: {
			"the command lies too far ahead of the book's time",
			"set this machine's clock, or send it later",
		},
	}[r]
	if words[0] == "" && r != schemas.Reason_REASON_UNSPECIFIED {
		return r.Word(), ""
	}
	return words[0], words[1]
}

// refusal is the error of an answer that does not stand.
func (a accountAnswer) refusal() error {
	if a.stands {
		return nil
	}
	reason, _ := schemas.ReasonOf(a.Reason)
	_, mend := accountReason(reason)
	switch {
	case a.Outcome == "conflict" && a.Verb == "open":
		mend = "`aval account show " + a.Account + "` says what stands"
	case a.Outcome == "conflict":
		mend = "give another --id"
	case a.Outcome == "repeat":
		mend = "to ask anew, give another --id; then " + mend
	}
	text := fmt.Sprintf("%s of %s: %s", a.Verb, a.Account, a.Outcome)
	if a.Reason != "" {
		text += ", " + a.Reason
	}
	if text += ": " + a.Words; mend != "" {
		text += "; " + mend
	}
	return &codeError{code: exitInvalid, err: fmt.Errorf("%s (--id %s)", text, a.ID)}
}

func answerColumns() []column[accountAnswer] {
	after := func(cell func(accountView) string) func(accountAnswer) string {
		return func(a accountAnswer) string {
			if a.After == nil {
				return "-"
			}
			return cell(*a.After)
		}
	}
	return []column[accountAnswer]{
		{"account", func(a accountAnswer) string { return a.Account }},
		{"command", func(a accountAnswer) string { return a.Verb }},
		{"outcome", func(a accountAnswer) string { return a.Outcome }},
		{"reason", func(a accountAnswer) string { return a.Words }},
		{"status", after(func(v accountView) string { return v.Status })},
		{"available", after(func(v accountView) string { return amountCell(v.Available) })},
		{"balances", after(accountView.balances)},
		{"entries", func(a accountAnswer) string { return fmt.Sprintf("%d/%d", a.Partition, a.Offset) }},
		{"id", func(a accountAnswer) string { return a.ID }},
	}
}
