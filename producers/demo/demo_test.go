package demo_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

// place is where a test's files lie.
type place struct{ orders, report, certificates string }

func newPlace(t *testing.T, orders string) place {
	t.Helper()
	dir := t.TempDir()
	p := place{
		orders: filepath.Join(dir, "orders.csv"), report: filepath.Join(dir, "report.csv"),
		certificates: filepath.Join(dir, "certificates"),
	}
	if err := os.WriteFile(p.orders, []byte(orders), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs the demo in the world.
func run(ctx context.Context, w *world, p place, change func(*demo.Config)) (demo.Summary, error) {
	c := demo.Config{
		Orders: p.orders, Report: p.report, Certificates: p.certificates, Funds: sample.Funds,
		Keys: w.keys(), Partitions: partitions, Kafka: "memory", Redis: "memory", Window: 40,
		Now: func() time.Time { return time.Unix(1767225600, 0) }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	w.mu.Lock()
	w.kill = kill
	w.mu.Unlock()
	return demo.Run(ctx, c, demo.Deps{Publisher: w, Log: w, Audit: func(context.Context) (demo.Audit, error) {
		return demo.Audit{Checked: 1, Frozen: func(account string) (int64, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.ledger.held[account], w.ledger.accounts[account] != nil
		}}, nil
	}})
}

func sampleOf(t *testing.T, seed uint64, rows int) string {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Generate(&b, seed, sample.RowsMin); err != nil {
		t.Fatal(err)
	}
	all := rowsOf(t, b.String())
	b.Reset()
	b.WriteString("order_id,seller_id,buyer_id,amount,currency,payment_type,order_status\n")
	out := batch.NewWriter(&b)
	for _, r := range all[:rows] {
		err := out.Write(r.OrderID, r.SellerID, r.BuyerID, r.Amount, r.Currency, r.PaymentType, r.OrderStatus)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func check(t *testing.T, p place, orders string, s demo.Summary) {
	t.Helper()
	lines := checkReport(t, orders, read(t, p.report), sample.Funds)
	checkSummary(t, s, lines)
	checkCertificates(t, read(t, p.certificates), read(t, p.certificates+".jwks"), lines)
}

// outcomesFrom counts the outcomes of a journal's items, from the records given on.
func outcomesFrom(t *testing.T, w *world, topic string, from [partitions]int) map[schemas.Outcome]int {
	t.Helper()
	counts := map[schemas.Outcome]int{}
	for p, records := range w.topics[topic] {
		for _, r := range records[from[p]:] {
			in, err := pipeline.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			item, ok := in.Body.(pipeline.Item)
			if ok && headerOf(r, "late") == nil {
				counts[item.GetDecision().GetOutcome()]++
			}
		}
	}
	return counts
}

func (w *world) ends(topic string) (ends [partitions]int) {
	for p, records := range w.topics[topic] {
		ends[p] = len(records)
	}
	return ends
}

func TestSampleTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { twice(t, seed) })
		})
	}
}

func twice(t *testing.T, seed uint64) {
	t.Helper()
	orders := sampleOf(t, seed, sample.RowsMin)
	w, p := newWorld(t, seed), newPlace(t, orders)
	s, err := run(t.Context(), w, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, orders, s)
	if demo.ExitCode(s, err) != demo.ExitInvalid {
		t.Errorf("exit code %d, want %d", demo.ExitCode(s, err), demo.ExitInvalid)
	}
	report, certificates := read(t, p.report), read(t, p.certificates)
	entries, preIssues := w.ends(schemas.TopicEntries), w.ends(schemas.TopicPreIssues)
	if s, err = run(t.Context(), w, p, nil); err != nil {
		t.Fatal(err)
	}
	check(t, p, orders, s)
	if read(t, p.report) != report || read(t, p.certificates) != certificates {
		t.Error("the second run told otherwise")
	}
	if n := len(w.topics[schemas.TopicDirectory][0]); n != 1 {
		t.Errorf("%d versions of the directory were published, want 1", n)
	}
	for topic, from := range map[string][partitions]int{
		schemas.TopicEntries: entries, schemas.TopicPreIssues: preIssues,
	} {
		gained := outcomesFrom(t, w, topic, from)
		if gained[schemas.Outcome_OUTCOME_DONE]+gained[schemas.Outcome_OUTCOME_REFUSED] > 0 {
			t.Errorf("%s gained %v from the second run", topic, gained)
		}
	}
}

