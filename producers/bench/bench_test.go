package bench_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

func config() bench.Config {
	return bench.Config{
		Partitions: partitions, WarmUp: time.Second, Duration: 4 * time.Second, Outstanding: 10, Parties: 5,
		Run: "run", Directory: demo.Directory(nil, nil), RoundPairs: 1000, HotHolds: 500, Now: time.Now,
	}
}

// certificates runs a bench over virtual time.
func certificates(t *testing.T, change func(*bench.Config, *world)) (r bench.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, c := newWorld(t), config()
		change(&c, w)
		var err error
		if r, err = bench.Certificates(t.Context(), c, w.deps()); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// TestOpen offers at a rate: as many come out, and the report says what each cost and left.
func TestOpen(t *testing.T) {
	t.Parallel()
	r := certificates(t, func(c *bench.Config, _ *world) { c.Rate, c.Idle = 200, 2*time.Second })
	if r.Count < 780 || r.Count > 820 {
		t.Errorf("%d certificates in 4 s, want about 800", r.Count)
	}
	if got := r.Latency.P999.Whole(); got > 100 {
		t.Errorf("p99.9 is %d ms, nothing took so long", got)
	}
	if r.Lost+r.Refused+r.Twice+r.Undone != 0 {
		t.Errorf("lost %d, refused %d, twice %d, undone %d, want none", r.Lost, r.Refused, r.Twice, r.Undone)
	}
	figures := map[string]struct{ got, want int64 }{
		"records":       {int64(r.Records), 5000}, // invitation, request, two items, certificate
		"bytes":         {int64(r.Bytes), 50_000},
		"batches":       {int64(r.Batches[schemas.TopicCertificates]) / 100, 19}, // an odd one each partition
		"redis, books":  {int64(*r.RedisBytes), 200_000},
		"redis, others": {int64(r.Redis.Register), 100_000},
		"aval":          {int64(*r.CPU.Aval) / 200_000, 25}, // 5 ms each
		"kafka":         {int64(*r.CPU.Kafka) / 100_000, 25},
		"busy":          {int64(*r.Busy), 50_000},
		"idle":          {int64(*r.Idle), 100_000},
		"resident":      {int64(*r.RSS), 1000},
	}
	for name, f := range figures {
		if f.got < f.want-1 || f.got > f.want+1 {
			t.Errorf("%s: %d, want %d", name, f.got, f.want)
		}
	}
	if r.CPU.Redis != nil {
		t.Errorf("redis cost %s each, and nobody could tell", r.CPU.Redis)
	}
}

// TestStall lets the system stand still for a second: every invitation that was due in that time counts as late, also
// those that could not be sent.
func TestStall(t *testing.T) {
	t.Parallel()
	r := certificates(t, func(c *bench.Config, w *world) {
		c.Rate, w.stall, w.stalled = 500, 3*time.Second, time.Second
	})
	if got := r.Latency.P99.Whole(); got < 900 || got > 1100 {
		t.Errorf("p99 is %d ms, want about a second: a quarter of all waited up to that long", got)
	}
	if got := r.Latency.P50.Whole(); got > 100 {
		t.Errorf("p50 is %d ms, want what is usual", got)
	}
	if r.Lost != 0 {
		t.Errorf("lost %d, want none", r.Lost)
	}
}

// TestClosed finds how much is taken, and takes the latency at half of it and what twice of it does.
func TestClosed(t *testing.T) {
	t.Parallel()
	r := certificates(t, func(c *bench.Config, _ *world) {
		c.Duration, c.Overload, c.OpenLeast = time.Second, true, 5000
	})
	if r.Offered != bench.Closed || r.Rate.Whole() < 300 || r.Rate.Whole() > 6000 {
		t.Errorf("offered %s, found %s/s, want what 10 on their way make", r.Offered, r.Rate)
	}
	if half := r.Rate.Whole() / 2; r.LatencyRate.Whole() != half {
		t.Errorf("the latency was taken at %s/s, want %d", r.LatencyRate, half)
	}
	if o := r.Overload; o == nil || o.Wanted.Whole() != 2*r.Rate.Whole() || o.Rate.Whole() < r.Rate.Whole() {
		t.Errorf("overload: %+v, want twice of %s/s, which this system takes", o, r.Rate)
	}
	if r.Redis.Items < 5000 {
		t.Errorf("%d are open in the end, want 5000", r.Redis.Items)
	}
	if faults := r.Faults(true); len(faults) != 3 { // the floors are not in this package, and redis tells nothing
		t.Errorf("faults %q, want three", faults)
	}
}

// TestLost loses some certificates, and has some come twice: both are told, and the former is a fault.
func TestLost(t *testing.T) {
	t.Parallel()
	r := certificates(t, func(c *bench.Config, w *world) { c.Rate, w.drop, w.again = 100, 50, 7 })
	if r.Lost < 8 || r.Lost > 12 {
		t.Errorf("lost %d, want one of fifty", r.Lost)
	}
	if r.Twice < 60 || r.Twice > 80 {
		t.Errorf("twice %d, want one of seven", r.Twice)
	}
	if faults := strings.Join(r.Faults(false), "; "); !strings.Contains(faults, "lost") {
		t.Errorf("faults %q do not tell of what was lost", faults)
	}
}

// TestAccounts piles work up for stages that rest, and reads back what became of it.
func TestAccounts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bench.Config, *world){
		"many":     func(*bench.Config, *world) {},
		"hot":      func(c *bench.Config, _ *world) { c.Hot = true },
		"at rate":  func(c *bench.Config, _ *world) { c.Rate = 500 },
		"attached": func(c *bench.Config, _ *world) { c.Rate = 100 },
		"refused":  func(_ *bench.Config, w *world) { w.refuse = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, c := newWorld(t), config()
				c.Duration = time.Second
				change(&c, w)
				deps := w.deps()
				if name == "attached" {
					deps.Stages = nil
				}
				r, err := bench.Accounts(t.Context(), c, deps)
				if err != nil {
					t.Fatal(err)
				}
				if (r.Refused > 0) != (w.refuse > 0) || r.Lost != 0 {
					t.Errorf("lost %d, refused %d", r.Lost, r.Refused)
				}
				if name == "at rate" && (r.Count < 450 || r.Count > 550) {
					t.Errorf("%d pairs in 1 s, want 500", r.Count)
				}
				if rests := name != "at rate" && name != "attached"; rests != (w.stops > 0) {
					t.Errorf("the book rested %d times", w.stops)
				}
				if name == "hot" && r.Redis.Items != 500 {
					t.Errorf("%d live holds, want 500", r.Redis.Items)
				}
				if r.Latency.P999 == 0 {
					t.Error("no latency")
				}
			})
		})
	}
}

