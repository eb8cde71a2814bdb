package telemetry_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/telemetry"
)

// scrape returns what the meter shows.
func scrape(t *testing.T, m *telemetry.Meter) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// tell tells the meter one of each.
func tell(m *telemetry.Meter) {
	done := pipeline.Worked{Stage: "ledger", Topic: "movements", Records: 20, Bytes: 4000, Took: 30 * time.Millisecond}
	m.Worked(done)
	m.Worked(pipeline.Worked{Stage: "ledger", Topic: "movements", Records: 20, Again: true})
	m.Wrote("entries", 20, 5000)
	for _, call := range []pipeline.Call{
		pipeline.CallDecide, pipeline.CallAppend, pipeline.CallPublish, pipeline.CallStore, pipeline.CallRedis,
		pipeline.CallProduce, pipeline.CallFetch, pipeline.CallCommit, pipeline.CallWebhook,
	} {
		m.Called(pipeline.Called{Call: call, Who: "accounts", What: "decide", Items: 5, Took: 4 * time.Millisecond})
		m.Called(pipeline.Called{Call: call, Who: "accounts", What: "decide", Items: 5, Took: time.Hour, Failed: true})
	}
	for _, event := range []pipeline.Event{
		pipeline.EventDecided, pipeline.EventRefused, pipeline.EventTakeover, pipeline.EventFenced,
		pipeline.EventMismatch, pipeline.EventRecovered, pipeline.EventRebuilt, pipeline.EventDeadLetter,
		pipeline.EventGivenUp, pipeline.EventOutage,
	} {
		m.Counted(event, "accounts", "word", 3)
	}
	for p := range 2 {
		m.Stands(pipeline.Standing{
			Stage: "ledger", Topic: "movements", Partition: p, Next: 10, High: 14,
			Oldest: time.Now().Add(-time.Duration(p+1) * time.Hour),
		})
	}
	m.Stands(pipeline.Standing{Stage: "ledger", Topic: "movements", Partition: 2, Next: 9, High: 9})
	m.Stands(pipeline.Standing{Stage: "ledger", Topic: "movements", Partition: 3, Next: 1, High: 99})
	m.Stands(pipeline.Standing{Stage: "ledger", Topic: "movements", Partition: 3, Left: true})
}

// How far the work is behind is known of each topic of a stage.
func TestLags(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMeter(nil)
	now := time.Now()
	m.Stands(pipeline.Standing{Stage: "a", Topic: "t", Next: 3, High: 9, Oldest: now.Add(-time.Minute), Since: now})
	m.Stands(pipeline.Standing{Stage: "a", Topic: "t", Partition: 1, Next: 3, High: 2, Since: now.Add(-time.Second)})
	m.Stands(pipeline.Standing{Stage: "b", Topic: "t", Oldest: now.Add(time.Minute)})
	want := map[[2]string]telemetry.Lag{
		{"a", "t"}: {Stage: "a", Topic: "t", Partitions: 2, Records: 6, Age: time.Minute, InHand: time.Second},
		{"b", "t"}: {Stage: "b", Topic: "t", Partitions: 1}, // the broker's clock goes ahead
	}
	if got := m.Lags(now); !reflect.DeepEqual(got, want) {
		t.Errorf("Lags = %+v, want %+v", got, want)
	}
}

