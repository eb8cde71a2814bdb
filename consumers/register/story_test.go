package register_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// TestStories tells what becomes of an invitation, and how far it has come.
func TestStories(t *testing.T) {
	t.Parallel()
	request := func(d *deal) { d.answer("request", d.request(), done, 0) }
	verb := func(d *deal, x *schemas.IssuanceRequest) {
		x.Terms = d.terms
		d.answer("verb", x, done, 0)
	}
	tests := map[string]struct {
		play  func(*deal)
		state register.State
		final bool
		// invitations, vouches, pre-issues, holds, certificates, refusals
		parts [6]int
	}{
		"invited": {
			func(d *deal) { d.invite() }, register.StateInvited, false, [6]int{1, 0, 0, 0, 0, 0},
		},
		"not vouched for": {
			func(d *deal) {
				d.invite()
				d.refuse(schemas.Reason_REASON_ACCOUNT_UNKNOWN, d.vouch(refused, schemas.Reason_REASON_ACCOUNT_UNKNOWN))
			}, register.StateRefused, true, [6]int{1, 1, 0, 0, 0, 1},
		},
		"senseless": {
			func(d *deal) {
				d.invite()
				d.refuse(schemas.Reason_REASON_INVALID, pipeline.Place{Topic: schemas.TopicInvitations})
			}, register.StateRefused, true, [6]int{1, 0, 0, 0, 0, 1},
		},
		"senseless, then mended": {
			func(d *deal) {
				d.invite()
				d.refuse(schemas.Reason_REASON_INVALID, pipeline.Place{Topic: schemas.TopicInvitations})
				d.offer(d.vouch(done, 0))
			}, register.StateOpen, false, [6]int{1, 1, 1, 0, 0, 1},
		},
		"contradicted before the first is offered": {
			func(d *deal) {
				d.invite()
				d.refuse(schemas.Reason_REASON_CONFLICT, d.vouch(conflict, 0))
			}, register.StateInvited, false, [6]int{1, 1, 0, 0, 0, 1},
		},
		"open": {
			func(d *deal) {
				d.invite()
				d.offer(d.vouch(done, 0))
				d.answer("stranger", d.request(), refused, schemas.Reason_REASON_BUYER)
			}, register.StateOpen, false, [6]int{1, 1, 2, 0, 0, 0},
		},
		"requested": {
			func(d *deal) {
				d.offer(d.vouch(done, 0))
				request(d)
				d.hold(done, 0) // found only through what follows from it
			}, register.StateRequested, false, [6]int{0, 1, 2, 0, 0, 0},
		},
		"issued, told twice": {
			func(d *deal) {
				d.invite()
				d.invite()
				d.offer(d.vouch(done, 0))
				request(d)
				hold := d.hold(done, 0)
				d.certify(hold)
				d.certify(hold)
			}, register.StateIssued, true, [6]int{1, 1, 2, 1, 1, 0},
		},
		"not guaranteed": {
			func(d *deal) {
				d.offer(d.vouch(done, 0))
				request(d)
				d.refuse(schemas.Reason_REASON_NOT_GUARANTEED, d.hold(refused, schemas.Reason_REASON_INSUFFICIENT))
			}, register.StateRefused, true, [6]int{0, 1, 2, 1, 0, 1},
		},
		"declined": {
			func(d *deal) {
				d.offer(d.vouch(done, 0))
				verb(d, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Decline{
					Decline: &schemas.Decline{Buyer: "buyer"},
				}})
				d.refuse(schemas.Reason_REASON_DECLINED, pipeline.Place{Topic: schemas.TopicPreIssues})
			}, register.StateDeclined, true, [6]int{0, 1, 2, 0, 0, 1},
		},
		"withdrawn": {
			func(d *deal) {
				d.offer(d.vouch(done, 0))
				verb(d, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Withdraw{
					Withdraw: &schemas.Withdraw{Seller: "seller"},
				}})
			}, register.StateWithdrawn, true, [6]int{0, 1, 2, 0, 0, 0},
		},
		"lapsed": {
			func(d *deal) {
				d.offer(d.vouch(done, 0))
				verb(d, &schemas.IssuanceRequest{Verb: &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}})
			}, register.StateLapsed, true, [6]int{0, 1, 2, 0, 0, 0},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := embedded(t)
			c := config("test", epoch())
			d := newDeal(emptyLog(), "order", 100)
			test.play(d)
			feed(t, register.New(client, c), d.log, 1)
			s, err := register.NewStories(client, d.log, c).Story(t.Context(), d.id())
			if err != nil {
				t.Fatal(err)
			}
			parts := [6]int{
				len(s.Invitations), len(s.Vouches), len(s.PreIssues), len(s.Holds), len(s.Certificates),
				len(s.Refusals),
			}
			if s.State != test.state || s.State.Final() != test.final || parts != test.parts || s.Forgotten != 0 {
				t.Errorf("Story = %s (final %t) of %v, forgotten %d, want %s (%t) of %v",
					s.State, s.State.Final(), parts, s.Forgotten, test.state, test.final, test.parts)
			}
		})
	}
}

