package register_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const shards = 4

// source is a partition of a topic.
type source struct {
	topic     string
	partition int
}

// history is a log: messages by partition, at every other offset.
type history map[source][]pipeline.In

// epoch is when the history begins.
func epoch() time.Time { return time.Unix(1_700_000_000, 7).UTC() }

func (h history) add(topic, key, id string, body proto.Message) pipeline.Place {
	s := source{topic, schemas.PartitionOf([]byte(key), shards)}
	in := pipeline.In{
		Attributes: schemas.Attributes{
			ID: id, Source: "/aval/test", Time: epoch().Add(time.Duration(len(h[s])) * time.Second),
		},
		Topic: s.topic, Partition: s.partition, Offset: int64(2 * len(h[s])), Key: key, Body: body,
	}
	h[s] = append(h[s], in)
	return pipeline.PlaceOf(in)
}

// log is the history as it is read; causes are where what follows comes from.
type log struct {
	history
	causes  map[pipeline.Place]pipeline.Place
	expired map[string]bool // topics that keep nothing any more
}

func (l log) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	end = int64(2 * len(l.history[source{topic, partition}]))
	if l.expired[topic] {
		return end, end, nil
	}
	return 0, end, nil
}

func (l log) Read(_ context.Context, topic string, partition int, from, end int64,
	visit func([]pipeline.Record) error,
) error {
	if l.expired[topic] {
		return errors.New("out of range")
	}
	for _, in := range l.history[source{topic, partition}] {
		if in.Offset < from || in.Offset >= end {
			continue
		}
		r, err := pipeline.Encode(topic, schemas.Message{Attributes: in.Attributes, Body: in.Body})
		if err != nil {
			return err
		}
		r.Partition, r.Offset = partition, in.Offset
		if cause, ok := l.causes[pipeline.PlaceOf(in)]; ok {
			r.Headers = append(r.Headers, pipeline.Header{Key: pipeline.CauseHeader, Value: []byte(cause.String())})
		}
		if err := visit([]pipeline.Record{r}); err != nil {
			return err
		}
	}
	return nil
}

func (h history) sources() []source {
	return slices.SortedFunc(maps.Keys(h), func(a, b source) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

// deal is an invitation on its way through the topics.
type deal struct {
	log
	invitation *schemas.Invitation
	terms      *schemas.Terms
	account    string
}

func newDeal(l log, reference string, amount int64) *deal {
	x := &schemas.Invitation{
		Id: schemas.InvitationID("AVALBRSP", "seller", reference), ReceivingBank: "AVALBRSP",
		ReceivingAccount: "AVALBRSP/" + reference, Seller: "seller", Reference: reference, Buyer: "buyer",
		Amount: &schemas.Money{MinorUnits: amount, Currency: "BRL"}, Funding: schemas.Funding_FUNDING_DEPOSIT,
		Issuing: &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: "AVALBRRJ"}},
		Route:   schemas.Route_ROUTE_DIRECT, AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		DirectoryVersion: 1,
	}
	return &deal{log: l, invitation: x, account: "AVALBRRJ/of-" + reference, terms: &schemas.Terms{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Seller: "seller",
		Reference: reference,
		Buyer:     "buyer", Amount: x.GetAmount(), Funding: x.GetFunding(), ReceivingBank: "AVALBRSP",
		ReceivingAccount: x.GetReceivingAccount(), IssuingBank: "AVALBRRJ",
		AccountSource: x.GetAccountSource(),
		Route:         x.GetRoute(), KeyId: "key-1", DirectoryVersion: 1,
	}}
}

func (d *deal) id() string { return d.invitation.GetId() }

func reference(m proto.Message) *anypb.Any {
	ref, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return ref
}

func (d *deal) invite() { d.add(schemas.TopicInvitations, d.id(), d.id(), d.invitation) }

func (d *deal) vouch(outcome schemas.Outcome, why schemas.Reason) pipeline.Place {
	m := &schemas.Movement{
		Account: d.invitation.GetReceivingAccount(), Reference: reference(d.invitation),
		Verb: &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: "seller", Currency: "BRL"}},
	}
	return d.entry(schemas.VouchID(d.id()), m, outcome, why)
}

func (d *deal) entry(
	id string, m *schemas.Movement, outcome schemas.Outcome, why schemas.Reason,
) pipeline.Place {
	return d.add(schemas.TopicEntries, m.GetAccount(), "item-"+id[:8], &schemas.Entry{
		Id: id, Movement: m,
		Decision: &schemas.Decision{
			Outcome: outcome, Reason: why,
			Changes: []*schemas.Change{{
				Table: "accounts", Field: m.GetAccount(),
				Value: "deposit BRL open 1000 0 0",
			}},
		},
	})
}

func (d *deal) request() *schemas.IssuanceRequest {
	return &schemas.IssuanceRequest{Terms: d.terms, Verb: &schemas.IssuanceRequest_Request{
		Request: &schemas.Request{Buyer: "buyer", Account: d.account},
	}}
}

func (d *deal) answer(id string, r *schemas.IssuanceRequest, outcome schemas.Outcome, why schemas.Reason) {
	command := d.add(schemas.TopicIssuanceRequests, d.id(), id, r)
	d.add(schemas.TopicPreIssues, d.id(), "item", &schemas.PreIssue{
		Id: id, Request: r, Decision: &schemas.Decision{Offset: command.Offset, Outcome: outcome, Reason: why},
	})
}

