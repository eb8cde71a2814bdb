package ledger_test

import (
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// TestBookIsItsModel gives random commands in random batches to the script and to the model, and compares
// every answer and, after every batch, every table; looks at the invariants; and has Redis rebuilt from the
// journal.
func TestBookIsItsModel(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := &machine{model: newModel(), shard: booktest.New(t, ledger.Book{}, server.Address)}
				m.batch(t, opening()...)
				for range rapid.IntRange(1, 6).Draw(t, "batches") {
					m.batch(t)
					m.check(t)
				}
				m.shard.Rebuild()
				m.check(t)
				m.batch(t)
				m.check(t)
			})
		})
	}
}

type machine struct {
	model *model
	shard *booktest.Shard
	past  []order
}

// opening makes sure that something is there to fight for.
func opening() []order {
	credit := usual("open", "o2", "b", 20)
	credit.kind = "credit"
	return []order{usual("open", "o1", "a", 20), credit}
}

// batch gives the orders, or random ones, to the model and then at once to the script, and compares the
// answers.
func (m *machine) batch(t *rapid.T, given ...order) {
	size := len(given)
	if size == 0 {
		size = rapid.IntRange(1, 25).Draw(t, "size")
	}
	orders, commands, want := make([]order, size), make([]booktest.Command, size), make([]string, size)
	for i := range orders {
		if given != nil {
			orders[i] = given[i]
		} else {
			orders[i] = m.order(t)
		}
		commands[i], want[i] = orders[i].command(), m.decide(t, orders[i])
		m.past = append(m.past, orders[i])
	}
	for i, in := range m.shard.Decide(commands...) {
		if got := word(in); got != want[i] {
			t.Fatalf("%+v: the script says %s, the model %s", orders[i], got, want[i])
		}
	}
}

func (m *machine) decide(t *rapid.T, o order) string {
	fields, err := o.planned()
	if err != nil {
		t.Fatalf("%+v: %v", o, err)
	}
	if o.verb == "tick" {
		return m.model.decide(o, "", "")
	}
	return m.model.decide(o, fields[3], fields[8])
}

// check compares the tables and looks at the invariants.
func (m *machine) check(t *rapid.T) {
	got, want := m.shard.Tables(), m.model.tables()
	for name := range want {
		if !maps.Equal(got[name], want[name]) {
			t.Fatalf("table %s is\n%v, the model has\n%v", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("there are %d tables, the model has %d", len(got), len(want))
	}
	if err := broken(got); err != nil {
		t.Fatal(err)
	}
}

// order draws one: mostly new, sometimes one that was, or nearly.
func (m *machine) order(t *rapid.T) order {
	if len(m.past) > 0 && rapid.IntRange(0, 5).Draw(t, "past") == 0 {
		o := rapid.SampledFrom(m.past).Draw(t, "which")
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			o.amount = m.amount(t)
			o.amount = max(o.amount, 1)
		case 1:
			o.content = "else"
		case 2:
			o.at = m.time(t)
		}
		return o
	}
	verb := rapid.SampledFrom([]string{ // the first ones come oftener
		"hold", "capture", "release", "debit", "credit", "tick", "unblock", "block", "vouch", "open",
		"astray",
	}).Draw(t, "verb")
	account := rapid.SampledFrom([]string{"a", "b", "a", "b", "c", "d"}).Draw(t, "account")
	o := usual(verb, m.id(t), account, m.amount(t))
	o.at = m.time(t)
	if verb != "open" {
		o.amount = max(o.amount, 1)
	}
	a, ok := m.model.accounts[bank+o.account]
	if ok && a.kind == "credit" || !ok && rapid.Bool().Draw(t, "kind") {
		o.kind = "credit"
	}
	o.contra = rapid.SampledFrom([]string{"genesis", "clearing"}).Draw(t, "contra")
	if rapid.IntRange(0, 14).Draw(t, "strange") == 0 {
		o.currency = "JPY"
	}
	if rapid.IntRange(0, 14).Draw(t, "strange") == 0 {
		o.holder = "z"
	}
	if rapid.IntRange(0, 14).Draw(t, "strange") == 0 {
		o.kind = map[string]string{"deposit": "credit", "credit": "deposit"}[o.kind]
	}
	o.keep = 10
	if rapid.IntRange(0, 14).Draw(t, "strange") == 0 {
		o.keep = 11
	}
	m.aim(t, &o)
	return o
}

// id draws a new one, mostly.
func (m *machine) id(t *rapid.T) string {
	if len(m.past) > 0 && rapid.IntRange(0, 19).Draw(t, "used") == 0 {
		return rapid.SampledFrom(m.past).Draw(t, "id").id
	}
	return "n" + strconv.Itoa(len(m.past))
}

// aim has captures and releases meet a live hold, mostly.
func (m *machine) aim(t *rapid.T, o *order) {
	o.hold = m.id(t)
	var live []order
	for _, p := range m.past {
		if h, ok := m.model.holds[p.id]; ok && h.account == bank+p.account {
			live = append(live, p)
		}
	}
	if len(live) == 0 || rapid.IntRange(0, 9).Draw(t, "aimless") == 0 {
		return
	}
	p := rapid.SampledFrom(live).Draw(t, "live")
	o.hold = p.id
	if o.verb != "capture" && o.verb != "release" {
		return
	}
	if rapid.IntRange(0, 9).Draw(t, "astray") > 0 {
		o.account = p.account
	}
	if rapid.IntRange(0, 2).Draw(t, "whole") == 0 {
		o.amount = m.model.holds[p.id].remaining().Int64()
	}
}

// amount draws small ones, what is exactly available somewhere, and those at the edge.
func (m *machine) amount(t *rapid.T) int64 {
	switch rapid.IntRange(0, 9).Draw(t, "amount of") {
	case 0:
		return schemas.AmountMax - rapid.Int64Range(0, 2).Draw(t, "below the largest")
	case 1:
		return schemas.AmountMax/2 + rapid.Int64Range(-1, 2).Draw(t, "about half")
	case 2:
		if a, ok := m.model.accounts[bank+rapid.SampledFrom([]string{"a", "b"}).Draw(t, "of")]; ok {
			available := difference(sum(a.ledger, a.limit), a.frozen).Int64()
			return min(schemas.AmountMax, available+rapid.Int64Range(0, 1).Draw(t, "and"))
		}
	}
	return rapid.Int64Range(0, 9).Draw(t, "amount")
}

// time draws one about the log time, mostly near.
func (m *machine) time(t *rapid.T) int64 {
	around := max(m.model.clock.now, 100)
	if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
		return around + rapid.Int64Range(-30, 30).Draw(t, "time")
	}
	return around + rapid.Int64Range(0, 8).Draw(t, "time")
}
