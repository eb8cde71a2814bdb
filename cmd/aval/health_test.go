package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aval-systems/aval/pipeline/telemetry"
	"github.com/aval-systems/aval/pipeline/telemetry/collectortest"
	"github.com/aval-systems/aval/schemas"
)

// devProcess is aval dev, on ports of its own.
type devProcess struct {
	*process

	kafka, redis string
	shows        string // where it shows itself
}

func startDev(t *testing.T, args ...string) devProcess {
	t.Helper()
	free := []string{"--kafka-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"}
	p := devProcess{process: start(t, slices.Concat([]string{"dev"}, free, args)...)}
	p.awaitLog(t, "msg=running", 1)
	p.shows = "http://" + found(t, p.stderr.String(), `serving health and metrics" address=(\S+)`)
	await(t, "what aval dev says", func() bool { return strings.Contains(p.stdout.String(), "An interrupt ends it") })
	p.kafka = found(t, p.stdout.String(), `Kafka +(\S+)`)
	p.redis = found(t, p.stdout.String(), `Redis +(\S+)`)
	return p
}

func (p devProcess) at() []string { return []string{"--kafka", p.kafka, "--redis", p.redis} }

func found(t *testing.T, text, form string) string {
	t.Helper()
	match := regexp.MustCompile(form).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in\n%s", form, text)
	}
	return match[1]
}

// get asks the process.
func (p devProcess) get(t *testing.T, method, path string) (int, string) {
	t.Helper()
	return ask(t, method, p.shows+path)
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// metrics are what the process shows, by name and labels.
func (p devProcess) metrics(t *testing.T) map[string]string {
	t.Helper()
	code, text := p.get(t, http.MethodGet, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics answers %d: %s", code, text)
	}
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			all[name] = value
		}
	}
	return all
}

// looked is what aval watch shows, as far as it is looked at.
type looked struct {
	Certificates []struct {
		State string
		Total int
		Since int
	}
	Stages []struct {
		Stage, Topic string
		LagRecords   int `json:"lag_records"`
	}
}

func (l looked) total(state string) (total, since int) {
	for _, s := range l.Certificates {
		if s.State == state {
			return s.Total, s.Since
		}
	}
	return -1, -1
}

