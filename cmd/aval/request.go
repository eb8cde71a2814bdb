package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/command"
	"github.com/aval-systems/aval/schemas"
)

// answerFlags are those of an answer to a pre-issue.
type answerFlags struct {
	commandFlags

	verb    string // request, decline, withdraw
	account string // of a request; empty: the one that is to be confirmed
	party   string // who answers; empty: whose it is to answer
	wait    bool   // until the certificate is issued or refused
}

func requestCommand() *cobra.Command {
	f := answerFlags{verb: "request"}
	c := &cobra.Command{
		Use:   "request ID --account ACCOUNT",
		Short: "Ask for the certificate, as the buyer, out of an account",
		Long: `Ask for the certificate, as the buyer: the terms of the pre-issue are agreed to, and the amount is to
be frozen on the account. Where the terms name the account, it is confirmed; else --account enters one.

The first answer decides, and it is final whatever the account has. What the book recorded is printed; the money is
decided on afterwards: --wait waits for the certificate, or for the reason why there is none.`,
		Example: `  aval request 9f86d081884c7d659a2feaa0c55ad015 --account AVALBRSPISS/0001
  aval request 9f86d081884c7d659a2feaa0c55ad015 --account AVALBRSPISS/0001 --wait -o json`,
		Args: oneArgument("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(f.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "derived from the terms and the account")
	c.Flags().StringVar(&f.account, "account", "", "the issuing account: BANK/NUMBER")
	c.Flags().StringVar(&f.party, "buyer", "", "who asks (default: the buyer of the terms)")
	c.Flags().BoolVar(&f.wait, "wait", false, "wait until the certificate is issued or refused")
	return c
}

func declineCommand() *cobra.Command {
	f := answerFlags{verb: "decline"}
	c := &cobra.Command{
		Use:   "decline ID",
		Short: "Decline a pre-issue, as the buyer",
		Long: `Decline a pre-issue, as the buyer: nothing is frozen, and there will be no certificate. The first
answer decides.`,
		Example: `  aval decline 9f86d081884c7d659a2feaa0c55ad015`,
		Args:    oneArgument("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(f.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "derived from the terms")
	c.Flags().StringVar(&f.party, "buyer", "", "who declines (default: the buyer of the terms)")
	return c
}

func withdrawCommand() *cobra.Command {
	f := answerFlags{verb: "withdraw"}
	c := &cobra.Command{
		Use:   "withdraw ID",
		Short: "Withdraw an invitation that the buyer has not answered, as the seller",
		Long: `Withdraw an invitation that the buyer has not answered yet, as the seller: there will be no
certificate. The first answer decides.`,
		Example: `  aval withdraw 9f86d081884c7d659a2feaa0c55ad015`,
		Args:    oneArgument("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(f.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "derived from the terms")
	c.Flags().StringVar(&f.party, "seller", "", "who withdraws (default: the seller of the terms)")
	return c
}

// preIssueAnswer is what the pre-issues book recorded about an answer, as it is printed.
type preIssueAnswer struct {
	ID           string `json:"id"`
	Verb         string `json:"verb"`
	InvitationID string `json:"invitation_id"`
	Account      string `json:"account,omitempty"`
	Outcome      string `json:"outcome"`          // done, refused, repeat, conflict
	Reason       string `json:"reason,omitempty"` // of a repeat: why that which stands was refused
	Words        string `json:"words"`
	// Where the answer stands.
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	// What has become of the invitation, where that was waited for.
	State         string `json:"state,omitempty"`
	CertificateID string `json:"certificate_id,omitempty"`
	Why           string `json:"why,omitempty"` // there is no certificate

	stands bool
}

func (f *answerFlags) run(ctx context.Context, id string, stdout, stderr io.Writer) error {
	s, err := connect(ctx, f.place(), f.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	offer, err := s.offer(ctx, id)
	if err != nil {
		return err
	}
	request, err := f.request(offer.GetRequest().GetTerms())
	if err != nil {
		return err
	}
	answer, err := f.ask(ctx, s, request)
	if err != nil {
		return err
	}
	told := preIssueAnswerOf(f.verb, request, answer)
	if f.wait && told.stands {
		if err := f.await(ctx, s, &told); err != nil {
			return err
		}
	}
	if err := printOne(stdout, f.format, told, f.columns()...); err != nil {
		return err
	}
	if err := told.refusal(); err != nil {
		return err
	}
	f.hint(stderr, told)
	return nil
}

// offer is the pre-issue of an invitation, which is named by any of its identifiers: its whole terms are answered.
func (s *system) offer(ctx context.Context, id string) (*schemas.PreIssue, error) {
	stories := s.stories()
	invitation, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	row, err := stories.Row(ctx, invitation)
	if _, ok := row.Offer(); err == nil && !ok { // it may have been offered a moment ago
		if _, err = s.registerHears(ctx); err == nil {
			row, err = stories.Row(ctx, invitation)
		}
	}
	if err != nil {
		return nil, err
	}
	if _, ok := row.Offer(); !ok {
		return nil, refused("invitation %s has no pre-issue that could be answered: it is %s; see aval invitation "+
			"show %s", invitation, row.State(), invitation)
	}
	f, err := stories.Offer(ctx, invitation, row)
	if err != nil {
		return nil, fmt.Errorf("read the pre-issue of %s: %w", invitation, err)
	}
	item, _ := f.Body.(*schemas.PreIssue)
	return item, nil
}

// request is the command, with the terms as they were offered.
func (f *answerFlags) request(terms *schemas.Terms) (*schemas.IssuanceRequest, error) {
	r := &schemas.IssuanceRequest{Terms: terms}
	said := []string{terms.GetInvitationId(), hex.EncodeToString(schemas.TermsDigest(terms))}
	party := cmp.Or(f.party, terms.GetBuyer())
	switch f.verb {
	case "request":
		f.account = cmp.Or(f.account, terms.GetIssuingAccount())
		if f.account == "" {
			return nil, usage("--account is missing: the terms name none, the buyer enters one that %s keeps",
				terms.GetIssuingBank())
		}
		r.Verb = &schemas.IssuanceRequest_Request{Request: &schemas.Request{Buyer: party, Account: f.account}}
		said = append(said, f.account)
	case "decline":
		r.Verb = &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: party}}
	case "withdraw":
		party = cmp.Or(f.party, terms.GetSeller())
		r.Verb = &schemas.IssuanceRequest_Withdraw{Withdraw: &schemas.Withdraw{Seller: party}}
	}
	if f.id == "" {
		f.id = schemas.DeriveID(f.verb, append(said, party)...)
	}
	if err := schemas.Validate(r); err != nil {
		return nil, usage("%w", inOneLine(err))
	}
	return r, nil
}

func preIssueAnswerOf(verb string, r *schemas.IssuanceRequest, a command.Answer) preIssueAnswer {
	d := a.Decision
	told := preIssueAnswer{
		ID: a.ID, Verb: verb, InvitationID: r.GetTerms().GetInvitationId(), Account: r.GetRequest().GetAccount(),
		Outcome: outcomeWord(d.GetOutcome()), Words: preIssueWords(verb, d), Topic: schemas.TopicPreIssues,
		Partition: a.Partition, Offset: a.Offset, stands: a.Stands(),
	}
	if d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		told.Reason = d.GetReason().Word()
	}
	return told
}

// preIssueWords is the outcome for people.
func preIssueWords(verb string, d *schemas.Decision) string {
	already := map[schemas.Reason]string{
		schemas.Reason_REASON_ALREADY_REQUESTED: "the buyer has asked for it before: the first answer stands",
		schemas.Reason_REASON_ALREADY_DECLINED:  "the buyer has declined before: the first answer stands",
		schemas.Reason_REASON_ALREADY_WITHDRAWN: "the seller has withdrawn before: the first answer stands",
		schemas.Reason_REASON_ALREADY_LAPSED:    "it has lapsed: nobody answered in time",
		schemas.Reason_REASON_PRE_ISSUE_UNKNOWN: "there is no such pre-issue, or it is forgotten",
		schemas.Reason_REASON_TERMS:             "the terms are others than those that were offered",
		schemas.Reason_REASON_BUYER:             "only the buyer of the terms may answer",
		schemas.Reason_REASON_SELLER:            "only the seller of the terms may withdraw",
		schemas.Reason_REASON_ACCOUNT_PREFILLED: "the terms name another account: leave --account out",
		schemas.Reason_REASON_ACCOUNT_BANK:      "the account is not kept by the issuing bank",
		schemas.Reason_REASON_STALE:             "the command is older than what the book remembers; send it anew",
		schemas.Reason_REASON_EARLY: "the command lies too far ahead of the book's time: set this machine's clock, " +
			"or send it later",
	}
	why := already[d.GetReason()]
	if why == "" && d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		why = d.GetReason().Word()
	}
	switch {
	case d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT:
		return "this id stands for another answer; give another --id"
	case d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT && why != "":
		return "it was refused before: " + why
	case d.GetOutcome() == schemas.Outcome_OUTCOME_REPEAT:
		return "it was done before; nothing changed"
	case why != "":
		return why
	}
	return map[string]string{
		"request": "it is requested: the money is decided on next", "decline": "it is declined",
		"withdraw": "it is withdrawn",
	}[verb]
}

// await waits until the certificate is issued or refused, and tells which.
func (f *answerFlags) await(ctx context.Context, s *system, told *preIssueAnswer) error {
	stories := s.stories()
	for until := time.Now().Add(f.timeout); ; {
		row, err := stories.Row(ctx, told.InvitationID)
		if err != nil {
			return err
		}
		if row.State().Final() {
			break
		}
		if time.Now().After(until) {
			return fmt.Errorf("invitation %s is requested, and was not decided within %v (--timeout): do all stages "+
				"run (aval run)? see aval invitation show %s --follow", told.InvitationID, f.timeout, told.InvitationID)
		}
		if err := pipeline.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	story, err := stories.Story(ctx, told.InvitationID)
	if err != nil {
		return err
	}
	t := taleOf(story)
	told.State, told.CertificateID, told.Why = t.State, t.CertificateID, t.Reason
	return nil
}

// refusal is the error of an answer that does not stand, or that came to nothing.
func (a preIssueAnswer) refusal() error {
	switch {
	case !a.stands:
		return refused("%s of %s: %s: %s (--id %s)", a.Verb, a.InvitationID, a.Outcome, a.Words, a.ID)
	case a.State != "" && a.State != string(register.StateIssued):
		return refused("there is no certificate: %s, %s", a.State,
			cmp.Or(a.Why, "see aval invitation show "+a.InvitationID))
	}
	return nil
}

func (f *answerFlags) hint(stderr io.Writer, told preIssueAnswer) {
	switch {
	case told.CertificateID != "":
		next(stderr, "aval certificate export %s --out certificate.jws --jwks bank.jwks", told.CertificateID)
	case f.verb == "request":
		next(stderr, "aval invitation show %s --follow", told.InvitationID)
	}
}

func (f *answerFlags) columns() []column[preIssueAnswer] {
	columns := []column[preIssueAnswer]{
		{"invitation", func(a preIssueAnswer) string { return a.InvitationID }},
		{"command", func(a preIssueAnswer) string { return a.Verb }},
		{"outcome", func(a preIssueAnswer) string { return a.Outcome }},
		{"reason", func(a preIssueAnswer) string { return a.Words }},
		{"pre-issues", func(a preIssueAnswer) string { return fmt.Sprintf("%d/%d", a.Partition, a.Offset) }},
		{"id", func(a preIssueAnswer) string { return a.ID }},
	}
	if !f.wait {
		return columns
	}
	return append(columns, []column[preIssueAnswer]{
		{"state", func(a preIssueAnswer) string { return cmp.Or(a.State, "-") }},
		{"certificate", func(a preIssueAnswer) string { return cmp.Or(a.CertificateID, a.Why, "-") }},
	}...)
}
