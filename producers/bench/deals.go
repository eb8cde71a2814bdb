package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// deals plays sellers and buyers: it invites, answers each offer as soon as it reads it in the journal of the
// pre-issues book, and reads the certificates back.
type deals struct {
	Config

	deps       Deps
	began      time.Time
	sellers    []party
	buyers     []party
	requests   [][]byte // of each buyer: what it asks for, as bytes
	invitation *template
	answer     *template
	body       *schemas.Invitation // of which each is a copy with its own texts
	wake       chan struct{}       // holds a token when there are answers to send

	mu      sync.Mutex
	open    map[dealID]deal
	sent    int64
	answers *batch
	rate    int           // at which is offered now; zero: as much as there is room for
	pace    time.Duration // since when
	paced   int64         // how many were sent since then
	offers  bool          // whether anything is offered now
	most    int64         // that are sent in all; zero: no bound
	behind  bool          // some stage has too much to do
	refused int64
	twice   int64
	tally
}

// dealID is an invitation's identifier without its hexadecimal form.
type dealID [schemas.DigestSize]byte

// deal is an invitation that is on its way.
type deal struct {
	intended time.Duration // when it was to be sent, since the run began
	buyer    int32
	answered bool
}

// tally is what came out.
type tally struct {
	from, to  time.Duration // the window that is measured; to is zero while it is open
	measuring bool
	count     int64            // that came out within the window
	latency   Histogram        // of those that were to be sent within the window
	lag       map[string]int64 // of the stages, as it was seen last within the window
}

func newDeals(c Config, d Deps, directory uint64) (*deals, error) {
	x := &deals{
		Config: c, deps: d, began: c.Now(), open: map[dealID]deal{}, wake: make(chan struct{}, 1),
		sellers: parties(c.Parties, sellerOf), buyers: parties(c.Parties, buyerOf),
	}
	x.body = &schemas.Invitation{
		ReceivingBank: demo.ReceivingBank,
		Amount:        &schemas.Money{MinorUnits: amount, Currency: currency},
		Funding:       schemas.Funding_FUNDING_DEPOSIT,
		Issuing: &schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Bank{Bank: demo.IssuingBank},
		},
		Route:            schemas.Route_ROUTE_DIRECT,
		AccountSource:    schemas.AccountSource_ACCOUNT_SOURCE_ENTERED,
		DirectoryVersion: directory,
	}
	for _, buyer := range x.buyers {
		request, err := proto.Marshal(&schemas.Request{Buyer: buyer.id, Account: buyer.account})
		if err != nil {
			return nil, err
		}
		x.requests = append(x.requests, request)
	}
	return x, x.templates()
}

// templates makes the records that the others are copies of, of messages that are valid.
func (x *deals) templates() (err error) {
	x.fill(0)
	if x.invitation, err = templateOf(schemas.TopicInvitations, x.body); err != nil {
		return err
	}
	request := &schemas.IssuanceRequest{
		Terms: &schemas.Terms{
			InvitationId: x.body.GetId(), ContentDigest: schemas.ContentDigest(x.body), Seller: x.body.GetSeller(),
			Reference: x.body.GetReference(), Buyer: x.body.GetBuyer(), Amount: x.body.GetAmount(),
			Funding: x.body.GetFunding(), ReceivingBank: demo.ReceivingBank,
			ReceivingAccount: x.body.GetReceivingAccount(), IssuingBank: demo.IssuingBank,
			AccountSource: x.body.GetAccountSource(), Route: x.body.GetRoute(), KeyId: "key",
			DirectoryVersion: x.body.GetDirectoryVersion(),
		},
		Verb: &schemas.IssuanceRequest_Request{
			Request: &schemas.Request{Buyer: x.buyers[0].id, Account: x.buyers[0].account},
		},
	}
	x.answer, err = templateOf(schemas.TopicIssuanceRequests, request)
	return err
}

// fill makes the body that of invitation n. Each buyer meets many sellers.
func (x *deals) fill(n int64) (buyer int32) {
	many := int64(len(x.sellers))
	seller := x.sellers[n%many]
	buyer = int32((n + n/many) % many) //nolint:gosec // below many
	x.body.Reference = x.Run + "-" + strconv.FormatInt(n, 10)
	x.body.Id = schemas.InvitationID(demo.ReceivingBank, seller.id, x.body.GetReference())
	x.body.Seller, x.body.ReceivingAccount = seller.id, seller.account
	x.body.Buyer = x.buyers[buyer].id
	return buyer
}

// since is how long the run has lasted.
func (x *deals) since() time.Duration { return x.Now().Sub(x.began) }

// publishMost is how many invitations are published at a time: what a publishing that takes long leaves due is not
// sent in one.
const publishMost = 4000

