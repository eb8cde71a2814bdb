package demo_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// TestFactsInAnyOrder folds what a finished run left in the log in any order, some of it twice, and cut
// anywhere: the outcomes are those that the run told, or not known yet.
func TestFactsInAnyOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		orders := sampleOf(t, 5, 200)
		w, p := newWorld(t, 5), newPlace(t, orders)
		if _, err := run(t.Context(), w, p, nil); err != nil {
			t.Fatal(err)
		}
		lines := linesOf(t, read(t, p.report))
		facts := factsOf(t, w)
		for seed := range uint64(50) {
			random := rand.New(rand.NewPCG(seed, 3))
			shuffled := slices.Clone(facts)
			random.Shuffle(len(shuffled), func(i, j int) {
				shuffled[i], shuffled[j] = shuffled[j],
					shuffled[i]
			})
			for range len(facts) / 5 {
				shuffled = append(shuffled, shuffled[random.IntN(len(facts))])
			}
			tracker := planned(t, orders)
			cut := random.IntN(len(shuffled))
			for _, in := range shuffled[:cut] {
				if err := tracker.Fold(in); err != nil {
					t.Fatal(err)
				}
			}
			compareOutcomes(t, tracker, w, lines, false)
			tracker.Live(false)
			for _, in := range shuffled[cut:] {
				if err := tracker.Fold(in); err != nil {
					t.Fatal(err)
				}
			}
			compareOutcomes(t, tracker, w, lines, true)
		}
	})
}

// factsOf are the valid messages of the topics that the demo follows.
func factsOf(t *testing.T, w *world) []pipeline.In {
	t.Helper()
	var facts []pipeline.In
	for _, topic := range []string{
		schemas.TopicEntries, schemas.TopicPreIssues, schemas.TopicCertificates, schemas.TopicRefusals,
		schemas.TopicNotices,
	} {
		for _, records := range w.topics[topic] {
			for _, r := range records {
				if headerOf(r, "late") != nil || headerOf(r, pipeline.TakeoverHeader) != nil {
					continue
				}
				in, err := pipeline.Decode(r)
				if err != nil {
					t.Fatal(err)
				}
				facts = append(facts, in)
			}
		}
	}
	return facts
}

func planned(t *testing.T, orders string) *demo.Tracker {
	t.Helper()
	tracker := demo.NewTracker(0)
	for _, row := range rowsOf(t, orders) {
		if order, reason := batch.Parse(row); reason == "" {
			funds, err := schemas.ParseMoney("1000", order.Currency)
			if err != nil {
				t.Fatal(err)
			}
			tracker.Plan(order, funds)
		}
	}
	return tracker
}

// compareOutcomes compares what the tracker knows of each row's invitation with what its report said.
func compareOutcomes(t *testing.T, tracker *demo.Tracker, w *world, lines []told, all bool) {
	t.Helper()
	contents := contentsOf(t, w)
	for _, l := range lines {
		if l.outcome == "invalid" {
			continue
		}
		money, err := schemas.ParseMoney(l.amount, l.currency)
		if err != nil {
			t.Fatal(err)
		}
		known := 0
		for _, x := range contents[l.invitation] {
			if x.GetBuyer() != l.buyer || x.GetAmount().GetMinorUnits() != money.GetMinorUnits() ||
				x.GetAmount().GetCurrency() != l.currency {
				continue
			}
			got, ok := tracker.Outcome(l.invitation, schemas.ContentDigest(x))
			same := string(got.Outcome) == l.outcome && got.Reason == l.reason &&
				got.Certificate == l.certificate
			if !ok || same {
				known++ // rows that differ in their kind alone share all that the report says of them
			}
			if all && !ok {
				t.Errorf("line %s: nothing is known, the report says %s", l.line, l.outcome)
			}
		}
		if known < 1 {
			t.Errorf("line %s: another outcome than the report's %s (%s)", l.line, l.outcome, l.reason)
		}
	}
}

// contentsOf are the invitations that were submitted, by id.
func contentsOf(t *testing.T, w *world) map[string][]*schemas.Invitation {
	t.Helper()
	contents := map[string][]*schemas.Invitation{}
	for _, records := range w.topics[schemas.TopicInvitations] {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			if x, ok := in.Body.(*schemas.Invitation); ok {
				contents[x.GetId()] = append(contents[x.GetId()], x)
			}
		}
	}
	return contents
}