// TestCutOffAnywhere kills the demo at its n-th publish, with some of its records written, starts it again
// over a log that fails now and then, and compares what the runs after that say.
func TestCutOffAnywhere(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { cutOff(t, seed) })
		})
	}
}

func cutOff(t *testing.T, seed uint64) {
	t.Helper()
	orders := sampleOf(t, seed, 120)
	w, p := newWorld(t, seed), newPlace(t, orders)
	w.ledger.early = int(seed % 3)
	random := rand.New(rand.NewPCG(seed, 2))
	for range 1 + seed%3 {
		w.cut = 1 + random.IntN(12)
		if _, err := run(t.Context(), w, p, nil); err == nil {
			break
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	w.cut, w.odds = 0, 0.02
	s, err := run(t.Context(), w, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, orders, s)
	report := read(t, p.report)
	if s, err = run(t.Context(), w, p, nil); err != nil {
		t.Fatal(err)
	}
	check(t, p, orders, s)
	if read(t, p.report) != report {
		t.Error("the run after that told otherwise")
	}
	// An answer that is given again has the id that it had: it is a repeat, never somebody else's that came too late.
	gained := outcomesFrom(t, w, schemas.TopicPreIssues, [partitions]int{})
	if gained[schemas.Outcome_OUTCOME_REFUSED]+gained[schemas.Outcome_OUTCOME_CONFLICT] > 0 {
		t.Errorf("the pre-issues book decided %v, want nothing refused", gained)
	}
}

func TestFundsThatDoNotFit(t *testing.T) {
	t.Parallel()
	const header = "order_id,seller_id,buyer_id,amount,currency\n"
	for name, test := range map[string]struct {
		orders, funds, says string
	}{
		"too fine":        {header + "o,s,b,1,JPY\n", "1000.00", "2 digits after the point, JPY has 0"},
		"no amount":       {header, "lots", "--funds: amount"},
		"below zero":      {header, "-1", "--funds: amount"},
		"empty":           {header, "", "give --funds"},
		"a bare point":    {header + "o,s,b,1,BRL\n", "0.", "--funds: amount"},
		"unlike before":   {header + "o,s,b,1,BRL\n", "999.00", "exists and is unlike --funds 999.00 BRL"},
		"nothing, before": {header + "o,s,b,1,BRL\n", "0.00", "exists and is unlike --funds 0.00 BRL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			if _, err := run(t.Context(), w, newPlace(t, header+"o,s,b,1,BRL\n"), nil); err != nil {
				t.Fatal(err)
			}
			_, err := run(t.Context(), w, newPlace(t, test.orders),
				func(c *demo.Config) { c.Funds = test.funds })
			if demo.ExitCode(demo.Summary{}, err) != demo.ExitUsage || !strings.Contains(err.Error(),
				test.says) {
				t.Errorf("run: %v, want %q", err, test.says)
			}
		})
	}
}

func TestNoFundsAtAll(t *testing.T) {
	t.Parallel()
	orders := "order_id,seller_id,buyer_id,amount,currency\no,s,b,1,BRL\n"
	for _, funds := range []string{"0", "0.00", "00.0"} {
		w, p := newWorld(t, 1), newPlace(t, orders)
		s, err := run(t.Context(), w, p, func(c *demo.Config) { c.Funds = funds })
		told := strings.HasSuffix(read(t, p.report), ",refused,insufficient\n")
		if err != nil || s.Outcomes[demo.Refused] != 1 || !told {
			t.Errorf("--funds %s: %v, %v", funds, s, err)
		}
	}
}

