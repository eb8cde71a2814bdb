package timer_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/timer"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

const (
	buyer    = "buyer"
	remember = time.Hour
)

// noon is the log time of the first tick.
var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// world is the pre-issues book, and a timer that follows it.
type world struct {
	t       booktest.T
	book    *booktest.Shard
	openMax int

	work      pipeline.Work
	next      int64
	committed pipeline.Mark
	publisher *publisher
	lapsed    map[string]time.Time // when the book decided that
}

func newWorld(t booktest.T, address string, openMax int) *world {
	w := &world{
		t: t, book: booktest.New(t, preissue.Book{}, address), openMax: openMax,
		committed: pipeline.Mark{Offset: -1}, publisher: &publisher{}, lapsed: map[string]time.Time{},
	}
	w.restart()
	return w
}

// restart has another timer go on where the last one has committed.
func (w *world) restart() {
	w.t.Helper()
	w.work = timer.New(timer.Config{
		Publisher: w.publisher, Log: w.book.Log(), OpenMax: w.openMax, Logger: slog.New(slog.DiscardHandler),
	}).Works()[0]
	next, err := w.work.Config.Resume(w.t.Context(), schemas.TopicPreIssues, 0, w.committed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.next = next
}

// follow gives the timer what the journal has, in one batch.
func (w *world) follow() error {
	w.t.Helper()
	b := &pipeline.Batch{Topic: schemas.TopicPreIssues}
	_, end, err := w.book.Log().Bounds(w.t.Context(), b.Topic, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.book.Log().Read(w.t.Context(), b.Topic, 0, w.next, end, func(records []pipeline.Record) error {
		b.Records = append(b.Records, records...)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	b.Next = end
	if err := w.work.Handle(w.t.Context(), b); err != nil {
		return err
	}
	w.next, w.committed = end, b.Mark()
	return nil
}

// decide has the book decide what the timer has written, and says how many lapses were decided for the first time.
func (w *world) decide() (done int) {
	w.t.Helper()
	for _, r := range w.publisher.take() {
		in, err := pipeline.Decode(r)
		if err != nil {
			w.t.Fatal(err)
		}
		request, _ := in.Body.(*schemas.IssuanceRequest)
		invitation := request.GetTerms().GetInvitationId()
		switch outcome := w.command(in.ID, in.Time, request); {
		case outcome == schemas.Outcome_OUTCOME_DONE:
			if _, twice := w.lapsed[invitation]; twice {
				w.t.Fatalf("%s has lapsed twice", invitation)
			}
			w.lapsed[invitation] = in.Time
			done++
		case outcome != schemas.Outcome_OUTCOME_REPEAT:
			w.t.Fatalf("the lapse of %s is answered %v", invitation, outcome)
		}
	}
	return done
}

// command has the book decide one.
func (w *world) command(id string, at time.Time, body proto.Message) schemas.Outcome {
	w.t.Helper()
	item, _ := w.book.Decide(booktest.Command{Message: schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/test", Time: at}, Body: body,
	}})[0].Body.(*schemas.PreIssue)
	return item.GetDecision().GetOutcome()
}

func (w *world) tick(at time.Time) {
	w.t.Helper()
	w.done(w.command("tick", at, &schemas.IssuanceRequest{
		Verb: &schemas.IssuanceRequest_Tick{Tick: &schemas.Tick{Retention: durationpb.New(remember)}},
	}))
}

// offer offers to an invitation, until a time; zero: for ever.
func (w *world) offer(invitation string, by time.Time) {
	w.t.Helper()
	w.done(w.command("offer-"+invitation, noon, &schemas.IssuanceRequest{
		Terms: terms(invitation, by), Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
	}))
}

func (w *world) decline(invitation string, by time.Time) {
	w.t.Helper()
	verb := &schemas.IssuanceRequest_Decline{Decline: &schemas.Decline{Buyer: buyer}}
	w.done(w.command("decline-"+invitation, noon, &schemas.IssuanceRequest{Terms: terms(invitation, by), Verb: verb}))
}

func (w *world) done(outcome schemas.Outcome) {
	w.t.Helper()
	if outcome != schemas.Outcome_OUTCOME_DONE {
		w.t.Fatalf("the book answers %v", outcome)
	}
}

func terms(invitation string, by time.Time) *schemas.Terms {
	t := &schemas.Terms{
		InvitationId: invitation, ContentDigest: make([]byte, schemas.DigestSize), Seller: "seller",
		Reference: "R 1", Buyer: buyer, Amount: &schemas.Money{MinorUnits: 17720, Currency: "BRL"},
		Funding: schemas.Funding_FUNDING_DEPOSIT, ReceivingBank: "AVALJPJT", ReceivingAccount: "AVALJPJT/0002",
		IssuingBank: "AVALBRSP", AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		Route: schemas.Route_ROUTE_DIRECT, KeyId: "k1", DirectoryVersion: 1,
	}
	if !by.IsZero() {
		t.Deadlines = &schemas.Deadlines{AcceptBy: timestamppb.New(by)}
	}
	return t
}

// publisher keeps what is published, or is down.
type publisher struct {
	records []pipeline.Record
	down    bool
}

var errDown = errors.New("down")

func (p *publisher) Publish(_ context.Context, records []pipeline.Record) error {
	if p.down {
		return errDown
	}
	p.records = append(p.records, records...)
	return nil
}

func (p *publisher) take() []pipeline.Record {
	records := p.records
	p.records = nil
	return records
}

// servers runs a test on each Redis.
func servers(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			test(t, server.Address)
		})
	}
}
