package book_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// toy is the smallest book that has everything: a sum that must not exceed a limit, and remembered identifiers.
// Its versions have other limits: two that decide the same shard do not decide the same.
type toy struct{ limit int64 }

func toyLimits() []int64 { return []int64{30, 400} }

func (toy) Name() string        { return "toy" }
func (toy) Commands() string    { return schemas.TopicMovements }
func (toy) Journal() string     { return schemas.TopicEntries }
func (toy) Tables() book.Tables { return book.Tables{Plain: []string{"sums"}} }

func (toy) Fields() []book.Field {
	return []book.Field{{Kind: book.PlainField, Table: "sums"}, {Kind: book.TextField}}
}

func (b toy) Lua() string {
	return fmt.Sprintf(`
local book = { plain = { 'sums' }, packed = {}, rotating = {} }
function book.decide(c, s)
  local word = s.seen(c) or s.untimely(c)
  if word then return word end
  local sum = tonumber(s.read('sums', c[5]) or '0') + tonumber(c[6])
  if sum > %d then return s.remember(c, 'refused insufficient') end
  s.write('sums', c[5], s.number(sum))
  return s.remember(c, 'done')
end
`, b.limit)
}

func (toy) Plan(in pipeline.In) ([]string, error) {
	m, ok := in.Body.(*schemas.Movement)
	if !ok {
		return nil, fmt.Errorf("a %T is no movement", in.Body)
	}
	ms := strconv.FormatInt(in.Time.UnixMilli(), 10)
	if t := m.GetTick(); t != nil {
		return []string{"tick", in.ID, ms, "", strconv.FormatInt(t.GetRetention().AsDuration().Milliseconds(), 10)}, nil
	}
	amount := strconv.FormatInt(m.GetCredit().GetAmount().GetMinorUnits(), 10)
	return []string{"credit", in.ID, ms, fmt.Sprintf("%032s", amount), m.GetAccount(), amount}, nil
}

func (toy) Item(in pipeline.In, d *schemas.Decision) proto.Message {
	m, _ := in.Body.(*schemas.Movement)
	return &schemas.Entry{Id: in.ID, Movement: m, Decision: d}
}

func (toy) Unreadable(u *schemas.Unreadable, d *schemas.Decision) proto.Message {
	return &schemas.Entry{Unreadable: u, Decision: d}
}

// credit is a command: an identifier, an amount.
func credit(t *testing.T, id string, amount int64) pipeline.Record {
	t.Helper()
	r, err := pipeline.Encode(schemas.TopicMovements, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/test", Time: time.UnixMilli(1e12)},
		Body:       movementOf(amount),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func movementOf(amount int64) *schemas.Movement {
	return &schemas.Movement{Account: account, Verb: &schemas.Movement_Credit{Credit: &schemas.Credit{
		Amount: &schemas.Money{MinorUnits: amount, Currency: "BRL"}, Contra: schemas.Contra_CONTRA_GENESIS,
	}}}
}

const account = "AVALBRSP/1"

// toyModel decides as the toy does, and follows what was decided.
type toyModel struct {
	sum  int64
	seen map[string]seenModel
}

type seenModel struct {
	amount int64
	word   string
}

func (m *toyModel) decide(id string, amount, limit int64) string {
	if before, ok := m.seen[id]; ok {
		switch {
		case before.amount != amount:
			return "conflict"
		case before.word == "done":
			return "repeat"
		}
		return "repeat insufficient"
	}
	if m.sum+amount > limit {
		return "refused insufficient"
	}
	return "done"
}

func (m *toyModel) follow(id string, amount int64, word string) {
	if _, ok := m.seen[id]; ok {
		return
	}
	m.seen[id] = seenModel{amount: amount, word: word}
	if word == "done" {
		m.sum += amount
	}
}