// TestOneRowOfADealAtATime hands equal and contradicting rows in: each waits for the answer to the one
// before.
func TestOneRowOfADealAtATime(t *testing.T) {
	t.Parallel()
	order, _ := batch.Parse(batch.Row{
		OrderID: "o", SellerID: "s", BuyerID: "b", Amount: "1",
		Currency: "BRL",
	})
	tracker := demo.NewTracker(2)
	tracker.Plan(order, order.Money)
	tracker.Live(false)
	if n := len(tracker.Take(9)); n != 2 {
		t.Fatalf("%d accounts are to be opened, want 2", n)
	}
	id := schemas.InvitationID(demo.ReceivingBank, "s", "o")
	row := func(minor int64) *schemas.Invitation {
		return &schemas.Invitation{
			Id: id, Seller: "s", Reference: "o", Buyer: "b",
			Amount: &schemas.Money{MinorUnits: minor, Currency: "BRL"},
		}
	}
	for i, minor := range []int64{100, 100, 200} {
		if tracker.Room() != (i < 3) {
			t.Errorf("room for row %d: %v", i, tracker.Room())
		}
		if err := tracker.Submit(row(minor)); err != nil {
			t.Fatal(err)
		}
	}
	if tracker.Room() {
		t.Error("there is room beyond the window")
	}
	for i, step := range []struct {
		minor   int64
		outcome schemas.Outcome
		refusal schemas.Reason
	}{
		{100, schemas.Outcome_OUTCOME_DONE, schemas.Reason_REASON_LAPSED},
		{100, schemas.Outcome_OUTCOME_REPEAT, 0},
		{200, schemas.Outcome_OUTCOME_CONFLICT, schemas.Reason_REASON_CONFLICT},
	} {
		if n := len(tracker.Take(9)); n != 1 || tracker.Settled() != i {
			t.Fatalf("%d messages after %d rows, want the next row's alone", n, tracker.Settled())
		}
		x := row(step.minor)
		early := vouch(t, x, schemas.Outcome_OUTCOME_REFUSED)
		early.Decision.Reason = schemas.Reason_REASON_EARLY
		fold(t, tracker, early)
		if n := len(tracker.Take(9)); n != 0 {
			t.Fatalf("%d messages at once after an untimely one", n)
		}
		tracker.Again()
		if n := len(tracker.Take(9)); n != 1 || tracker.Settled() != i {
			t.Fatalf("%d messages after an untimely one, want it again", n)
		}
		fold(t, tracker, vouch(t, x, step.outcome))
		if step.refusal != 0 {
			if tracker.Settled() != i {
				t.Fatal("a row that has no outcome has its answer")
			}
			fold(t, tracker, &schemas.Refusal{
				InvitationId: id, ContentDigest: schemas.ContentDigest(x), Reason: step.refusal,
			})
		}
	}
	if !tracker.Idle() || tracker.Settled() != 3 || len(tracker.Take(9)) != 0 {
		t.Errorf("idle %v after %d rows", tracker.Idle(), tracker.Settled())
	}
}

// TestBuyersAnswerOnce offers twice, as a reader that begins again does, and offers what was decided.
func TestBuyersAnswerOnce(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"": "*schemas.IssuanceRequest_Request", "canceled": "*schemas.IssuanceRequest_Decline",
		"unavailable": "",
	} {
		for _, decided := range []bool{false, true} {
			order, _ := batch.Parse(batch.Row{
				OrderID: "o", SellerID: "s", BuyerID: "b", Amount: "1", Currency: "BRL", OrderStatus: status,
			})
			tracker := demo.NewTracker(0)
			tracker.Plan(order, order.Money)
			offer := item(schemas.Outcome_OUTCOME_DONE, &schemas.IssuanceRequest{
				Terms: termsOf(), Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
			})
			fold(t, tracker, offer)
			if decided {
				fold(t, tracker, item(schemas.Outcome_OUTCOME_DONE, &schemas.IssuanceRequest{
					Terms: termsOf(),
					Verb:  &schemas.IssuanceRequest_Withdraw{Withdraw: &schemas.Withdraw{Seller: "s"}},
				}))
			}
			tracker.Live(false)
			fold(t, tracker, offer)
			var got strings.Builder
			for _, m := range tracker.Take(9) {
				if r, ok := m.Body.(*schemas.IssuanceRequest); ok {
					fmt.Fprintf(&got, "%T", r.GetVerb())
				}
			}
			if decided && got.Len() > 0 || !decided && got.String() != want {
				t.Errorf("status %q, decided %v: answered %q", status, decided, got.String())
			}
			a, ok := tracker.Outcome(termsOf().GetInvitationId(), termsOf().GetContentDigest())
			if waits := status == "unavailable" && !decided; waits != ok || waits &&
				a.Outcome != demo.Waiting {
				t.Errorf("status %q, decided %v: told %v, %v", status, decided, a, ok)
			}
		}
	}
}

func termsOf() *schemas.Terms {
	return &schemas.Terms{
		InvitationId: schemas.InvitationID(demo.ReceivingBank, "s", "o"), Seller: "s", Reference: "o",
		Buyer:  "b",
		Amount: &schemas.Money{MinorUnits: 100, Currency: "BRL"}, Funding: schemas.Funding_FUNDING_DEPOSIT,
		ContentDigest: []byte("content"),
	}
}

func item(outcome schemas.Outcome, r *schemas.IssuanceRequest) *schemas.PreIssue {
	return &schemas.PreIssue{Decision: &schemas.Decision{Outcome: outcome}, Id: "x", Request: r}
}

func vouch(t *testing.T, x *schemas.Invitation, outcome schemas.Outcome) *schemas.Entry {
	t.Helper()
	reference, err := anypb.New(x)
	if err != nil {
		t.Fatal(err)
	}
	return &schemas.Entry{
		Decision: &schemas.Decision{Outcome: outcome}, Id: schemas.VouchID(x.GetId()),
		Movement: &schemas.Movement{
			Reference: reference, Content: schemas.ContentDigest(x),
			Verb: &schemas.Movement_Vouch{Vouch: &schemas.Vouch{Holder: x.GetSeller()}},
		},
	}
}

func fold(t *testing.T, tracker *demo.Tracker, body proto.Message) {
	t.Helper()
	if err := tracker.Fold(pipeline.In{Body: body}); err != nil {
		t.Fatal(err)
	}
}
