package main_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	entered   = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
	confirmed = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	none      = schemas.Reason_REASON_UNSPECIFIED
	done      = schemas.Outcome_OUTCOME_DONE
	denied    = schemas.Outcome_OUTCOME_REFUSED
)

// TestRequests answers pre-issues as no buyer should.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, pair, 60)
			bank := s.waiting[0].GetIssuingBank()
			own := s.open(t, bank, "own", deposit("buyer", "BRL", 1_000_000))
			undecided := s.faultyRequests(t, own)
			if found := s.holds(t); len(found) > 0 {
				t.Errorf("money was frozen: %v", found)
			}
			s.faultyAccounts(t, bank)
			if found := s.holds(t); len(found) > 0 {
				t.Errorf("money was frozen: %v", found)
			}
			if found := s.certificates(t); len(found) > 0 {
				t.Errorf("certificates were issued: %v", found)
			}
			// What was refused has decided nothing: the buyer still can.
			for i, terms := range undecided {
				account := own
				if terms.GetAccountSource() == confirmed {
					account = terms.GetIssuingAccount()
				}
				id := fmt.Sprintf("at-last-%d", i)
				s.publish(t, encode(t, schemas.TopicIssuanceRequests, id, request(terms, "buyer", account)))
				s.decided(t, schemas.TopicPreIssues, id, done, none)
			}
			await(t, "certificates", func() bool { return len(s.certificates(t)) == len(undecided) })
			if found := s.holds(t); len(found) != len(undecided) {
				t.Errorf("%d holds, want %d", len(found), len(undecided))
			}
		})
	}
}

// faultyRequests sends requests that the pre-issues book refuses, and returns the terms that they were about.
func (s *scene) faultyRequests(t *testing.T, own string) (undecided []*schemas.Terms) {
	t.Helper()
	cases := map[string]struct {
		source  schemas.AccountSource
		request func(terms *schemas.Terms) *schemas.IssuanceRequest
		want    schemas.Reason
	}{
		"buyer": {entered, func(terms *schemas.Terms) *schemas.IssuanceRequest {
			return request(terms, "somebody else", own)
		}, schemas.Reason_REASON_BUYER},
		"amount": {entered, func(terms *schemas.Terms) *schemas.IssuanceRequest {
			terms.Amount.MinorUnits--
			return request(terms, "buyer", own)
		}, schemas.Reason_REASON_TERMS},
		"seller": {entered, func(terms *schemas.Terms) *schemas.IssuanceRequest {
			terms.ReceivingAccount += "0"
			return request(terms, "buyer", own)
		}, schemas.Reason_REASON_TERMS},
		"bank": {entered, func(terms *schemas.Terms) *schemas.IssuanceRequest {
			return request(terms, "buyer", "OTHRBRSPXXX/own")
		}, schemas.Reason_REASON_ACCOUNT_BANK},
		"prefilled": {confirmed, func(terms *schemas.Terms) *schemas.IssuanceRequest {
			return request(terms, "buyer", own)
		}, schemas.Reason_REASON_ACCOUNT_PREFILLED},
	}
	for name, c := range cases {
		terms := s.take(t, c.source)
		undecided = append(undecided, terms)
		altered := c.request(proto.CloneOf(terms))
		s.publish(t, encode(t, schemas.TopicIssuanceRequests, "faulty-"+name, altered))
		s.decided(t, schemas.TopicPreIssues, "faulty-"+name, denied, c.want)
		s.noticed(t, altered.GetRequest().GetBuyer(), schemas.Subject_SUBJECT_ANSWER_REFUSED, terms, c.want)
	}
	unknown := proto.CloneOf(s.waiting[0])
	unknown.Reference = "an order that nobody made"
	unknown.InvitationId = schemas.InvitationID(unknown.GetReceivingBank(), unknown.GetSeller(), unknown.GetReference())
	s.publish(t, encode(t, schemas.TopicIssuanceRequests, "faulty-unknown", request(unknown, "buyer", own)))
	s.decided(t, schemas.TopicPreIssues, "faulty-unknown", denied, schemas.Reason_REASON_PRE_ISSUE_UNKNOWN)
	return undecided
}