// TestWhatAProcessShows lets the demonstration run over aval dev, and compares with what then stands in the log what
// the process shows of itself, and what aval watch shows.
func TestWhatAProcessShows(t *testing.T) {
	t.Parallel()
	p := startDev(t, "--pprof")
	await(t, "a process that is ready", func() bool {
		code, _ := p.get(t, http.MethodGet, "/readyz")
		return code == http.StatusOK
	})
	watch := start(t, append([]string{"watch", "--interval", "200ms", "-o", "ndjson"}, p.at()...)...)
	await(t, "a first look", func() bool { return strings.Contains(watch.stdout.String(), "\n") })
	j := newJob(t, crowd(5, 200), "500")
	if code := start(t, j.args(append(p.at(), "--attach")...)...).wait(t); code != exitDecided && code != exitInvalid {
		t.Fatalf("the demonstration ended with %d", code)
	}
	log := connect(t, p.kafka, "aval")
	count := func(topic string) (n int) {
		for _, partition := range records(t, log, topic) {
			n += len(partition)
		}
		return n
	}
	await(t, "stages that have done everything", func() bool { return atRest(t, p.at()) })

	m := p.metrics(t)
	for name, want := range map[string]int{
		`aval_records_total{stage="invitation",topic="invitations"}`:          count(schemas.TopicInvitations),
		`aval_records_total{stage="ledger",topic="movements"}`:                count(schemas.TopicMovements),
		`aval_records_total{stage="register",topic="certificates"}`:           count(schemas.TopicCertificates),
		`aval_written_records_total{topic="certificates"}`:                    count(schemas.TopicCertificates),
		`aval_written_records_total{topic="pre-issues"}`:                      count(schemas.TopicPreIssues),
		`aval_batch_records_sum{stage="ledger",topic="movements"}`:            count(schemas.TopicMovements),
		`aval_lag_records{stage="certificate",topic="entries"}`:               0,
		`aval_lag_seconds{stage="certificate",topic="entries"}`:               0,
		`aval_partitions{stage="certificate",topic="entries"}`:                4,
		`aval_takeovers_total{book="accounts"}`:                               4,
		`aval_takeovers_total{book="pre-issues"}`:                             4,
		`aval_batches_total{result="again",stage="relay",topic="pre-issues"}`: 0,
	} {
		if m[name] != strconv.Itoa(want) {
			t.Errorf("%s is %q, want %d", name, m[name], want)
		}
	}
	for _, name := range []string{
		`aval_decisions_total{book="accounts",outcome="done"}`,
		`aval_refusals_total{book="accounts",reason="insufficient"}`,
		`aval_decide_seconds_count{book="accounts"}`, `aval_append_seconds_count{book="pre-issues"}`,
		`aval_redis_seconds_count{book="accounts",call="decide"}`, `aval_publish_seconds_count{stage="certificate"}`,
		`aval_store_seconds_count{stage="register"}`, `aval_request_seconds_count{request="produce"}`,
		`aval_request_seconds_count{request="fetch"}`, `aval_request_seconds_count{request="commit"}`,
		`aval_written_bytes_total{topic="entries"}`, `aval_read_bytes_total{stage="ledger",topic="movements"}`,
		"process_resident_memory_bytes", "go_goroutines",
	} {
		if m[name] == "" || m[name] == "0" {
			t.Errorf("%s is %q", name, m[name])
		}
	}
	noIdentifiers(t, m)
	shows(t, p)

	watch.signal(t, syscall.SIGINT)
	if code := watch.wait(t); code != exitDecided {
		t.Errorf("aval watch ended with %d: %s", code, watch.stderr)
	}
	lines := strings.Split(strings.TrimSpace(watch.stdout.String()), "\n")
	var l looked
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &l); err != nil {
		t.Fatal(err)
	}
	closed, _ := l.total("closed")
	split := 0
	for _, state := range []string{"refused", "declined", "withdrawn", "lapsed"} {
		_, since := l.total(state)
		split += since
	}
	issued, since := l.total("issued")
	held, _ := l.total("held")
	invited, _ := l.total("invited")
	if want := count(schemas.TopicCertificates); issued != want || since != want || held != want || want == 0 {
		t.Errorf("watch shows %d issued, %d since it began and %d held, there are %d", issued, since, held, want)
	}
	if want := count(schemas.TopicRefusals); closed != want || split != want || want == 0 {
		t.Errorf("watch shows %d closed, of which it knows %d, there are %d", closed, split, want)
	}
	if want := count(schemas.TopicInvitations); invited != want {
		t.Errorf("watch shows %d invited, there are %d", invited, want)
	}
}

// atRest says whether aval watch shows nothing that is not done.
func atRest(t *testing.T, at []string) bool {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{"watch", "--once", "-o", "json"}, at...)...)
	var l looked
	if err := json.Unmarshal([]byte(stdout), &l); code != exitDecided || err != nil {
		t.Fatalf("aval watch --once ended with %d: %v %s", code, err, stderr)
	}
	lag := 0
	for _, s := range l.Stages {
		lag += s.LagRecords
	}
	return lag == 0 && len(l.Stages) > 10
}

