package register_test

import (
	"cmp"
	"context"
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

// history is what a register reads: messages by partition.
type history map[source][]pipeline.In

func (h history) add(topic, key, id string, body proto.Message) {
	s := source{topic, schemas.PartitionOf([]byte(key), shards)}
	h[s] = append(h[s], pipeline.In{
		Attributes: schemas.Attributes{
			ID: id, Source: "/aval/test",
			Time: time.Unix(int64(1_700_000_000+len(h[s])), 7).UTC(),
		},
		Topic: s.topic, Partition: s.partition, Offset: int64(2 * len(h[s])), Key: key, Body: body,
	})
}

func (h history) sources() []source {
	return slices.SortedFunc(maps.Keys(h), func(a, b source) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
}

// deal is an invitation on its way through the topics.
type deal struct {
	h          history
	invitation *schemas.Invitation
	terms      *schemas.Terms
	account    string
}

func newDeal(h history, reference string, amount int64) *deal {
	x := &schemas.Invitation{
		Id: schemas.InvitationID("AVALBRSP", "seller", reference), ReceivingBank: "AVALBRSP",
		ReceivingAccount: "AVALBRSP/" + reference, Seller: "seller", Reference: reference, Buyer: "buyer",
		Amount: &schemas.Money{MinorUnits: amount, Currency: "BRL"}, Funding: schemas.Funding_FUNDING_DEPOSIT,
		Issuing: &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: "AVALBRRJ"}},
		Route:   schemas.Route_ROUTE_DIRECT, AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		DirectoryVersion: 1,
	}
	return &deal{h: h, invitation: x, account: "AVALBRRJ/of-" + reference, terms: &schemas.Terms{
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

func (d *deal) invite() { d.h.add(schemas.TopicInvitations, d.id(), d.id(), d.invitation) }

func (d *deal) vouch(outcome schemas.Outcome, why schemas.Reason) {
	m := &schemas.Movement{
		Account: d.invitation.GetReceivingAccount(), Reference: reference(d.invitation),
		Verb: &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: "seller", Currency: "BRL"}},
	}
	d.entry(schemas.VouchID(d.id()), m, outcome, why)
}

func (d *deal) entry(id string, m *schemas.Movement, outcome schemas.Outcome, why schemas.Reason) {
	d.h.add(schemas.TopicEntries, m.GetAccount(), "item-"+id[:8], &schemas.Entry{
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
	d.h.add(schemas.TopicPreIssues, d.id(), "item", &schemas.PreIssue{
		Id: id, Request: r, Decision: &schemas.Decision{Outcome: outcome, Reason: why},
	})
}

func (d *deal) offer() {
	d.answer(schemas.OfferID(d.id()), &schemas.IssuanceRequest{
		Terms: d.terms, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}, done, 0)
}

func (d *deal) hold(outcome schemas.Outcome, why schemas.Reason) {
	d.entry(schemas.HoldID(d.id()), &schemas.Movement{
		Account: d.account, Reference: reference(d.request()),
		Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
			Amount: d.terms.GetAmount(), Holder: "buyer", Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
		}},
	}, outcome, why)
}

func (d *deal) certify() {
	hold := schemas.HoldID(d.id())
	d.h.add(schemas.TopicCertificates, d.id(), schemas.CertificateID(hold), &schemas.Certificate{
		Id: schemas.CertificateID(hold), Terms: d.terms, IssuingAccount: d.account, HoldId: hold,
		Jws: "a.b.c",
	})
}

func (d *deal) refuse(why schemas.Reason) {
	d.h.add(schemas.TopicRefusals, d.id(), "refusal", &schemas.Refusal{
		InvitationId: d.id(), ContentDigest: schemas.ContentDigest(d.invitation), Seller: "seller",
		Reference: d.invitation.GetReference(), Reason: why,
	})
}

const (
	done     = schemas.Outcome_OUTCOME_DONE
	refused  = schemas.Outcome_OUTCOME_REFUSED
	repeated = schemas.Outcome_OUTCOME_REPEAT
	conflict = schemas.Outcome_OUTCOME_CONFLICT
)

// play writes the log of some deals: issued, refused, and one whose invitation contradicts another. It
// returns the invitations.
func play() (history, []string) {
	h := history{}
	var ids []string
	for i := range 6 {
		d := newDeal(h, fmt.Sprintf("order-%d", i), int64(100+i))
		ids = append(ids, d.id())
		d.invite()
		d.vouch(done, 0)
		d.offer()
		d.answer("request-"+d.id(), d.request(), done, 0)
		d.answer("request-"+d.id(), d.request(), repeated, 0)
		if i%2 == 0 {
			d.hold(refused, schemas.Reason_REASON_INSUFFICIENT)
			d.refuse(schemas.Reason_REASON_NOT_GUARANTEED)
			continue
		}
		d.hold(done, 0)
		d.certify()
		d.certify()
	}
	other := newDeal(h, "order-1", 9_999)
	other.invite()
	other.invite()
	other.vouch(conflict, 0)
	other.refuse(schemas.Reason_REASON_CONFLICT)
	return h, ids
}

// feed stores the log in an order that the seed makes, some messages at a time, from where the register
// resumes.
func feed(t *testing.T, r *register.Register, h history, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	next := map[source]int{}
	open := h.sources()
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
		n := min(1+random.IntN(4), len(h[s])-next[s])
		store(t, r, h, s, next[s], next[s]+n)
		if next[s] += n; next[s] == len(h[s]) {
			open = slices.Delete(open, i, i+1)
		}
	}
}

func store(t *testing.T, r *register.Register, h history, s source, from, to int) {
	t.Helper()
	if err := r.Store(t.Context(), s.topic, s.partition, h[s][from:to], mark(to)); err != nil {
		t.Fatalf("seed's Store %v [%d, %d): %v", s, from, to, err)
	}
}

func mark(to int) pipeline.Mark {
	return pipeline.Mark{Offset: int64(2 * to), Metadata: fmt.Sprintf("1 %d 0 7 abc -", 2*to)}
}

// told writes the stories of the invitations as text.
func told(ctx context.Context, t *testing.T, r *register.Register, ids []string) string {
	t.Helper()
	var b strings.Builder
	for _, id := range ids {
		s, err := r.Story(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", s.Invitation)
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