// faultyAccounts sends requests that are final, out of accounts that refuse.
func (s *scene) faultyAccounts(t *testing.T, bank string) {
	t.Helper()
	credit := deposit("buyer", "BRL", 1_000_000)
	credit.Kind = schemas.AccountKind_ACCOUNT_KIND_CREDIT
	blocked := s.open(t, bank, "blocked", deposit("buyer", "BRL", 1_000_000))
	s.publish(t, encode(t, schemas.TopicMovements, "block",
		&schemas.Movement{Account: blocked, Verb: &schemas.Movement_Block{Block: &schemas.Block{}}}))
	s.decided(t, schemas.TopicEntries, "block", done, none)
	cases := map[string]schemas.Reason{
		bank + "/nobody": schemas.Reason_REASON_ACCOUNT_UNKNOWN,
		blocked:          schemas.Reason_REASON_ACCOUNT_BLOCKED,
		s.open(t, bank, "euro", deposit("buyer", "EUR", 1_000_000)):          schemas.Reason_REASON_ACCOUNT_CURRENCY,
		s.open(t, bank, "neighbour", deposit("neighbour", "BRL", 1_000_000)): schemas.Reason_REASON_ACCOUNT_HOLDER,
		s.open(t, bank, "line", credit):                                      schemas.Reason_REASON_ACCOUNT_KIND,
		s.open(t, bank, "poor", deposit("buyer", "BRL", 999)):                schemas.Reason_REASON_INSUFFICIENT,
	}
	for account, want := range cases {
		terms := s.take(t, entered)
		id := "from-" + schemas.DeriveID("account", account)
		s.publish(t, encode(t, schemas.TopicIssuanceRequests, id, request(terms, "buyer", account)))
		s.decided(t, schemas.TopicPreIssues, id, done, none)
		s.decided(t, schemas.TopicEntries, schemas.HoldID(terms.GetInvitationId()), denied, want)
		s.noticed(t, "buyer", schemas.Subject_SUBJECT_REFUSED, terms, want)
		// The seller's side learns no more than that the bank does not guarantee.
		s.noticed(t, "seller", schemas.Subject_SUBJECT_REFUSED, terms, schemas.Reason_REASON_NOT_GUARANTEED)
		for _, m := range messages[*schemas.Refusal](t, s.log, schemas.TopicRefusals) {
			about := m.body.GetInvitationId() == terms.GetInvitationId()
			if about && (m.body.GetReason() != schemas.Reason_REASON_NOT_GUARANTEED || m.body.GetDetail() != "") {
				t.Errorf("the seller's side is told %v of %s: %q", m.body.GetReason(), account, m.body.GetDetail())
			}
		}
	}
}

// noticed waits until somebody was told a reason, and expects that it was told no other.
func (s *scene) noticed(
	t *testing.T, recipient string, subject schemas.Subject, about *schemas.Terms, want schemas.Reason,
) {
	t.Helper()
	await(t, fmt.Sprintf("%s is told %v", recipient, want), func() bool {
		for _, m := range messages[*schemas.Notice](t, s.log, schemas.TopicNotices) {
			n := m.body
			if n.GetRecipient().GetId() != recipient || n.GetSubject() != subject ||
				n.GetInvitationId() != about.GetInvitationId() {
				continue
			}
			if n.GetReason() != want {
				t.Fatalf("%s is told %v, want %v", recipient, n.GetReason(), want)
			}
			return true
		}
		return false
	})
}

// TestTwoRequests lets two processes ask for the same certificates at once, each out of another account.
func TestTwoRequests(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			const orders = 60
			s := newScene(t, pair, orders)
			bank := s.waiting[0].GetIssuingBank()
			var children []*child
			asked := 0
			for _, number := range []string{"left", "right"} {
				account := s.open(t, bank, number, deposit("buyer", "BRL", 1_000_000))
				var records []pipeline.Record
				for _, terms := range s.waiting {
					if terms.GetAccountSource() == entered {
						records = append(records, encode(t, schemas.TopicIssuanceRequests,
							number+"-"+terms.GetReference(), request(terms, "buyer", account)))
					}
				}
				if asked > 0 { // both come first somewhere
					slices.Reverse(records)
				}
				asked = len(records)
				children = append(children, startChild(t, s.brokers, s.namespace, records))
			}
			for _, c := range children {
				c.publish(t)
			}
			for _, c := range children {
				c.wait(t)
			}
			s.oneEach(t, asked)
		})
	}
}

// oneEach expects one certificate and one hold for each pre-issue that was asked for, whoever asked first.
func (s *scene) oneEach(t *testing.T, asked int) {
	t.Helper()
	winners := map[string]int{}
	for _, terms := range s.waiting {
		if terms.GetAccountSource() != entered {
			continue
		}
		first := ""
		for _, number := range []string{"left", "right"} {
			item, ok := s.answer(t, schemas.TopicPreIssues, number+"-"+terms.GetReference()).Body.(*schemas.PreIssue)
			if !ok {
				t.Fatal("the journal holds something else")
			}
			switch d := item.GetDecision(); {
			case d.GetOutcome() == done && first == "":
				first = item.GetRequest().GetRequest().GetAccount()
				winners[number]++
			case d.GetOutcome() != denied || d.GetReason() != schemas.Reason_REASON_ALREADY_REQUESTED:
				t.Errorf("%s of %s was answered %v (%v)", number, terms.GetReference(), d.GetOutcome(), d.GetReason())
			}
		}
		await(t, "the certificate", func() bool { return s.certificates(t)[terms.GetInvitationId()] != nil })
		if on := s.certificates(t)[terms.GetInvitationId()].GetIssuingAccount(); on != first {
			t.Errorf("the certificate is secured by %s, the request that was decided names %s", on, first)
		}
		if held := s.holds(t)[terms.GetInvitationId()]; len(held) != 1 || held[0] != first {
			t.Errorf("held on %v, want %s alone", held, first)
		}
	}
	if found := s.holds(t); asked == 0 || len(found) != asked || len(s.certificates(t)) != asked {
		t.Errorf("%d were asked for: %d certificates, %d holds", asked, len(s.certificates(t)), len(found))
	}
	if len(winners) < 2 {
		t.Errorf("first came %v: there was no race", winners)
	}
}