// offer invites until the run has ended: at the rate, or whatever there is room for.
func (x *deals) offer(ctx context.Context) error {
	ticker := time.NewTicker(linger)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		invitations, err := x.due()
		if err != nil {
			return err
		}
		if len(invitations) == 0 {
			continue
		}
		if err := x.deps.Publisher.Publish(ctx, invitations); err != nil && ctx.Err() == nil {
			return fmt.Errorf("publish invitations: %w", err)
		}
	}
}

// due makes the invitations that are to be sent now, and opens their deals.
func (x *deals) due() ([]pipeline.Record, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.since()
	n := x.room(now)
	out := x.invitation.batch(x.Now(), int(n))
	for range n {
		intended := now
		if x.rate > 0 {
			intended = x.pace + time.Duration(x.paced*int64(time.Second)/int64(x.rate))
		}
		buyer := x.fill(x.sent)
		x.sent++
		x.paced++
		value, err := proto.Marshal(x.body)
		if err != nil {
			return nil, err
		}
		key := []byte(x.body.GetId())
		id, ok := dealOf(key)
		if !ok {
			return nil, errors.New("an invitation's identifier is not hexadecimal")
		}
		x.open[id] = deal{intended: intended, buyer: buyer}
		out.add([]byte("submission:"+x.body.GetId()), key, value)
	}
	return out.records, nil
}

// room is how many invitations are to be sent now.
func (x *deals) room(now time.Duration) int64 {
	n := int64(0)
	switch {
	case !x.offers:
	case x.rate > 0:
		n = int64(now-x.pace)*int64(x.rate)/int64(time.Second) - x.paced
	case !x.behind:
		n = int64(x.Outstanding - len(x.open))
	}
	if x.most > 0 {
		n = min(n, x.most-x.sent)
	}
	return max(min(n, publishMost), 0)
}

func dealOf(key []byte) (id dealID, ok bool) {
	if len(key) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], key)
	return id, err == nil
}

// preIssues answers offers. The first item of an invitation that is ours is its offer.
func (x *deals) preIssues(_ int, records []pipeline.Record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range records {
		id, ok := dealOf(r.Key)
		if !ok {
			continue
		}
		d, ok := x.open[id]
		if !ok || d.answered || outcomeOf(r.Value) != schemas.Outcome_OUTCOME_DONE {
			continue
		}
		d.answered = true
		x.open[id] = d
		if x.answers == nil {
			x.answers = x.answer.batch(x.Now(), publishMost)
		}
		terms := fieldOf(fieldOf(r.Value, itemCommand), requestTerms)
		x.answers.add([]byte("request:"+string(r.Key)), r.Key, answerTo(terms, x.requests[d.buyer]))
	}
	if x.answers != nil {
		select {
		case x.wake <- struct{}{}:
		default: // it holds a token already
		}
	}
	return nil
}

// answerTo is an issuance request: the terms as they were offered, and what the buyer asks.
func answerTo(terms, request []byte) []byte {
	const tags = 16 // bytes at most of two tags and lengths
	value := make([]byte, 0, len(terms)+len(request)+tags)
	value = protowire.AppendTag(value, requestTerms, protowire.BytesType)
	value = protowire.AppendBytes(value, terms)
	value = protowire.AppendTag(value, requestRequest, protowire.BytesType)
	return protowire.AppendBytes(value, request)
}

// reply publishes the answers, as they gather.
func (x *deals) reply(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-x.wake:
		}
		if err := pipeline.Pause(ctx, lingerAnswer); err != nil {
			return nil //nolint:nilerr // the run is over
		}
		x.mu.Lock()
		answers := x.answers
		x.answers = nil
		x.mu.Unlock()
		if answers == nil {
			continue
		}
		if err := x.deps.Publisher.Publish(ctx, answers.records); err != nil && ctx.Err() == nil {
			return fmt.Errorf("publish answers: %w", err)
		}
	}
}

// certificates closes the deals that have theirs.
func (x *deals) certificates(_ int, records []pipeline.Record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.since()
	for _, r := range records {
		id, ok := dealOf(r.Key)
		if !ok {
			continue
		}
		d, ok := x.open[id]
		if !ok {
			x.twice++
			continue
		}
		delete(x.open, id)
		x.out(now, d.intended)
	}
	return nil
}

// refusals counts deals that come to nothing: none should.
func (x *deals) refusals(_ int, records []pipeline.Record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range records {
		if id, ok := dealOf(r.Key); ok {
			delete(x.open, id)
			x.refused++
		}
	}
	return nil
}

// out counts an item that came out now.
func (t *tally) out(now, intended time.Duration) {
	if t.measuring {
		t.count++
	}
	if t.from > 0 && intended >= t.from && (t.to == 0 || intended < t.to) {
		t.latency.Add(now - intended)
	}
}