// TestFields reads what is read without unmarshalling, and makes what is made without marshalling.
func TestFields(t *testing.T) {
	t.Parallel()
	terms := &schemas.Terms{InvitationId: "i", Seller: "s", Amount: &schemas.Money{MinorUnits: 7, Currency: "BRL"}}
	item := &schemas.PreIssue{
		Decision: &schemas.Decision{Offset: 7, Outcome: schemas.Outcome_OUTCOME_CONFLICT}, Id: "id",
		Request: &schemas.IssuanceRequest{Terms: terms, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}}},
	}
	value, err := proto.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	if got := bench.OutcomeOf(value); got != schemas.Outcome_OUTCOME_CONFLICT {
		t.Errorf("OutcomeOf = %v, want a conflict", got)
	}
	if got := bench.OutcomeOf(value[:3]); got != schemas.Outcome_OUTCOME_UNSPECIFIED {
		t.Errorf("OutcomeOf(half of it) = %v, want none", got)
	}
	request, err := proto.Marshal(&schemas.Request{Buyer: "b", Account: "a"})
	if err != nil {
		t.Fatal(err)
	}
	made := bench.AnswerOf(value, request)
	got := &schemas.IssuanceRequest{}
	if err := proto.Unmarshal(made, got); err != nil {
		t.Fatal(err)
	}
	want := &schemas.IssuanceRequest{Terms: terms, Verb: &schemas.IssuanceRequest_Request{
		Request: &schemas.Request{Buyer: "b", Account: "a"},
	}}
	if !proto.Equal(got, want) {
		t.Errorf("the answer is %v, want %v", got, want)
	}
}

// TestGoals holds figures against what they should be.
func TestGoals(t *testing.T) {
	t.Parallel()
	n := func(whole int64) *bench.Number { v := bench.Per(whole, 1); return &v }
	reports := []bench.Report{
		{
			Kind: bench.KindCertificates, Rate: *n(7000), Latency: bench.Latency{P99: *n(251)}, RedisBytes: n(250),
			Idle: n(3), Overload: &bench.Overload{Rate: *n(6700)},
		},
		{Kind: bench.KindAccounts, Rate: *n(40_000), Floors: bench.Floors{Script: n(80_000)}},
		{Kind: bench.KindHot, Rate: *n(19_999)},
		{Kind: bench.KindInvite, Rate: *n(50_000)},
		{Kind: bench.KindDemo, Seconds: *n(10)},
	}
	want := map[string]string{
		"certificates a second": "yes", "p99 at half of it": "no", "redis bytes an open one, books": "yes",
		"at rest: of a core": "no", "at twice the load: of the rate": "yes",
		"accounts book: pairs a second": "no", "of what a bare script does": "yes", "of what many accounts do": "no",
		"invite: rows a second": "yes", "demo, once built: seconds": "yes",
	}
	for _, g := range bench.Goals(reports...) {
		name := strings.TrimSpace(g.Name)
		if met, ok := want[name]; ok && g.Met != met {
			t.Errorf("%s: %s of %s: met %q, want %q", name, g.Figure, g.Floor, g.Met, met)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
}
