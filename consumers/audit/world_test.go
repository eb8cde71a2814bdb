package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const shards = 2

// world is a small system by hand: its log, and what its Redis holds. Its books do what they are told.
type world struct {
	t      *testing.T
	log    map[string][][]pipeline.Record
	tables map[string][]map[string]map[string]string // by book, shard, table
	at     map[string][]int64
	digest map[string][]string

	// alter changes an item before it is written, by the command's identifier.
	alter map[string]func(d *schemas.Decision)
	// lose says which record is not written.
	lose func(r pipeline.Record) bool
	// looked is called before Redis or a topic's bounds are read.
	looked func(what string)

	accounts map[string]*audit.Account
	holds    map[string]*held
}

type held struct {
	account                    string
	amount, captured, released int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, log: map[string][][]pipeline.Record{}, tables: map[string][]map[string]map[string]string{},
		at: map[string][]int64{}, digest: map[string][]string{}, alter: map[string]func(*schemas.Decision){},
		accounts: map[string]*audit.Account{}, holds: map[string]*held{},
	}
	for _, topic := range schemas.Topics() {
		w.log[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(shards))
	}
	for book, journal := range map[string]string{
		"accounts":   schemas.TopicEntries,
		"pre-issues": schemas.TopicPreIssues,
	} {
		w.at[book], w.digest[book] = make([]int64, shards), make([]string, shards)
		for shard := range shards {
			w.tables[book] = append(w.tables[book], map[string]map[string]string{})
			takeover := w.record(journal, fmt.Sprintf("history-%d", shard), &schemas.Takeover{
				History: "history", Partitions: shards, Owner: "test",
			})
			takeover.Partition = shard
			takeover.Headers = append(takeover.Headers, pipeline.Header{
				Key: pipeline.TakeoverHeader, Value: []byte("history"),
			})
			w.append(takeover)
		}
	}
	return w
}

func (w *world) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	if w.looked != nil {
		w.looked(topic)
	}
	return 0, int64(len(w.log[topic][partition])), nil
}

func (w *world) Read(_ context.Context, topic string, partition int, from, end int64,
	visit func([]pipeline.Record) error,
) error {
	return visit(w.log[topic][partition][from:end])
}

func (w *world) State(_ context.Context, book string, shard int) (
	at int64, digest string, tables map[string]map[string]string, err error,
) {
	if w.looked != nil {
		w.looked(book)
	}
	tables = map[string]map[string]string{}
	for table, rows := range w.tables[book][shard] {
		tables[table] = maps.Clone(rows)
	}
	return w.at[book][shard], w.digest[book][shard], tables, nil
}

// record makes a record of a message, in the partition of its key.
func (w *world) record(topic, id string, body proto.Message) pipeline.Record {
	w.t.Helper()
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{
			ID: id, Source: "/aval/test",
			Time: time.UnixMilli(1_700_000_000_000).UTC(),
		},
		Body: body,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if r.Partition = 0; len(r.Key) > 0 {
		r.Partition = schemas.PartitionOf(r.Key, len(w.log[topic]))
	}
	return r
}

func (w *world) append(r pipeline.Record) int64 {
	r.Offset = int64(len(w.log[r.Topic][r.Partition]))
	if w.lose == nil || !w.lose(r) {
		w.log[r.Topic][r.Partition] = append(w.log[r.Topic][r.Partition], r)
	}
	return r.Offset
}

func (w *world) put(topic, id string, body proto.Message) { w.append(w.record(topic, id, body)) }

// decide writes a command, and the entry that answers it, and does to Redis what it says has changed.
func (w *world) decide(id string, command proto.Message, outcome schemas.Outcome, why schemas.Reason,
	changes ...*schemas.Change,
) {
	w.t.Helper()
	book, journal, topic := "accounts", schemas.TopicEntries, schemas.TopicMovements
	if _, ok := command.(*schemas.IssuanceRequest); ok {
		book, journal, topic = "pre-issues", schemas.TopicPreIssues, schemas.TopicIssuanceRequests
	}
	r := w.record(topic, id, command)
	shard := r.Partition
	d := &schemas.Decision{Offset: w.append(r), Outcome: outcome, Reason: why, Changes: changes}
	if alter := w.alter[id]; alter != nil {
		alter(d)
	}
	var body proto.Message = &schemas.Entry{Decision: d, Id: id, Movement: movementOf(command)}
	if request, ok := command.(*schemas.IssuanceRequest); ok {
		body = &schemas.PreIssue{Decision: d, Id: id, Request: request}
	}
	w.answer(book, shard, d, w.record(journal, schemas.DeriveID("item", topic, id,
		strconv.FormatInt(d.GetOffset(), 10)), body))
}

func movementOf(m proto.Message) *schemas.Movement {
	movement, _ := m.(*schemas.Movement)
	return movement
}

func (w *world) answer(book string, shard int, d *schemas.Decision, item pipeline.Record) {
	for _, c := range d.GetChanges() {
		rows := w.tables[book][shard]
		if rows[c.GetTable()] == nil {
			rows[c.GetTable()] = map[string]string{}
		}
		if c.GetValue() == "" {
			delete(rows[c.GetTable()], c.GetField())
		} else {
			rows[c.GetTable()][c.GetField()] = c.GetValue()
		}
	}
	from := w.at[book][shard]
	e := pipeline.Entry{Epoch: 0, From: from, To: from + 1}
	e.Digest = pipeline.HistoryDigest(w.digest[book][shard], e.From, e.To,
		pipeline.Answer([]*schemas.Decision{d}))
	w.at[book][shard], w.digest[book][shard] = e.To, e.Digest
	item.Partition = shard
	item.Headers = append(item.Headers, pipeline.Header{
		Key: pipeline.EntryHeader, Value: pipeline.EntryHeaderValue(e, 1),
	})
	w.append(item)
}

