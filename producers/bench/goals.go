package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Goals that the figures are held against, on two cores.
const (
	CertificatesFloor = 6_000 // a second
	CertificatesAim   = 10_000
	HalfLatencyMost   = 250 // ms, the 99th percentile at half the maximum
	PairsFloor        = 50_000
	PairsAim          = 100_000
	RedisBytesMost    = 250 // of an open certificate, in both books
	InviteFloor       = 50_000
	InviteMemoryMost  = 256 // MiB
	IdleMost          = 2   // percent of a core
	DemoSecondsMost   = 10
	halfPercent       = 50
	wholePercent      = 100
)

// Goal is a figure, and what it is held against.
type Goal struct {
	Name   string
	Figure string
	Floor  string // what it must reach, or must not exceed
	Aim    string
	Met    string // yes or no; empty where there is nothing to reach
}

// goals collects them.
type goals []Goal

func (g *goals) tell(name, format string, args ...any) {
	*g = append(*g, Goal{Name: name, Figure: fmt.Sprintf(format, args...)})
}

// least is a figure that must reach a floor.
func (g *goals) least(name string, n *Number, unit string, floor, aim int64) {
	x := Goal{Name: name, Figure: with(n, unit), Floor: fmt.Sprintf("≥ %d", floor), Met: met(n, n.reaches(floor))}
	if aim > 0 {
		x.Aim = strconv.FormatInt(aim, 10)
	}
	*g = append(*g, x)
}

// most is a figure that must not exceed a bound.
func (g *goals) most(name string, n *Number, unit string, bound int64) {
	below := n != nil && int64(*n) <= bound*thousand
	*g = append(*g, Goal{Name: name, Figure: with(n, unit), Floor: fmt.Sprintf("≤ %d", bound), Met: met(n, below)})
}

func (n *Number) reaches(floor int64) bool { return n != nil && int64(*n) >= floor*thousand }

func with(n *Number, unit string) string {
	if n == nil {
		return "-"
	}
	return n.Short() + unit
}

func met(n *Number, ok bool) string {
	switch {
	case n == nil:
		return "?"
	case ok:
		return "yes"
	}
	return "no"
}

// percent is a in percent of b; nil where one is not known.
func percent(a, b *Number) *Number {
	if a == nil || b == nil || *b == 0 {
		return nil
	}
	n := Per(int64(*a)*wholePercent, int64(*b))
	return &n
}

// Goals holds the figures of reports against what they should be.
func Goals(reports ...Report) []Goal {
	var g goals
	var pairs *Number
	for i := range reports {
		r := &reports[i]
		switch r.Kind {
		case KindCertificates:
			g.certificates(r)
		case KindAccounts:
			pairs = &r.Rate
			g.least("accounts book: pairs a second", &r.Rate, "", PairsFloor, PairsAim)
			g.least("  of what a bare script does", percent(&r.Rate, r.Floors.Script), " %", halfPercent, 0)
			g.costs(r)
		case KindHot:
			g.least("one hot account: pairs a second", &r.Rate, "", 1, 0)
			g.least("  of what many accounts do", percent(&r.Rate, pairs), " %", halfPercent, 0)
			g.costs(r)
		case KindInvite:
			g.least("invite: rows a second", &r.Rate, "", InviteFloor, 0)
			g.most("  resident", r.RSS, " MiB", InviteMemoryMost)
			g.tell("  processor, µs a row", "aval %s, kafka %s", with(r.CPU.Aval, ""), with(r.CPU.Kafka, ""))
		case KindDemo:
			g.most("demo, once built: seconds", &r.Seconds, "", DemoSecondsMost)
		}
	}
	return g
}

