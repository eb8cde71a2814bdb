package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// pairs asks the accounts book for holds and, right behind each, for its capture.
type pairs struct {
	Config

	deps     Deps
	accounts []party
	holds    [][]byte // of each account: a hold, as bytes
	names    [][]byte // of each account: the field of a movement that names it
	template *template
	prefix   string // of identifiers
	sent     int64  // pairs
}

// Fields of a movement that differ from one to the next.
const (
	movementAccount protowire.Number = 1
	movementCapture protowire.Number = 17
	captureHold     protowire.Number = 1
	captureAmount   protowire.Number = 2
)

func newPairs(c Config, d Deps, accounts []party) (*pairs, error) {
	x := &pairs{Config: c, deps: d, accounts: accounts}
	x.prefix = schemas.DeriveID("bench", c.Run)[:16]
	money := &schemas.Money{MinorUnits: amount, Currency: currency}
	for _, a := range accounts {
		hold := &schemas.Movement{Account: a.account, Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
			Amount: money, Holder: a.id, Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
		}}}
		value, err := proto.Marshal(hold)
		if err != nil {
			return nil, err
		}
		x.holds = append(x.holds, value)
		name := protowire.AppendTag(nil, movementAccount, protowire.BytesType)
		x.names = append(x.names, protowire.AppendString(name, a.account))
	}
	t, err := templateOf(schemas.TopicMovements, &schemas.Movement{
		Account: accounts[0].account,
		Verb:    &schemas.Movement_Capture{Capture: &schemas.Capture{Hold: "id", Amount: money}},
	})
	x.template = t
	return x, err
}

// Identifiers of holds and captures: 32 hexadecimal digits, as those of the system, and of one length.
const (
	holdKind    = 'a'
	captureKind = 'c'
)

func (x *pairs) id(kind byte, n int64) []byte {
	const digits = 15
	b := make([]byte, 0, len(x.prefix)+1+digits)
	b = append(append(b, x.prefix...), kind)
	text := strconv.FormatInt(n, 16)
	b = append(b, strings.Repeat("0", digits-len(text))...)
	return append(b, text...)
}

// numberOf is which pair a capture is of; ok says whether it is one of this run's.
func (x *pairs) numberOf(id []byte) (n int64, ok bool) {
	text, ok := strings.CutPrefix(string(id), x.prefix+string(captureKind))
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 16, 64)
	return n, err == nil
}

// make makes the records of the next pairs: of each a hold, a capture, or both.
func (x *pairs) make(n int, holds, captures bool) []pipeline.Record {
	out := x.template.batch(x.Now(), 2*n)
	money := protowire.AppendTag(nil, captureAmount, protowire.BytesType)
	text, _ := proto.Marshal(&schemas.Money{MinorUnits: amount, Currency: currency}) // it cannot fail
	money = protowire.AppendBytes(money, text)
	for range n {
		at := x.sent % int64(len(x.accounts))
		key := []byte(x.accounts[at].account)
		hold := x.id(holdKind, x.sent)
		if holds {
			out.add(hold, key, x.holds[at])
		}
		if captures {
			out.add(x.id(captureKind, x.sent), key, capture(x.names[at], hold, money))
		}
		x.sent++
	}
	return out.records
}

func capture(name, hold, money []byte) []byte {
	const tags = 12
	inner := 2 + len(hold) + len(money)
	b := make([]byte, 0, len(name)+inner+tags)
	b = append(b, name...)
	b = protowire.AppendTag(b, movementCapture, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = protowire.AppendTag(b, captureHold, protowire.BytesType)
	b = protowire.AppendBytes(b, hold)
	return append(b, money...)
}

// pileMost is how many pairs are made and published at a time.
const pileMost = 20_000

// pile publishes pairs, as fast as the broker takes them.
func (x *pairs) pile(ctx context.Context, n int, holds, captures bool) error {
	for n > 0 {
		some := min(n, pileMost)
		if err := x.deps.Publisher.Publish(ctx, x.make(some, holds, captures)); err != nil {
			return fmt.Errorf("publish movements: %w", err)
		}
		n -= some
		x.Progress.Add(some)
	}
	return nil
}

// answered counts the items that the book's journal has, from these offsets on, by pipeline.Journal's rules.
type answered struct {
	mu       sync.Mutex
	done     int64 // items that were done
	other    int64 // and those that were not
	captures func(id []byte)
}

func (a *answered) visit(_ int, records []pipeline.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range records {
		if isTakeover(r) {
			continue
		}
		if outcomeOf(r.Value) != schemas.Outcome_OUTCOME_DONE {
			a.other++
			continue
		}
		a.done++
		if a.captures != nil {
			a.captures(fieldOf(r.Value, itemID))
		}
	}
	return nil
}

func isTakeover(r pipeline.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h pipeline.Header) bool { return h.Key == pipeline.TakeoverHeader })
}

func (a *answered) counts() (done, other int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done, a.other
}

// grown is how many records a topic's partitions have beyond these offsets.
func grown(from, ends []int64) int64 {
	n := int64(0)
	for p, end := range ends {
		n += end - from[p]
	}
	return n
}

// pollEvery is how often the journal's end is looked at.
const pollEvery = 50 * time.Millisecond
