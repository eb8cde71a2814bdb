package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// currency is that of everything a bench moves; funds are what each buyer has of it: more than any run takes.
const (
	currency = "BRL"
	funds    = schemas.AmountMax / 1_000_000
	amount   = 1050 // of each item
)

// party is a buyer or a seller, with an account.
type party struct {
	id      string
	account string
}

func buyerOf(n int) party {
	id := fmt.Sprintf("bench-buyer-%06d", n)
	return party{id: id, account: demo.IssuingBank + "/" + id}
}

func sellerOf(n int) party {
	id := fmt.Sprintf("bench-seller-%06d", n)
	return party{id: id, account: demo.ReceivingBank + "/" + id}
}

func parties(n int, of func(int) party) []party {
	all := make([]party, n)
	for i := range all {
		all[i] = of(i)
	}
	return all
}

// opening is accounts that are being opened.
type opening struct {
	Config

	mu      sync.Mutex
	waiting map[string]bool
}

// openAccounts opens an account for each and waits until all stand. Those that stand already are repeats.
func openAccounts(ctx context.Context, c Config, d Deps, deposit int64, all ...party) error {
	c.Progress.Stage("open accounts", len(all))
	defer c.Progress.Done()
	ends, err := d.ends(ctx, c.Partitions, schemas.TopicEntries)
	if err != nil {
		return err
	}
	x := &opening{Config: c, waiting: make(map[string]bool, len(all))}
	records := make([]pipeline.Record, len(all))
	for i, p := range all {
		x.waiting[p.account] = true
		if records[i], err = openRecord(c, p, deposit); err != nil {
			return err
		}
	}
	return during(ctx, func(ctx context.Context) error {
		if err := d.Publisher.Publish(ctx, records); err != nil {
			return fmt.Errorf("open accounts: %w", err)
		}
		return x.await(ctx)
	}, func(ctx context.Context) error {
		return d.Log.Tail(ctx, schemas.TopicEntries, ends[schemas.TopicEntries], x.visit)
	})
}

func openRecord(c Config, p party, deposit int64) (pipeline.Record, error) {
	return pipeline.Encode(schemas.TopicMovements, schemas.Message{
		Attributes: schemas.Attributes{
			ID: schemas.DeriveID("open", p.account, strconv.FormatInt(deposit, 10)), Source: source, Time: c.Now(),
		},
		Body: &schemas.Movement{Account: p.account, Verb: &schemas.Movement_Open{Open: &schemas.Open{
			Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: p.id,
			Funds: &schemas.Money{MinorUnits: deposit, Currency: currency},
		}}},
	})
}

func (x *opening) visit(_ int, records []pipeline.Record) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range records {
		if !x.waiting[string(r.Key)] {
			continue
		}
		if !stands(r.Value) {
			return fmt.Errorf("account %s was not opened", r.Key)
		}
		delete(x.waiting, string(r.Key))
		x.Progress.Add(1)
	}
	return nil
}

func (x *opening) await(ctx context.Context) error {
	s := newStandstill(x.Now)
	for {
		x.mu.Lock()
		left := int64(len(x.waiting))
		x.mu.Unlock()
		switch {
		case left == 0:
			return nil
		case s.at(left):
			return fmt.Errorf("%d accounts were not opened within %s: do the stages run?", left, patience)
		}
		if err := pipeline.Pause(ctx, linger); err != nil {
			return err
		}
	}
}

// stands says whether a book's item tells that what was asked stands: done now, or before.
func stands(item []byte) bool {
	outcome := outcomeOf(item)
	return outcome == schemas.Outcome_OUTCOME_DONE || outcome == schemas.Outcome_OUTCOME_REPEAT
}

// The numbers of fields that are read without unmarshalling: those of Entry and PreIssue, of Decision, of the
// requests. What they are is written down in schemas/*.proto, and a test compares.
const (
	itemDecision    protowire.Number = 1
	itemID          protowire.Number = 2
	itemCommand     protowire.Number = 3
	decisionOutcome protowire.Number = 2
	requestTerms    protowire.Number = 1
	requestRequest  protowire.Number = 11
)

// outcomeOf is the outcome in a book's item.
func outcomeOf(item []byte) schemas.Outcome {
	v, n := protowire.ConsumeVarint(fieldOf(fieldOf(item, itemDecision), decisionOutcome))
	if n < 0 {
		return schemas.Outcome_OUTCOME_UNSPECIFIED
	}
	return schemas.Outcome(v) //nolint:gosec // an enum's number
}

// fieldOf is the content of a message's field, nil where it has none: of a varint the bytes of that.
func fieldOf(message []byte, number protowire.Number) []byte {
	for len(message) > 0 {
		at, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(at, kind, message)
		if size < 0 {
			return nil
		}
		if at == number {
			if kind == protowire.BytesType {
				content, _ := protowire.ConsumeBytes(message)
				return content
			}
			return message[:size]
		}
		message = message[size:]
	}
	return nil
}

// standstill notices that a figure has not changed for too long.
type standstill struct {
	now   func() time.Time
	last  int64
	since time.Time
}

func newStandstill(now func() time.Time) *standstill { return &standstill{now: now, last: -1} }

// at says whether the figure has been this one for longer than patience.
func (s *standstill) at(figure int64) bool {
	now := s.now()
	if figure != s.last {
		s.last, s.since = figure, now
	}
	return now.Sub(s.since) > patience
}
