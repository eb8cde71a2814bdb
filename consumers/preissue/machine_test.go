package preissue_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// TestBookIsItsModel gives random asks in random batches to the script and to the model, and compares every
// answer and, after every batch, every table; and has Redis rebuilt from the journal.
func TestBookIsItsModel(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := &machine{
					model: &model{
						open: map[string]string{}, decided: [2]map[string]decision{{}, {}},
						seen: [2]map[string]string{{}, {}},
					},
					shard: booktest.New(t, preissue.Book{}, server.Address),
				}
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
	past  []ask
}

func (m *machine) batch(t *rapid.T) {
	asks := make([]ask, rapid.IntRange(1, 25).Draw(t, "size"))
	commands, want := make([]booktest.Command, len(asks)), make([]string, len(asks))
	for i := range asks {
		asks[i] = m.ask(t)
		fields, err := asks[i].planned()
		if err != nil {
			t.Fatalf("%+v: %v", asks[i], err)
		}
		commands[i], want[i] = asks[i].command(), m.model.decide(asks[i], append(fields, "", "")[3:])
		m.past = append(m.past, asks[i])
	}
	for i, in := range m.shard.Decide(commands...) {
		if got := word(in); got != want[i] {
			t.Fatalf("%+v: the script says %s, the model %s", asks[i], got, want[i])
		}
	}
}

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
}

func (m *machine) ask(t *rapid.T) ask {
	strange := func() bool { return rapid.IntRange(0, 9).Draw(t, "strange") == 0 }
	if len(m.past) > 0 && rapid.IntRange(0, 4).Draw(t, "past") == 0 {
		a := rapid.SampledFrom(m.past).Draw(t, "which")
		if strange() {
			a.account = "AVALBRSP/77"
		}
		return a
	}
	verbs := []string{"offer", "request", "decline", "withdraw", "lapse", "tick", "offer"}
	a := ask{
		verb:       rapid.SampledFrom(verbs).Draw(t, "verb"),
		id:         "n" + strconv.Itoa(len(m.past)),
		invitation: rapid.SampledFrom([]string{"i1", "i2", "i3", "i4"}).Draw(t, "invitation"),
		at:         max(m.model.now, 100) + rapid.Int64Range(0, 8).Draw(t, "time"),
		keep:       10,
	}
	a.due = map[string]int64{"i2": 105, "i3": never}[a.invitation]
	if strange() {
		a.at = max(m.model.now, 100) + rapid.Int64Range(-30, 30).Draw(t, "far")
	}
	if strange() {
		a.change = rapid.SampledFrom([]func(*schemas.Terms){
			func(t *schemas.Terms) { t.Amount.MinorUnits++ },
			func(t *schemas.Terms) { t.ContentDigest[0]++ },
			func(t *schemas.Terms) { t.ContentDigest[7]++ },
		}).Draw(t, "change")
	}
	if strange() {
		a.by = "mallory"
	}
	if strange() {
		a.account = receiving
	}
	if strange() {
		a.keep = 11
	}
	return a
}

// model is the pre-issues book in plain Go.
type model struct {
	open    map[string]string // invitation: what stands for the terms
	decided [2]map[string]decision
	seen    [2]map[string]string // identifier: digest, and why it was refused

	now, keep, rotation int64 // now is zero before the first tick
	turned              bool
	current             int
}

type decision struct{ verb, terms, id, digest string }

// decide answers an ask whose digest is said[0] and whose terms' digest is said[2].
func (m *model) decide(a ask, said []string) string {
	if a.verb == "tick" {
		return m.tick(a)
	}
	digest, terms := said[0], said[2]
	for _, half := range []int{m.current, 1 - m.current} {
		if row, ok := m.seen[half][a.id]; ok {
			if before, why, _ := strings.Cut(row, " "); before == digest {
				return "repeat " + why
			}
			return "conflict"
		}
	}
	return m.answer(a, digest, terms)
}

func (m *model) remember(a ask, digest, why string) string {
	m.seen[m.current][a.id] = digest + " " + why
	return "refused " + why
}

// answer is that to an ask whose identifier says nothing yet.
func (m *model) answer(a ask, digest, terms string) string {
	offered, open := m.open[a.invitation]
	d, decided := m.decided[m.current][a.invitation]
	if !decided {
		d, decided = m.decided[1-m.current][a.invitation]
	}
	if decided {
		offered = d.terms
	}
	known := open || decided
	switch {
	case a.verb == "offer" && known && offered == terms:
		return "repeat"
	case a.verb == "offer" && known && offered[32:] == terms[32:]:
		return "conflict terms"
	case a.verb == "offer" && known:
		return "conflict"
	case known && offered != terms:
		return "refused terms"
	case known && m.fault(a) != "":
		return "refused " + m.fault(a)
	case decided && d.id == a.id && d.digest == digest:
		return "repeat"
	case decided && d.id == a.id:
		return "conflict"
	case decided:
		return already[d.verb]
	case m.now > 0 && a.at < m.now-m.keep:
		return "refused stale"
	case m.now > 0 && a.at > m.now+m.keep:
		return m.remember(a, digest, "early")
	case a.verb == "offer":
		m.open[a.invitation] = terms
		return "done"
	case !open:
		return m.remember(a, digest, "pre-issue-unknown")
	}
	delete(m.open, a.invitation)
	m.decided[m.current][a.invitation] = decision{a.verb, terms, a.id, digest}
	return "done"
}

// fault is what is wrong with it in itself: asks do not confirm a pre-filled account here.
func (m *model) fault(a ask) string {
	switch {
	case a.verb == "withdraw" && a.by != "":
		return "seller"
	case (a.verb == "request" || a.verb == "decline") && a.by != "":
		return "buyer"
	case a.verb == "request" && a.account == receiving:
		return "account-bank"
	case a.verb == "lapse" && (a.due == never || a.at < a.due):
		return "early"
	}
	return ""
}

func (m *model) tick(a ask) string {
	switch {
	case m.now == 0:
		m.now, m.keep, m.rotation = a.at, a.keep, a.at
		return "done"
	case a.at <= m.now:
		return "refused stale"
	case a.at > m.now+m.keep:
		return "refused early"
	case a.keep != m.keep:
		return "conflict"
	}
	m.now = a.at
	if m.now-m.rotation >= 2*m.keep {
		m.rotation, m.turned, m.current = m.now, true, 1-m.current
		m.decided[m.current] = map[string]decision{}
		m.seen[m.current] = map[string]string{}
	}
	return "done"
}

func (m *model) tables() map[string]map[string]string {
	t := map[string]map[string]string{
		"clock": {}, "seen0": m.seen[0], "seen1": m.seen[1], preissue.TableOpen: m.open,
		preissue.TableDecided + "0": {}, preissue.TableDecided + "1": {},
	}
	if m.now > 0 {
		t["clock"]["time"] = strconv.FormatInt(m.now, 10)
		t["clock"]["retention"] = strconv.FormatInt(m.keep, 10)
		t["clock"]["rotated"] = strconv.FormatInt(m.rotation, 10)
	}
	if m.turned {
		t["clock"]["current"] = strconv.Itoa(m.current)
	}
	for half, decisions := range m.decided {
		for invitation, d := range decisions {
			row := []string{d.verb, d.terms, d.id, d.digest}
			t[preissue.TableDecided+strconv.Itoa(half)][invitation] = strings.Join(row, " ")
		}
	}
	return t
}