// offer follows from what was vouched for.
func (d *deal) offer(vouch pipeline.Place) {
	command := pipeline.Place{
		Topic: schemas.TopicIssuanceRequests, Partition: schemas.PartitionOf([]byte(d.id()), shards),
	}
	command.Offset = int64(2 * len(d.history[source{command.Topic, command.Partition}]))
	d.causes[command] = vouch
	d.answer(schemas.OfferID(d.id()), &schemas.IssuanceRequest{
		Terms: d.terms, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}, done, 0)
}

func (d *deal) hold(outcome schemas.Outcome, why schemas.Reason) pipeline.Place {
	return d.entry(schemas.HoldID(d.id()), &schemas.Movement{
		Account: d.account, Reference: reference(d.request()),
		Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
			Amount: d.terms.GetAmount(), Holder: "buyer", Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
		}},
	}, outcome, why)
}

func (d *deal) certify(cause pipeline.Place) {
	hold := schemas.HoldID(d.id())
	d.causes[d.add(schemas.TopicCertificates, d.id(), schemas.CertificateID(hold), &schemas.Certificate{
		Id: schemas.CertificateID(hold), Terms: d.terms, IssuingAccount: d.account, HoldId: hold,
		Jws: "a.b.c",
	})] = cause
}

func (d *deal) refuse(why schemas.Reason, cause pipeline.Place) {
	d.causes[d.add(schemas.TopicRefusals, d.id(), "refusal-"+cause.Topic, &schemas.Refusal{
		InvitationId: d.id(), ContentDigest: schemas.ContentDigest(d.invitation), Seller: "seller",
		Reference: d.invitation.GetReference(), Reason: why,
	})] = cause
}

const (
	done     = schemas.Outcome_OUTCOME_DONE
	refused  = schemas.Outcome_OUTCOME_REFUSED
	repeated = schemas.Outcome_OUTCOME_REPEAT
	conflict = schemas.Outcome_OUTCOME_CONFLICT
)

// emptyLog is a log of nothing.
func emptyLog() log {
	return log{
		history: history{}, causes: map[pipeline.Place]pipeline.Place{}, expired: map[string]bool{},
	}
}

// play writes the log of some deals: issued, refused, and one whose invitation contradicts another. It
// returns the invitations.
func play() (log, []string) {
	l := emptyLog()
	var ids []string
	for i := range 6 {
		d := newDeal(l, fmt.Sprintf("order-%d", i), int64(100+i))
		ids = append(ids, d.id())
		d.invite()
		d.offer(d.vouch(done, 0))
		d.answer("request-"+d.id(), d.request(), done, 0)
		d.answer("request-"+d.id(), d.request(), repeated, 0)
		if i%2 == 0 {
			d.refuse(schemas.Reason_REASON_NOT_GUARANTEED, d.hold(refused, schemas.Reason_REASON_INSUFFICIENT))
			continue
		}
		hold := d.hold(done, 0)
		d.certify(hold)
		d.certify(hold)
	}
	other := newDeal(l, "order-1", 9_999)
	other.invite()
	other.invite()
	other.refuse(schemas.Reason_REASON_CONFLICT, other.vouch(conflict, 0))
	return l, ids
}

// sources are the partitions that a register reads.
func (l log) sources() []source {
	var found []source
	for _, s := range l.history.sources() {
		if slices.Contains((*register.Register)(nil).Reads(), s.topic) {
			found = append(found, s)
		}
	}
	return found
}

// feed stores the log in an order that the seed makes, some messages at a time, from where the register
// resumes.
func feed(t *testing.T, r *register.Register, l log, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	next := map[source]int{}
	open := l.sources()
	for _, s := range open {
		mark, err := r.Resume(t.Context(), s.topic, s.partition)
		if err != nil {
			t.Fatal(err)
		}
		next[s] = int(max(mark.Offset, 0) / 2)
	}
	for len(open) > 0 {
		i := random.IntN(len(open))
		s := open[i]
		n := min(1+random.IntN(4), len(l.history[s])-next[s])
		store(t, r, l, s, next[s], next[s]+n)
		if next[s] += n; next[s] == len(l.history[s]) {
			open = slices.Delete(open, i, i+1)
		}
	}
}

func store(t *testing.T, r *register.Register, l log, s source, from, to int) {
	t.Helper()
	if err := r.Store(t.Context(), s.topic, s.partition, l.history[s][from:to], mark(to)); err != nil {
		t.Fatalf("seed's Store %v [%d, %d): %v", s, from, to, err)
	}
}

func mark(to int) pipeline.Mark {
	return pipeline.Mark{Offset: int64(2 * to), Metadata: fmt.Sprintf("1 %d 0 7 abc -", 2*to)}
}

// told writes the stories of the invitations as text.
func told(ctx context.Context, t *testing.T, r *register.Stories, ids []string) string {
	t.Helper()
	var b strings.Builder
	for _, id := range ids {
		s, err := r.Story(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", s.Invitation, s.State)
		for _, part := range [][]register.Fact{
			s.Invitations, s.Vouches, s.PreIssues, s.Holds, s.Certificates, s.Refusals,
		} {
			for _, f := range part {
				text, err := schemas.ToJSON(f.Body)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "  %s/%d/%d %s %s %s\n", f.Topic, f.Partition, f.Offset, f.Time, f.ID, text)
			}
			b.WriteString("  .\n")
		}
	}
	return b.String()
}
