package ledger_test

import (
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/schemas"
)

// model is the accounts book in plain Go, written from its description and not from its script: amounts are
// unbounded, and every state is looked at after the fact. Digests are what Plan says they are.
type model struct {
	accounts map[string]account
	holds    map[string]hold
	seen     [2]map[string]string // identifier: digest, and why it was refused
	clock    clock
}

type account struct {
	kind, currency, holder, opened string
	blocked                        bool
	ledger, frozen                 *big.Int // of a credit account: minus what is drawn, and what is held
	limit                          *big.Int // of a credit account
}

type hold struct {
	account, digest            string
	amount, captured, released *big.Int
}

type clock struct {
	ticked                   bool
	now, retention, rotation int64
	turned                   bool // whether it ever rotated
	current                  int
}

func newModel() *model {
	return &model{
		accounts: map[string]account{}, holds: map[string]hold{},
		seen: [2]map[string]string{{}, {}},
	}
}

// decide answers an order, as the script should.
func (m *model) decide(o order, digest, holder string) string {
	switch o.verb {
	case "astray":
		return "unreadable"
	case "tick":
		return m.tick(o)
	}
	if word := m.stands(o, digest); word != "" {
		return word
	}
	if c := m.clock; c.ticked && o.at < c.now-c.retention {
		return "refused stale"
	} else if c.ticked && o.at > c.now+c.retention {
		m.seen[c.current][o.id] = digest + " early"
		return "refused early"
	}
	draft := m.draft(o, digest, holder)
	why := m.refusal(o, holder, draft)
	if why != "" {
		m.seen[m.clock.current][o.id] = digest + " " + why
		return "refused " + why
	}
	maps.Copy(m.accounts, draft.accounts)
	for id, h := range draft.holds {
		m.holds[id] = h
		if h.remaining().Sign() == 0 {
			delete(m.holds, id)
			m.seen[m.clock.current][id] = h.digest
		}
	}
	if o.verb != "hold" {
		m.seen[m.clock.current][o.id] = digest
	}
	return "done"
}

func (m *model) stands(o order, digest string) string {
	if h, ok := m.holds[o.id]; ok {
		return sameOr(h.digest == digest, "repeat")
	}
	for _, half := range []int{m.clock.current, 1 - m.clock.current} {
		if row, ok := m.seen[half][o.id]; ok {
			return sameOr(row[:len(digest)] == digest, "repeat"+row[len(digest):])
		}
	}
	if a, ok := m.accounts[bank+o.account]; ok && o.verb == "open" {
		return sameOr(a.opened == digest, "repeat")
	}
	return ""
}

func sameOr(same bool, word string) string {
	if same {
		return word
	}
	return "conflict"
}

func (m *model) tick(o order) string {
	c := &m.clock
	switch {
	case !c.ticked:
		*c = clock{ticked: true, now: o.at, retention: o.keep, rotation: o.at}
		return "done"
	case o.at <= c.now:
		return "refused stale"
	case o.at > c.now+c.retention:
		return "refused early"
	case o.keep != c.retention:
		return "conflict"
	}
	c.now = o.at
	if c.now-c.rotation >= 2*c.retention {
		c.rotation, c.current, c.turned = c.now, 1-c.current, true
		m.seen[c.current] = map[string]string{}
	}
	return "done"
}

// draft is what would become of the accounts and holds that the order touches, whether it may or not.
func (m *model) draft(o order, digest, holder string) *model {
	d := newModel()
	x := big.NewInt(o.amount)
	id, contra := bank+o.account, o.contra+"/"+o.currency
	a, known := m.accounts[id]
	h := m.holds[o.hold]
	switch {
	case o.verb == "open":
		d.accounts[id] = account{
			kind: o.kind, currency: o.currency, holder: holder, opened: digest,
			ledger: new(big.Int), frozen: new(big.Int), limit: new(big.Int),
		}
		if o.kind == "credit" {
			d.accounts[id] = account{
				kind: o.kind, currency: o.currency, holder: holder, opened: digest,
				ledger: new(big.Int), frozen: new(big.Int), limit: x,
			}
		} else if x.Sign() > 0 {
			d.move(m, "genesis/"+o.currency, id, x)
		}
	case !known:
	case o.verb == "credit":
		d.move(m, contra, id, x)
	case o.verb == "debit":
		d.move(m, id, contra, x)
	case o.verb == "block" || o.verb == "unblock":
		a.blocked = o.verb == "block"
		d.accounts[id] = a
	case o.verb == "hold":
		a.frozen = sum(a.frozen, x)
		d.accounts[id] = a
		d.holds[o.id] = hold{
			account: id, digest: digest, amount: x, captured: new(big.Int), released: new(big.Int),
		}
	case h.account != id:
	case o.verb == "capture":
		d.move(m, id, "clearing/"+o.currency, x)
		a = d.accounts[id]
		a.frozen = difference(a.frozen, x)
		h.captured = sum(h.captured, x)
		d.accounts[id], d.holds[o.hold] = a, h
	case o.verb == "release":
		a.frozen = difference(a.frozen, h.remaining())
		h.released = sum(h.released, h.remaining())
		d.accounts[id], d.holds[o.hold] = a, h
	}
	return d
}