// Whatever a process tells is shown, under the names that the table has, and nothing else is.
func TestMetrics(t *testing.T) {
	t.Parallel()
	outages := &pipeline.Outages{Logger: slog.New(slog.DiscardHandler)}
	m := telemetry.NewMeter(outages)
	tell(m)
	outages.Begin(pipeline.Waiter{Stage: "ledger", Topic: "movements"}, errors.New("one"))
	outages.Begin(pipeline.Waiter{Stage: "ledger", Topic: "movements", Partition: 1}, errors.New("another"))
	text := scrape(t, m)
	for _, line := range []string{
		`aval_batches_total{result="done",stage="ledger",topic="movements"} 1`,
		`aval_batches_total{result="again",stage="ledger",topic="movements"} 1`,
		`aval_records_total{stage="ledger",topic="movements"} 20`,
		`aval_read_bytes_total{stage="ledger",topic="movements"} 4000`,
		`aval_batch_records_bucket{stage="ledger",topic="movements",le="10"} 0`,
		`aval_batch_records_bucket{stage="ledger",topic="movements",le="30"} 1`,
		`aval_batch_seconds_sum{stage="ledger",topic="movements"} 0.03`,
		`aval_written_batches_total{topic="entries"} 1`,
		`aval_written_records_total{topic="entries"} 20`,
		`aval_written_bytes_total{topic="entries"} 5000`,
		`aval_partitions{stage="ledger",topic="movements"} 3`,
		`aval_lag_records{stage="ledger",topic="movements"} 8`,
		`aval_decide_seconds_count{book="accounts"} 1`,
		`aval_append_seconds_sum{book="accounts"} 0.004`,
		`aval_publish_seconds_count{stage="accounts"} 1`,
		`aval_store_seconds_count{stage="accounts"} 1`,
		`aval_redis_seconds_count{book="accounts",call="decide"} 1`,
		`aval_request_seconds_count{request="produce"} 1`,
		`aval_request_partitions_sum{request="fetch"} 5`,
		`aval_request_partitions_sum{request="commit"} 5`,
		`aval_call_failures_total{call="redis"} 1`,
		`aval_decisions_total{book="accounts",outcome="word"} 3`,
		`aval_refusals_total{book="accounts",reason="word"} 3`,
		`aval_takeovers_total{book="accounts"} 3`,
		`aval_fenced_total{book="accounts"} 3`,
		`aval_mismatches_total{book="accounts"} 3`,
		`aval_recovered_total{book="accounts"} 3`,
		`aval_rebuilt_total{book="accounts"} 3`,
		`aval_dead_letters_total{stage="accounts",topic="word"} 3`,
		`aval_notices_given_up_total{stage="accounts"} 3`,
		`aval_webhook_seconds_count{stage="accounts"} 1`,
		`aval_outages_total{cause="word"} 3`,
		`aval_outage_partitions{cause="ledger"} 2`,
		`process_cpu_seconds_total`, `go_goroutines`, `go_build_info`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s", line)
		}
	}
	if !regexp.MustCompile(`aval_lag_seconds\{stage="ledger",topic="movements"\} 720\d\.`).MatchString(text) {
		t.Error("the oldest record is not two hours old")
	}
	names := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (aval_\w+) `).FindAllStringSubmatch(text, -1) {
		names[found[1]] = true
	}
	for _, metric := range telemetry.Metrics() {
		if !names[metric.Name] {
			t.Errorf("nothing is told of %s", metric.Name)
		}
		delete(names, metric.Name)
	}
	for name := range names {
		t.Errorf("%s is not in the table", name)
	}
}

// The table keeps to one form, and its labels to what is bounded.
func TestTable(t *testing.T) {
	t.Parallel()
	labels := []string{"stage", "topic", "book", "result", "call", "request", "outcome", "reason", "cause"}
	seen := map[string]bool{}
	for _, m := range telemetry.Metrics() {
		if seen[m.Name] || !regexp.MustCompile(`^aval_[a-z_]+$`).MatchString(m.Name) || m.Help == "" || m.Unit == "" {
			t.Errorf("%+v", m)
		}
		seen[m.Name] = true
		if (m.Kind == telemetry.Counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s is a %s", m.Name, m.Kind)
		}
		if strings.HasSuffix(m.Name, "_seconds") != (m.Unit == "seconds") {
			t.Errorf("%s counts %s", m.Name, m.Unit)
		}
		for _, label := range m.Labels {
			if !slices.Contains(labels, label) {
				t.Errorf("%s has the label %s", m.Name, label)
			}
		}
		if !strings.Contains(telemetry.Table(), "| `"+m.Name+"` |") {
			t.Errorf("the table lacks %s", m.Name)
		}
	}
}

// What a later version tells is no reason to stop.
func TestUnknownMeasures(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMeter(nil)
	m.Called(pipeline.Called{Call: "new"})
	m.Called(pipeline.Called{Call: "new", Failed: true})
	m.Counted("new", "who", "why", 1)
	scrape(t, m)
}

// Everybody may tell, and ask, at once.
func TestMeasuringTogether(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMeter(nil)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				tell(m)
				scrape(t, m)
			}
		})
	}
	all.Wait()
}

// To measure takes no memory.
//
//nolint:paralleltest // allocations are counted of the whole process
func TestMeasuringTakesNoMemory(t *testing.T) {
	m := telemetry.NewMeter(nil)
	tell(m)
	worked := pipeline.Worked{Stage: "ledger", Topic: "movements", Records: 20, Bytes: 4000, Took: time.Millisecond}
	standing := pipeline.Standing{Stage: "ledger", Topic: "movements", Next: 1, High: 2, Oldest: time.Now()}
	called := pipeline.Called{Call: pipeline.CallDecide, Who: "accounts", Took: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() {
		m.Worked(worked)
		m.Stands(standing)
		m.Called(called)
		m.Wrote("entries", 1, 1)
		m.Counted(pipeline.EventDecided, "accounts", "done", 1)
	}); n > 0 {
		t.Errorf("a batch takes %v allocations to measure", n)
	}
}

// BenchmarkBatch is what one batch of a stage costs.
func BenchmarkBatch(b *testing.B) {
	m := telemetry.NewMeter(nil)
	worked := pipeline.Worked{Stage: "ledger", Topic: "movements", Records: 20, Bytes: 4000, Took: time.Millisecond}
	standing := pipeline.Standing{Stage: "ledger", Topic: "movements", Next: 1, High: 2, Oldest: time.Now()}
	called := pipeline.Called{Call: pipeline.CallPublish, Who: "accounts", Took: time.Millisecond}
	for b.Loop() {
		m.Stands(standing)
		m.Worked(worked)
		m.Called(called)
		m.Stands(standing)
	}
}