// TestOtherFileSameReferences submits what contradicts what stands in the log: what was told before still
// stands.
func TestOtherFileSameReferences(t *testing.T) {
	t.Parallel()
	const header = "order_id,seller_id,buyer_id,amount,currency,order_status\n"
	w := newWorld(t, 3)
	one := newPlace(t, header+"o,s,b,1,BRL,\np,s,b,1,BRL,unavailable\n")
	if _, err := run(t.Context(), w, one, nil); err != nil {
		t.Fatal(err)
	}
	two := newPlace(t, header+"o,s,b,2,BRL,\no,s,b,1.0,BRL,\np,s,b,3,BRL,canceled\np,s,b,1,BRL,\n")
	s, err := run(t.Context(), w, two, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range linesOf(t, read(t, two.report)) {
		got = append(got, l.outcome+" "+l.reason)
	}
	if want := "refused conflict,issued ,refused conflict,declined "; strings.Join(got, ",") != want {
		t.Errorf("told %v, want %s", got, want)
	}
	if s.Amounts["BRL"][demo.Refused] != "5.00" || s.Amounts["BRL"][demo.Issued] != "0.00" {
		t.Errorf("amounts %v, want those of first rows", s.Amounts)
	}
}

func TestStagesElsewhere(t *testing.T) {
	t.Parallel()
	orders := "order_id,seller_id,buyer_id,amount,currency\no,s,b,1,BRL\n"
	w, p := newWorld(t, 1), newPlace(t, orders)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	attach := func(c *demo.Config) { c.Keys = nil }
	if _, err := run(ctx, w, p, attach); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without directory: %v, want that it waits", err)
	}
	if _, err := run(t.Context(), w, p, nil); err != nil {
		t.Fatal(err)
	}
	report := read(t, p.report)
	s, err := run(t.Context(), w, p, attach)
	if err != nil || read(t, p.report) != report || s.Outcomes[demo.Issued] != 1 {
		t.Errorf("attached: %v, %v", s, err)
	}
}

func TestFaultyFileBeginsNothing(t *testing.T) {
	t.Parallel()
	w, p := newWorld(t, 1), newPlace(t, "order_id,seller_id,buyer_id,amount,currency\no,s,b,1,BRL\n\"")
	_, err := run(t.Context(), w, p, nil)
	code := demo.ExitCode(demo.Summary{}, err)
	if code != demo.ExitUsage || !strings.Contains(err.Error(), "record 2, line 3") {
		t.Errorf("run: %v, want a fault", err)
	}
	for topic, parts := range w.topics {
		journal := topic == schemas.TopicEntries ||
			topic == schemas.TopicPreIssues // which begin with takeovers
		if !journal && len(slices.Concat(parts...)) > 0 {
			t.Errorf("%s has records", topic)
		}
	}
	if _, err := os.Stat(p.report); err == nil {
		t.Error("there is a report")
	}
}

func TestOutputsThatCannotBe(t *testing.T) {
	t.Parallel()
	w, p := newWorld(t, 1), newPlace(t, "order_id,seller_id,buyer_id,amount,currency\n")
	for says, change := range map[string]func(*demo.Config){
		"is the file of orders": func(c *demo.Config) { c.Report = p.orders },
		"is a folder":           func(c *demo.Config) { c.Report = filepath.Dir(p.orders) },
		"no such folder":        func(c *demo.Config) { c.Certificates = filepath.Join(p.orders, "x") },
		"name one file": func(c *demo.Config) {
			c.Certificates, c.Report = p.report,
				p.report+".jwks"
		},
	} {
		_, err := run(t.Context(), w, p, change)
		if demo.ExitCode(demo.Summary{}, err) != demo.ExitUsage || !strings.Contains(err.Error(), says) {
			t.Errorf("run: %v, want %q", err, says)
		}
	}
}
