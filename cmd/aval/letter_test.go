package main_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// planted is a record that nobody can read, and where it stands.
type planted struct {
	name   string
	reason string // a word of why
	record pipeline.Record
}

// TestDeadLetters writes into the topics what no program writes: each such record becomes a dead letter that holds
// the original, and the partition goes on.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, pair, 12)
			all := s.plant(t)
			s.await(t, all)
			// Every partition of every topic goes on.
			s.demo(t, string(crowd(5, 300)))
			s.unharmed(t, all)
		})
	}
}

// plant writes a faulty record of each kind into each topic that others write to.
func (s *scene) plant(t *testing.T) (all []planted) {
	t.Helper()
	account := s.waiting[0].GetIssuingBank() + "/planted"
	sound := []pipeline.Record{
		encode(t, schemas.TopicMovements, "planted", &schemas.Movement{
			Account: account, Verb: &schemas.Movement_Open{Open: deposit("buyer", "BRL", 1000)},
		}),
		encode(t, schemas.TopicIssuanceRequests, "planted", request(s.waiting[0], "buyer", account)),
		encode(t, schemas.TopicInvitations, "planted", s.invitation()),
		encode(t, schemas.TopicReceipts, "planted", s.receipt(t)),
	}
	for _, r := range sound {
		partitions, err := s.log.Partitions(t.Context(), r.Topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range faults(r, partitions) {
			_, end, err := s.log.Bounds(t.Context(), r.Topic, p.record.Partition)
			if err != nil {
				t.Fatal(err)
			}
			p.record.Offset = end // nobody else writes there now
			s.publish(t, p.record)
			all = append(all, p)
		}
	}
	return all
}

// faults are a sound record's faulty kin, each in a partition of its own choice.
func faults(sound pipeline.Record, partitions int) []planted {
	right := schemas.PartitionOf(sound.Key, partitions)
	alter := func(reason, name string, change func(r *pipeline.Record)) planted {
		r := sound
		r.Partition, r.Headers = right, slices.Clone(sound.Headers)
		change(&r)
		return planted{name: sound.Topic + ": " + name, reason: reason, record: r}
	}
	header := func(r *pipeline.Record, key, value string) {
		for i, h := range r.Headers {
			if h.Key == key {
				r.Headers[i].Value = []byte(value)
			}
		}
	}
	other := []byte("another-key")
	return []planted{
		alter("", "no message", func(r *pipeline.Record) { r.Value = []byte("\xff\xff\xff not a message") }),
		alter("ce_", "no envelope", func(r *pipeline.Record) { r.Headers = nil }),
		alter("aval.v1.Nothing", "an unknown kind", func(r *pipeline.Record) {
			header(r, "ce_type", "aval.v1.Nothing")
		}),
		alter("", "no value", func(r *pipeline.Record) { r.Value = nil }),
		alter("ce_id", "an odd identifier", func(r *pipeline.Record) { header(r, "ce_id", "two words") }),
		alter("key", "no key", func(r *pipeline.Record) { r.Key = nil }),
		alter("key", "another key", func(r *pipeline.Record) {
			r.Key, r.Partition = other, schemas.PartitionOf(other, partitions)
		}),
		alter("partition", "the wrong partition", func(r *pipeline.Record) { r.Partition = (right + 1) % partitions }),
	}
}

// invitation is a sound one that nobody has sent.
func (s *scene) invitation() *schemas.Invitation {
	terms := s.waiting[0]
	return &schemas.Invitation{
		Id:            schemas.InvitationID(terms.GetReceivingBank(), terms.GetSeller(), "planted"),
		ReceivingBank: terms.GetReceivingBank(), ReceivingAccount: terms.GetReceivingAccount(),
		Seller:    terms.GetSeller(),
		Reference: "planted", Buyer: terms.GetBuyer(), Amount: terms.GetAmount(), Funding: terms.GetFunding(),
		Issuing: &schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Bank{Bank: terms.GetIssuingBank()},
		},
		Route: schemas.Route_ROUTE_DIRECT, AccountSource: entered, DirectoryVersion: terms.GetDirectoryVersion(),
	}
}

