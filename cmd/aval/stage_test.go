package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// scene is a namespace in which stages run and pre-issues wait for an answer.
type scene struct {
	servers   []string
	brokers   string
	namespace string
	log       *client
	stages    []*process
	waiting   []*schemas.Terms // what was offered and not answered
}

// newScene starts stages in two processes and lets a demo make pre-issues that its buyers never answer.
func newScene(t *testing.T, pair localtest.Pair, orders int) *scene {
	t.Helper()
	namespace := localtest.Namespace(t)
	s := &scene{
		servers: []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace},
		brokers: pair.Kafka, namespace: namespace, log: connect(t, pair.Kafka, namespace),
	}
	for range 2 {
		s.stages = append(s.stages, start(t, append([]string{"run"}, s.servers...)...))
	}
	var text strings.Builder
	text.WriteString(head)
	for n := range orders {
		fmt.Fprintf(&text, "w%03d,seller,buyer,10.00,BRL,boleto,unavailable\n", n)
	}
	s.demo(t, text.String())
	items, _ := journal(t, s.log, schemas.TopicPreIssues)
	for _, partition := range items {
		for _, in := range partition {
			if item, ok := in.Body.(*schemas.PreIssue); ok && item.GetRequest().GetOffer() != nil {
				s.waiting = append(s.waiting, item.GetRequest().GetTerms())
			}
		}
	}
	if len(s.waiting) != orders {
		t.Fatalf("%d pre-issues were offered, want %d", len(s.waiting), orders)
	}
	return s
}

// demo runs a file of orders in the scene, and judges the run.
func (s *scene) demo(t *testing.T, orders string) {
	t.Helper()
	j := newJob(t, []byte(orders), "1000")
	j.judge(t, start(t, j.args(append(s.servers, "--attach")...)...))
}

// take returns terms that wait, of one account source, and strikes them off.
func (s *scene) take(t *testing.T, source schemas.AccountSource) *schemas.Terms {
	t.Helper()
	for i, terms := range s.waiting {
		if terms.GetAccountSource() == source {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return terms
		}
	}
	t.Fatalf("no terms wait whose account source is %v", source)
	return nil
}

// encode makes the record of a message that is taken in now.
func encode(t *testing.T, topic, id string, body proto.Message) pipeline.Record {
	t.Helper()
	record, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/test", Time: time.Now().UTC()}, Body: body,
	})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// publish writes records.
func (s *scene) publish(t *testing.T, all ...pipeline.Record) {
	t.Helper()
	if err := s.log.Publish(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// answer waits for a book's answer to a command, and returns its item.
func (s *scene) answer(t *testing.T, topic, id string) pipeline.In {
	t.Helper()
	var found pipeline.In
	await(t, "the answer to "+id, func() bool {
		items, _ := journal(t, s.log, topic)
		for _, partition := range items {
			for _, in := range partition {
				if named, ok := in.Body.(interface{ GetId() string }); ok && named.GetId() == id {
					found = in
					return true
				}
			}
		}
		return false
	})
	return found
}

// decided expects a decision on a command.
func (s *scene) decided(t *testing.T, topic, id string, want schemas.Outcome, reason schemas.Reason) {
	t.Helper()
	item, ok := s.answer(t, topic, id).Body.(pipeline.Item)
	if got := item.GetDecision(); !ok || got.GetOutcome() != want || got.GetReason() != reason {
		t.Errorf("%s was answered %v (%v), want %v (%v)", id, got.GetOutcome(), got.GetReason(), want, reason)
	}
}

// open opens an account of the issuing bank's and returns its name.
func (s *scene) open(t *testing.T, bank, number string, open *schemas.Open) string {
	t.Helper()
	account, id := bank+"/"+number, "open-"+number
	s.publish(t, encode(t, schemas.TopicMovements, id,
		&schemas.Movement{Account: account, Verb: &schemas.Movement_Open{Open: open}}))
	s.decided(t, schemas.TopicEntries, id, schemas.Outcome_OUTCOME_DONE, schemas.Reason_REASON_UNSPECIFIED)
	return account
}

func deposit(holder, currency string, minor int64) *schemas.Open {
	return &schemas.Open{
		Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: holder,
		Funds: &schemas.Money{MinorUnits: minor, Currency: currency},
	}
}

func request(terms *schemas.Terms, buyer, account string) *schemas.IssuanceRequest {
	verb := &schemas.IssuanceRequest_Request{Request: &schemas.Request{Buyer: buyer, Account: account}}
	return &schemas.IssuanceRequest{Terms: terms, Verb: verb}
}

// holds are the accounts on which money was frozen, by invitation.
func (s *scene) holds(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	items, _ := journal(t, s.log, schemas.TopicEntries)
	for _, partition := range items {
		for _, in := range partition {
			entry, ok := in.Body.(*schemas.Entry)
			if !ok || entry.GetMovement().GetHold() == nil || outcomeOf(in) != schemas.Outcome_OUTCOME_DONE {
				continue
			}
			var from schemas.IssuanceRequest
			if err := entry.GetMovement().GetReference().UnmarshalTo(&from); err != nil {
				t.Fatal(err)
			}
			invitation := from.GetTerms().GetInvitationId()
			found[invitation] = append(found[invitation], entry.GetMovement().GetAccount())
		}
	}
	return found
}

// certificates are those that were issued, by invitation; several records of one are one.
func (s *scene) certificates(t *testing.T) map[string]*schemas.Certificate {
	t.Helper()
	found := map[string]*schemas.Certificate{}
	for _, m := range messages[*schemas.Certificate](t, s.log, schemas.TopicCertificates) {
		invitation := m.body.GetTerms().GetInvitationId()
		if other, again := found[invitation]; again && !proto.Equal(other, m.body) {
			t.Errorf("invitation %s has two certificates", invitation)
		}
		found[invitation] = m.body
	}
	return found
}