// noIdentifiers expects that labels are of bounded sets.
func noIdentifiers(t *testing.T, metrics map[string]string) {
	t.Helper()
	known := map[string]bool{}
	for _, m := range telemetry.Metrics() {
		known[m.Name] = true
	}
	label := regexp.MustCompile(`="([^"]*)"`)
	for name := range maps.Keys(metrics) {
		if !strings.HasPrefix(name, "aval_") {
			continue
		}
		for _, value := range label.FindAllStringSubmatch(name, -1) {
			if !regexp.MustCompile(`^([a-z_-]+|[0-9.]+|\+Inf)$`).MatchString(value[1]) {
				t.Errorf("%s has a label of an unbounded set", name)
			}
		}
		family, _, _ := strings.Cut(name, "{")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			family = strings.TrimSuffix(family, suffix)
		}
		if !known[family] && !known[family+"_count"] {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// shows expects what a process answers, and what it does not.
func shows(t *testing.T, p devProcess) {
	t.Helper()
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, "/startupz", http.StatusOK},
		{http.MethodGet, "/livez", http.StatusOK},
		{http.MethodGet, "/readyz", http.StatusOK},
		{http.MethodHead, "/readyz", http.StatusOK},
		{http.MethodGet, "/debug/pprof/cmdline", http.StatusOK},
		{http.MethodPost, "/livez", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
	} {
		if code, body := p.get(t, test.method, test.path); code != test.code {
			t.Errorf("%s %s answers %d: %s", test.method, test.path, code, body)
		}
	}
	if _, body := p.get(t, http.MethodGet, "/readyz"); body != "{\"ok\":true}\n" {
		t.Errorf("/readyz says %s", body)
	}
	address := strings.TrimPrefix(p.shows, "http://")
	code, _, stderr := run(t, append([]string{"run", "--listen", address}, p.at()...)...)
	if code != exitUsage || !strings.Contains(stderr, "--listen "+address+": something listens there already") {
		t.Errorf("a second process at %s ended with %d: %s", address, code, stderr)
	}
}

// TestNothingIsShown lets a process be asked nothing.
func TestNothingIsShown(t *testing.T) {
	t.Parallel()
	p := start(t, "dev", "--kafka-listen", "127.0.0.1:0", "--redis-listen", "127.0.0.1:0", "--listen", "off")
	p.awaitLog(t, "msg=running", 1)
	if p.logged("serving") > 0 {
		t.Errorf("it serves: %s", p.stderr)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != exitDecided {
		t.Errorf("it ended with %d", code)
	}
}

// TestWatchUsage hands in what cannot be watched.
func TestWatchUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--interval 1ms, must be at least 200ms": {"--interval", "1ms"},
		"must be table, json or ndjson":          {"-o", "xml"},
	} {
		code, _, stderr := run(t, append([]string{"watch"}, args...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("aval watch %v ended with %d: %s", args, code, stderr)
		}
	}
}

// TestATraceGoesThroughAllTopics lets the demonstration begin traces, and finds each one in every topic that its
// certificate came through, under spans that the collector has.
func TestATraceGoesThroughAllTopics(t *testing.T) {
	t.Parallel()
	collector := collectortest.Start(t)
	traced := []string{"--trace-endpoint", collector.URL}
	p := startDev(t, traced...)
	j := newJob(t, []byte(head+"o1,s,b,1.00,BRL,boleto,delivered\no2,s,c,2.00,BRL,boleto,delivered\n"), "100")
	args := slices.Concat(p.at(), traced, []string{"--attach"})
	if code := start(t, j.args(args...)...).wait(t); code != exitDecided {
		t.Fatalf("the demonstration ended with %d", code)
	}
	log := connect(t, p.kafka, "aval")
	topics := map[string]map[string]bool{} // by trace
	spans := map[string]string{}           // of the messages, by topic
	for _, topic := range []string{
		schemas.TopicInvitations, schemas.TopicMovements, schemas.TopicEntries, schemas.TopicIssuanceRequests,
		schemas.TopicPreIssues, schemas.TopicNotices, schemas.TopicReceipts, schemas.TopicCertificates,
	} {
		for _, r := range slices.Concat(records(t, log, topic)...) {
			parts := strings.Split(schemas.TraceOf(r.Headers).String(), "-")
			if len(parts) != 4 {
				continue // a takeover
			}
			if topics[parts[1]] == nil {
				topics[parts[1]] = map[string]bool{}
			}
			topics[parts[1]][topic] = true
			spans[parts[2]] = topic
		}
	}
	whole := 0
	for _, seen := range topics {
		if seen[schemas.TopicInvitations] {
			whole++
			if len(seen) < 7 || !seen[schemas.TopicCertificates] {
				t.Errorf("a trace from an invitation came through %v", slices.Sorted(maps.Keys(seen)))
			}
		}
	}
	if whole != 2 {
		t.Errorf("%d traces begin with an invitation, want 2", whole)
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != exitDecided {
		t.Errorf("aval dev ended with %d", code)
	}
	have := map[string]collectortest.Span{}
	for _, span := range collector.Spans() {
		have[span.ID] = span
	}
	for id, topic := range spans {
		span, ok := have[id]
		if !ok {
			t.Errorf("the collector lacks the span %s of a message in %s", id, topic)
			continue
		}
		if span.Parent != "" && spans[span.Parent] == "" {
			t.Errorf("the span of a message in %s has the parent %s, which no message has", topic, span.Parent)
		}
	}
	for _, span := range have {
		if strings.Contains(fmt.Sprint(span.Attributes), "BRL") {
			t.Errorf("a span tells of money: %+v", span)
		}
	}
}