func TestAFactSaysWhereItsCommandStands(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	c := config("test", epoch())
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	s, err := register.NewStories(client, l, c).Story(t.Context(), ids[5])
	if err != nil {
		t.Fatal(err)
	}
	item, _ := s.PreIssues[0].Body.(*schemas.PreIssue)
	at, ok := s.PreIssues[0].Command()
	want := pipeline.Place{
		Topic: schemas.TopicIssuanceRequests, Partition: s.PreIssues[0].Partition,
		Offset: item.GetDecision().GetOffset(),
	}
	if !ok || at != want {
		t.Errorf("Command() = %v, %t, want %v", at, ok, want)
	}
	if at, ok := s.Holds[0].Command(); !ok || at.Topic != schemas.TopicMovements {
		t.Errorf("Command() of a hold = %v, %t", at, ok)
	}
	if at, ok := s.Certificates[0].Command(); ok {
		t.Errorf("Command() of a certificate = %v", at)
	}
}

// TestWhatTheLogDoesNotKeepIsCounted: invitations and commands are kept for a month.
func TestWhatTheLogDoesNotKeepIsCounted(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	c := config("test", epoch())
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	l.expired[schemas.TopicInvitations], l.expired[schemas.TopicIssuanceRequests] = true, true
	s, err := register.NewStories(client, l, c).Story(t.Context(), ids[3])
	if err != nil {
		t.Fatal(err)
	}
	if s.Forgotten != 1 || len(s.Invitations) != 0 || len(s.Vouches) != 0 || len(s.Certificates) != 1 ||
		len(s.Holds) != 1 {
		t.Errorf("Story = %+v, want all but the invitation, and one forgotten", s)
	}
}

// TestOffers finds what a buyer has to answer.
func TestOffers(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	c := config("test", epoch())
	d := newDeal(emptyLog(), "order", 100)
	d.offer(d.vouch(done, 0))
	invited := newDeal(d.log, "other", 100)
	invited.invite()
	feed(t, register.New(client, c), d.log, 1)
	stories := register.NewStories(client, d.log, c)
	row, err := stories.Row(t.Context(), d.id())
	if err != nil || !row.OfBuyer("buyer") || row.OfBuyer("somebody else") {
		t.Fatalf("Row = %v, %v", row, err)
	}
	if m, ok := row.Offer(); !ok || m.Second != epoch().Unix() {
		t.Errorf("Offer = %v, %t, want its second", m, ok)
	}
	f, err := stories.Offer(t.Context(), d.id(), row)
	item, _ := f.Body.(*schemas.PreIssue)
	if err != nil || item.GetRequest().GetTerms().GetInvitationId() != d.id() {
		t.Errorf("Offer = %v, %v", f, err)
	}
	another := neighbour(d)
	if f, err := stories.Offer(t.Context(), another, row); !errors.Is(err, register.ErrUnknown) {
		t.Errorf("Offer of another = %v, %v", f, err)
	}
	row, err = stories.Row(t.Context(), invited.id())
	if err != nil || row.OfBuyer("buyer") {
		t.Fatalf("Row = %v, %v", row, err)
	}
	if f, err := stories.Offer(t.Context(), invited.id(), row); !errors.Is(err, register.ErrUnknown) {
		t.Errorf("Offer of what is not offered = %v, %v", f, err)
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	l := emptyLog()
	for i := range 5_000 {
		newDeal(l, fmt.Sprintf("order-%d", i), 100).invite()
	}
	stories := register.NewStories(client, l, config("test", epoch()))
	asked := []int64{1_900, 0, 4, 1_900, 2, 99_999} // every other offset is one
	var got []int64
	visit := func(f register.Fact) error {
		got = append(got, f.Offset)
		return nil
	}
	err := stories.Facts(t.Context(), schemas.TopicInvitations, 1, asked, visit)
	if err != nil || !slices.Equal(got, []int64{0, 2, 4, 1_900}) {
		t.Errorf("Facts = %v, %v", got, err)
	}
	l.expired[schemas.TopicInvitations] = true
	got = nil
	if err := stories.Facts(t.Context(), schemas.TopicInvitations, 1, asked[:3], visit); err != nil || got != nil {
		t.Errorf("Facts that are gone = %v, %v", got, err)
	}
}

// neighbour is an identifier of the same partition.
func neighbour(d *deal) string {
	for i := 0; ; i++ {
		id := fmt.Sprintf("neighbour-%d", i)
		if schemas.PartitionOf([]byte(id), shards) == schemas.PartitionOf([]byte(d.id()), shards) {
			return id
		}
	}
}

// TestRowsOfAPartition come in the order in which they are asked for.
func TestRowsOfAPartition(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	c := config("test", epoch())
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	home := schemas.PartitionOf([]byte(ids[0]), shards)
	rows, err := register.NewStories(client, l, c).Rows(t.Context(), home, "nobody", ids[0])
	if err != nil || len(rows) != 2 || len(rows[0]) != 0 || len(rows[1]) == 0 {
		t.Errorf("Rows = %v, %v", rows, err)
	}
	if rows, err := register.NewStories(client, l, c).Rows(t.Context(), home); err != nil || len(rows) != 0 {
		t.Errorf("Rows of nothing = %v, %v", rows, err)
	}
}

// TestRowsThatCannotBeRead are an error, whatever they hold, and never a panic.
func TestRowsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	c := config("test", epoch())
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	stories := register.NewStories(client, l, c)
	home := schemas.PartitionOf([]byte(ids[0]), shards)
	for _, row := range []string{"O", "Oabc", "X", "C", "C\xff", "X\x01", "Oabcd1234", "Oabcd1"} {
		for _, key := range server.Keys() {
			if strings.HasSuffix(key, ":positions") {
				continue
			}
			fields, err := server.HKeys(key)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range fields {
				server.HSet(key, field, row)
			}
		}
		if rows, err := stories.Rows(t.Context(), home, ids[0]); err == nil {
			t.Errorf("Rows of %q = %v, want an error", row, rows)
		}
	}
}