func (g *goals) certificates(r *Report) {
	g.least("certificates a second", &r.Rate, "", CertificatesFloor, CertificatesAim)
	g.tell("  of what a bare copy does", "%s of %s/s", with(percent(&r.Rate, r.Floors.Copy), " %"),
		with(r.Floors.Copy, ""))
	g.most("  p99 at half of it", &r.Latency.P99, " ms", HalfLatencyMost)
	g.tell("  p50, p99.9 at half of it", "%s ms, %s ms", r.Latency.P50.Short(), r.Latency.P999.Short())
	g.costs(r)
	g.most("  redis bytes an open one, books", r.RedisBytes, "", RedisBytesMost)
	g.tell("  and the register", "%s, over %d", r.Redis.Register.Short(), r.Redis.Items)
	if o := r.Overload; o != nil {
		kept := percent(&o.Rate, &r.Rate)
		g.least("  at twice the load: of the rate", kept, " %", keptPercent, 0)
		g.tell("  at twice the load: resident", "%s, lost %d, waiting %d at the end", with(o.RSS, " MiB"), o.Lost,
			o.Waiting)
	}
	if r.Idle != nil {
		g.most("  at rest: of a core", r.Idle, " %", IdleMost)
	}
}

// keptPercent of the maximum is no fall: runs differ by as much.
const keptPercent = 95

// costs tells what an item costs.
func (g *goals) costs(r *Report) {
	g.tell("  processor, µs each", "aval %s, kafka %s, redis %s; client %s", with(r.CPU.Aval, ""),
		with(r.CPU.Kafka, ""), with(r.CPU.Redis, ""), with(r.CPU.Client, ""))
	g.tell("  records, bytes each", "%s, %s", r.Records.Short(), r.Bytes.Short())
	g.each("  batches", r.Batches)
	g.each("  batches in hand", r.Handled)
	g.each("  requests each", r.Requests)
	g.tell("  resident", "%s", with(r.RSS, " MiB"))
}

// each tells a figure of each name, some in a row.
func (g *goals) each(name string, figures map[string]Number) {
	const inRow = 4
	var row []string
	for i, of := range slices.Sorted(maps.Keys(figures)) {
		if row = append(row, of+" "+figures[of].Short()); len(row) == inRow || i == len(figures)-1 {
			g.tell(name, "%s", strings.Join(row, ", "))
			name, row = "", nil
		}
	}
}

// Faults says what a report lacks, and what is wrong with it whatever the speed. Known says whether the machine tells
// what processes cost.
func (r *Report) Faults(known bool) (faults []string) {
	for _, left := range []struct {
		name  string
		count int64
	}{{"lost", r.Lost}, {"refused", r.Refused}, {"records not done by a stage", r.Undone}} {
		if left.count != 0 {
			faults = append(faults, fmt.Sprintf("%s: %d %s", r.Kind, left.count, left.name))
		}
	}
	missing := r.missing()
	if known {
		missing = append(missing, r.unknown()...)
	}
	for _, name := range missing {
		faults = append(faults, fmt.Sprintf("%s: no %s", r.Kind, name))
	}
	return faults
}

// figure is one that a report should have.
type figure struct {
	name    string
	missing bool
}

func names(figures []figure) (missing []string) {
	for _, f := range figures {
		if f.missing {
			missing = append(missing, f.name)
		}
	}
	return missing
}

// child says whether the kind only runs, and is timed.
func (r *Report) child() bool { return r.Kind == KindInvite || r.Kind == KindDemo }

func (r *Report) missing() []string {
	all := names([]figure{{"count", r.Count == 0}, {"time", r.Seconds == 0}})
	if r.child() {
		return all
	}
	zero := func(n *Number) bool { return n == nil || *n == 0 }
	return append(all, names([]figure{
		{"rate", r.Rate == 0},
		{"latency", r.Latency.P999 == 0},
		{"records", r.Records == 0 || r.Bytes == 0},
		{"batches", len(r.Batches) == 0},
		{"floor of Kafka", zero(r.Floors.Copy)},
		{"floor of Redis", zero(r.Floors.Script)},
	})...)
}

// unknown is what the machine should have told.
func (r *Report) unknown() []string {
	return names([]figure{
		{"memory", r.RSS == nil},
		{"processor time of aval", r.CPU.Aval == nil},
		{"processor time of kafka", r.CPU.Kafka == nil && r.Kind != KindDemo},
		{"processor time of redis", r.CPU.Redis == nil && !r.child()},
		{"redis bytes", r.RedisBytes == nil && r.Kind != KindAccounts && !r.child()},
	})
}