// move takes x from one account to another, both as they are in the draft m or else in the book.
func (m *model) move(book *model, from, to string, x *big.Int) {
	for _, id := range []string{from, to} {
		if _, ok := m.accounts[id]; ok {
			continue
		}
		a, ok := book.accounts[id]
		if !ok {
			a = account{
				kind: "internal", currency: id[len(id)-3:], holder: "-", opened: "-",
				ledger: new(big.Int), frozen: new(big.Int), limit: new(big.Int),
			}
		}
		m.accounts[id] = a
	}
	a, b := m.accounts[from], m.accounts[to]
	a.ledger, b.ledger = difference(a.ledger, x), sum(b.ledger, x)
	m.accounts[from], m.accounts[to] = a, b
}

// refusal says why the draft must not be.
func (m *model) refusal(o order, holder string, d *model) string {
	a, known := m.accounts[bank+o.account]
	after := d.accounts[bank+o.account]
	h, live := m.holds[o.hold]
	live = live && h.account == bank+o.account
	takes := o.verb == "hold" || o.verb == "debit"
	money := o.verb == "credit" || o.verb == "vouch" || takes
	ofHold := o.verb == "capture" || o.verb == "release"
	switch {
	case ofHold && !live:
		return "hold-unknown"
	case o.verb == "capture" && a.currency != o.currency:
		return "account-currency"
	case o.verb == "capture" && d.holds[o.hold].remaining().Sign() < 0:
		return "excess"
	case o.verb != "open" && !ofHold && !known:
		return "account-unknown"
	case (o.verb == "block" || o.verb == "unblock") && after.blocked == a.blocked:
		return "unchanged"
	case money && a.blocked:
		return "account-blocked"
	case money && a.currency != o.currency:
		return "account-currency"
	case (o.verb == "vouch" || o.verb == "hold") && a.holder != holder:
		return "account-holder"
	case o.verb == "hold" && a.kind != o.kind:
		return "account-kind"
	case takes && sum(after.ledger, after.limit).Cmp(after.frozen) < 0:
		return "insufficient"
	case o.verb == "credit" && a.kind == "credit" && after.ledger.Sign() > 0:
		return "excess"
	case d.overLimit():
		return "over-limit"
	}
	return ""
}

func (m *model) overLimit() bool {
	for _, a := range m.accounts {
		for _, n := range []*big.Int{a.ledger, a.frozen, a.limit} {
			if n.CmpAbs(big.NewInt(schemas.AmountMax)) > 0 {
				return true
			}
		}
	}
	return false
}

func (h hold) remaining() *big.Int { return difference(difference(h.amount, h.captured), h.released) }

func sum(a, b *big.Int) *big.Int        { return new(big.Int).Add(a, b) }
func difference(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

// tables are all tables as Redis holds them.
func (m *model) tables() map[string]map[string]string {
	t := map[string]map[string]string{
		"clock": {}, "seen0": m.seen[0], "seen1": m.seen[1],
		ledger.TableAccounts: {}, ledger.TableHolds: {},
	}
	if m.clock.ticked {
		for name, n := range map[string]int64{
			"time": m.clock.now, "retention": m.clock.retention, "rotated": m.clock.rotation,
		} {
			t["clock"][name] = strconv.FormatInt(n, 10)
		}
	}
	if m.clock.turned {
		t["clock"]["current"] = strconv.Itoa(m.clock.current)
	}
	for id, a := range m.accounts {
		status := "open"
		if a.blocked {
			status = "blocked"
		}
		amounts := fmt.Sprintf("%d %d 0", a.ledger, a.frozen)
		if a.kind == "credit" {
			amounts = fmt.Sprintf("%d %d %d", a.limit, difference(new(big.Int), a.ledger), a.frozen)
		}
		row := []string{a.kind, a.currency, status, amounts, a.holder, a.opened}
		t[ledger.TableAccounts][id] = strings.Join(row, " ")
	}
	for id, h := range m.holds {
		amounts := fmt.Sprintf("%d %d %d", h.amount, h.captured, h.released)
		t[ledger.TableHolds][id] = strings.Join([]string{h.account, amounts, h.digest}, " ")
	}
	return t
}