// receipt is one of a notice that was told: what follows from it was done before.
func (s *scene) receipt(t *testing.T) *schemas.Receipt {
	t.Helper()
	var found *schemas.Receipt
	await(t, "a receipt", func() bool {
		for _, m := range messages[*schemas.Receipt](t, s.log, schemas.TopicReceipts) {
			found = m.body
		}
		return found != nil
	})
	return found
}

// await waits for the letters of all that was planted, and compares them with it.
func (s *scene) await(t *testing.T, all []planted) {
	t.Helper()
	letters := map[string]*schemas.DeadLetter{}
	await(t, "dead letters", func() bool {
		for _, m := range messages[*schemas.DeadLetter](t, s.log, schemas.TopicDeadLetters) {
			letters[fmt.Sprint(m.body.GetTopic(), m.body.GetPartition(), m.body.GetOffset())] = m.body
		}
		return len(letters) >= len(all)
	})
	if len(letters) != len(all) {
		t.Errorf("%d dead letters of %d records", len(letters), len(all))
	}
	for _, p := range all {
		letter, ok := letters[fmt.Sprint(p.record.Topic, p.record.Partition, p.record.Offset)]
		if !ok {
			t.Errorf("%s: no dead letter of partition %d, offset %d", p.name, p.record.Partition, p.record.Offset)
			continue
		}
		original := letter.GetOriginal()
		same := bytes.Equal(original.GetKey(), p.record.Key) && bytes.Equal(original.GetValue(), p.record.Value)
		for i, h := range original.GetHeaders() {
			same = same && len(p.record.Headers) > i && h.GetKey() == p.record.Headers[i].Key &&
				bytes.Equal(h.GetValue(), p.record.Headers[i].Value)
		}
		if !same || len(original.GetHeaders()) != len(p.record.Headers) {
			t.Errorf("%s: the letter holds %v, which is not what was written", p.name, original)
		}
		if original.GetReason() == "" || !strings.Contains(original.GetReason(), p.reason) {
			t.Errorf("%s: the reason is %q, which says nothing of %q", p.name, original.GetReason(), p.reason)
		}
	}
}

// unharmed expects that nothing of what was planted had an effect, and that there are no more letters than before.
func (s *scene) unharmed(t *testing.T, all []planted) {
	t.Helper()
	unreadable := 0
	for _, partitions := range readBooks(t, s.log) {
		for _, items := range partitions {
			for _, in := range items {
				if outcomeOf(in) == schemas.Outcome_OUTCOME_UNREADABLE {
					unreadable++
				} else if named, ok := in.Body.(interface{ GetId() string }); ok && named.GetId() == "planted" {
					t.Errorf("a planted command was decided: %v", in.Body)
				}
			}
		}
	}
	commands, bodies := 0, map[string]proto.Message{}
	for _, p := range all {
		if topic, _ := schemas.TopicOf(p.record.Topic); topic.Kind == schemas.KindCommand {
			commands++
		}
	}
	if unreadable != commands {
		t.Errorf("the journals hold %d unreadable items, %d were planted", unreadable, commands)
	}
	for _, m := range messages[*schemas.DeadLetter](t, s.log, schemas.TopicDeadLetters) {
		if before, again := bodies[m.ID]; again && !proto.Equal(before, m.body) {
			t.Errorf("dead letter %s stands there twice, and differs", m.ID)
		}
		bodies[m.ID] = m.body
	}
	if len(bodies) != len(all) {
		t.Errorf("%d dead letters of %d planted records", len(bodies), len(all))
	}
	for _, p := range s.stages {
		if !p.running() {
			t.Errorf("aval %s has ended", p.name)
		}
	}
}
