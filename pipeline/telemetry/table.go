package telemetry

import (
	"fmt"
	"slices"
	"strings"
)

// Metric is what is agreed about a metric.
type Metric struct {
	Name   string
	Kind   Kind
	Unit   string
	Labels []string
	Help   string
}

// Kind is how a metric counts.
type Kind string

// Kinds of metrics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Labels, all of bounded sets: no identifier is one.
const (
	labelStage   = "stage"   // a stage, a book's stage, or a sink
	labelTopic   = "topic"   // without the namespace
	labelBook    = "book"    // accounts, pre-issues
	labelResult  = "result"  // done, again
	labelCall    = "call"    // what a book asks Redis for, or what left the process
	labelRequest = "request" // produce, fetch, commit
	labelOutcome = "outcome" // of a decision
	labelReason  = "reason"  // of a refusal
	labelCause   = "cause"   // kafka, redis, or a stage
)

// Metrics returns all metrics but those of Go and of the process, go_… and process_…: this is the registry.
func Metrics() []Metric {
	return slices.Concat(workMetrics(), lagMetrics(), callMetrics(), bookMetrics(), troubleMetrics())
}

func workMetrics() []Metric {
	work, topic := []string{labelStage, labelTopic}, []string{labelTopic}
	return []Metric{
		{
			"aval_batches_total", Counter, "batches",
			[]string{labelStage, labelTopic, labelResult},
			"batches that were handled: done, or to come again",
		},
		{"aval_records_total", Counter, "records", work, "records of the batches that are done"},
		{"aval_read_bytes_total", Counter, "bytes", work, "what was fetched of the batches that are done"},
		{"aval_batch_records", Histogram, "records", work, "records of a batch that is done"},
		{"aval_batch_seconds", Histogram, "seconds", work, "how long a batch took that is done"},
		{"aval_written_batches_total", Counter, "batches", topic, "record batches that were acknowledged"},
		{"aval_written_records_total", Counter, "records", topic, "their records"},
		{"aval_written_bytes_total", Counter, "bytes", topic, "their size"},
	}
}

func lagMetrics() []Metric {
	work := []string{labelStage, labelTopic}
	return []Metric{
		{"aval_partitions", Gauge, "partitions", work, "partitions that this process works on"},
		{"aval_lag_records", Gauge, "records", work, "records of them that are not done, as of the last fetch"},
		{"aval_lag_seconds", Gauge, "seconds", work, "how long the oldest of these records has been in the log"},
	}
}

func callMetrics() []Metric {
	return []Metric{
		{
			"aval_decide_seconds", Histogram, "seconds",
			[]string{labelBook},
			"how long a book took to have a batch decided",
		},
		{
			"aval_append_seconds", Histogram, "seconds",
			[]string{labelBook},
			"how long a book waited for its journal's entry to be acknowledged",
		},
		{
			"aval_publish_seconds", Histogram, "seconds",
			[]string{labelStage},
			"how long a stage waited for what follows to be acknowledged",
		},
		{"aval_store_seconds", Histogram, "seconds", []string{labelStage}, "how long a sink took to store a batch"},
		{
			"aval_redis_seconds", Histogram, "seconds",
			[]string{labelBook, labelCall},
			"how long Redis took to answer a book",
		},
		{
			"aval_webhook_seconds", Histogram, "seconds",
			[]string{labelStage},
			"how long a party's receiver took to take a notice",
		},
		{
			"aval_request_seconds", Histogram, "seconds",
			[]string{labelRequest},
			"how long Kafka took to answer; fetches that brought nothing are left out",
		},
		{
			"aval_request_partitions", Histogram, "partitions",
			[]string{labelRequest},
			"partitions that a request was about",
		},
		{
			"aval_call_failures_total", Counter, "calls",
			[]string{labelCall},
			"calls that left the process and failed; they are tried again",
		},
	}
}

func bookMetrics() []Metric {
	book := []string{labelBook}
	return []Metric{
		{
			"aval_decisions_total", Counter, "commands",
			[]string{labelBook, labelOutcome},
			"commands that a book decided: done, refused, repeat, conflict, unreadable",
		},
		{
			"aval_refusals_total", Counter, "commands",
			[]string{labelBook, labelReason},
			"commands that a book refused, by the word of the reason",
		},
		{"aval_takeovers_total", Counter, "shards", book, "shards that this process took over"},
		{"aval_fenced_total", Counter, "shards", book, "shards that another process took over while this one worked"},
		{"aval_mismatches_total", Counter, "shards", book, "times that Redis stood elsewhere than the shard's owner"},
		{"aval_recovered_total", Counter, "shards", book, "shards that were brought to the end of their journal"},
		{"aval_rebuilt_total", Counter, "shards", book, "shards that were rebuilt from the beginning of their journal"},
	}
}

func troubleMetrics() []Metric {
	cause := []string{labelCause}
	return []Metric{
		{
			"aval_dead_letters_total", Counter, "records",
			[]string{labelStage, labelTopic},
			"dead letters that a stage wrote, by the topic that it read",
		},
		{
			"aval_notices_given_up_total", Counter, "notices",
			[]string{labelStage},
			"notices that a party's receiver did not take in the time that there is for it",
		},
		{
			"aval_outages_total", Counter, "outages", cause,
			"times that this process began to wait, for a second and more",
		},
		{"aval_outage_seconds", Gauge, "seconds", cause, "how long the process has waited by now"},
		{"aval_outage_partitions", Gauge, "partitions", cause, "partitions whose work waits"},
	}
}

// Table returns the metrics as a table in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| metric | kind | unit | labels | what |\n|---|---|---|---|---|\n")
	for _, m := range Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Kind, m.Unit, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}