// unreadable writes a command that nobody can read, and its answer.
func (w *world) unreadable(shard int, value string) {
	r := pipeline.Record{
		Topic: schemas.TopicMovements, Partition: shard, Key: []byte("k"),
		Value: []byte(value),
	}
	d := &schemas.Decision{Offset: w.append(r), Outcome: schemas.Outcome_OUTCOME_UNREADABLE}
	w.answer("accounts", shard, d, w.record(schemas.TopicEntries,
		schemas.DeriveID("unreadable", value), &schemas.Entry{
			Decision: d, Unreadable: &schemas.Unreadable{Reason: "no headers", Key: r.Key, Value: r.Value},
		}))
}

// Accounts and holds, as the book would write them.

func (w *world) row(id string) *schemas.Change {
	a := w.accounts[id]
	tail := " - -"
	if a.Kind != audit.Internal {
		tail = fmt.Sprintf(" %s %s", digest("holder"), digest("open"))
	}
	return &schemas.Change{Table: "accounts", Field: id, Value: a.String() + tail}
}

func (w *world) holdRow(id string) *schemas.Change {
	h := w.holds[id]
	c := &schemas.Change{Table: "holds", Field: id}
	if h.amount > h.captured+h.released {
		c.Value = fmt.Sprintf("%s %d %d %d %s", h.account, h.amount, h.captured, h.released, digest(id))
	}
	return c
}

// internal names the internal account of the account's shard, in this test's own books.
func (w *world) internal(account, name string) string {
	id := fmt.Sprintf("%d %s", schemas.PartitionOf([]byte(account), shards), name)
	if w.accounts[id] == nil {
		w.accounts[id] = &audit.Account{Kind: audit.Internal, Currency: "BRL"}
	}
	return id
}

func (w *world) internalRow(id, name string) *schemas.Change {
	c := w.row(id)
	c.Field = name
	return c
}

func (w *world) open(id string, kind schemas.AccountKind, funds int64) {
	w.t.Helper()
	m := &schemas.Movement{Account: id, Verb: &schemas.Movement_Open{Open: &schemas.Open{
		Kind: kind, Holder: "holder", Funds: brl(funds),
	}}}
	a := &audit.Account{Kind: audit.Deposit, Currency: "BRL", Ledger: funds}
	w.accounts[id] = a
	changes := []*schemas.Change{w.row(id)}
	if kind == schemas.AccountKind_ACCOUNT_KIND_CREDIT {
		*a = audit.Account{Kind: audit.Credit, Currency: "BRL", Limit: funds}
		changes = []*schemas.Change{w.row(id)}
	} else if funds > 0 {
		genesis := w.internal(id, "genesis/BRL")
		w.accounts[genesis].Ledger -= funds
		changes = append([]*schemas.Change{w.internalRow(genesis, "genesis/BRL")}, changes...)
	}
	w.decide("open:"+id[9:], m, schemas.Outcome_OUTCOME_DONE, 0, changes...)
}

// hold holds, whatever the account has.
func (w *world) hold(id string, m *schemas.Movement) {
	w.t.Helper()
	x := m.GetHold().GetAmount().GetMinorUnits()
	w.holds[id] = &held{account: m.GetAccount(), amount: x}
	w.reserve(m.GetAccount(), x)
	w.decide(id, m, schemas.Outcome_OUTCOME_DONE, 0, w.row(m.GetAccount()), w.holdRow(id))
}

func (w *world) reserve(account string, x int64) {
	if a := w.accounts[account]; a.Kind == audit.Credit {
		a.Held += x
	} else {
		a.Frozen += x
	}
}

func (w *world) capture(id, hold string, x int64) {
	w.t.Helper()
	h := w.holds[hold]
	a, clearing := w.accounts[h.account], w.internal(h.account, "clearing/BRL")
	h.captured += x
	w.reserve(h.account, -x)
	if w.accounts[clearing].Ledger += x; a.Kind == audit.Credit {
		a.Drawn += x
	} else {
		a.Ledger -= x
	}
	m := &schemas.Movement{Account: h.account, Verb: &schemas.Movement_Capture{Capture: &schemas.Capture{
		Hold: hold, Amount: brl(x),
	}}}
	w.decide(id, m, schemas.Outcome_OUTCOME_DONE, 0, w.row(h.account),
		w.internalRow(clearing, "clearing/BRL"), w.holdRow(hold))
}

func (w *world) release(id, hold string) {
	w.t.Helper()
	h := w.holds[hold]
	x := h.amount - h.captured - h.released
	h.released += x
	w.reserve(h.account, -x)
	m := &schemas.Movement{
		Account: h.account,
		Verb:    &schemas.Movement_Release{Release: &schemas.Release{Hold: hold}},
	}
	w.decide(id, m, schemas.Outcome_OUTCOME_DONE, 0, w.row(h.account), w.holdRow(hold))
}

func brl(minor int64) *schemas.Money { return &schemas.Money{MinorUnits: minor, Currency: "BRL"} }

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func reference(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	ref, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func jws(payload string) string {
	part := base64.RawURLEncoding.EncodeToString([]byte(payload))
	return "aGVhZGVy." + part + ".c2lnbmF0dXJl"
}
