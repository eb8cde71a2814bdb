package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/telemetry"
	"github.com/aval-systems/aval/pipeline/telemetry/collectortest"
	"github.com/aval-systems/aval/schemas"
)

func newTracer(t *testing.T, endpoint string, logger *slog.Logger) *telemetry.Tracer {
	t.Helper()
	tracer, err := telemetry.NewTracer(t.Context(), endpoint, telemetry.Process{Name: "test"}, logger)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

func batch(follows int) pipeline.Traced {
	from := schemas.ParseTrace([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	b := pipeline.Traced{
		Stage: "routing", Topic: "entries", Records: 3, Began: time.Unix(1e9, 0), Took: time.Second,
		Sources: []schemas.Trace{from},
	}
	for i := range follows {
		id := string(rune('a' + i))
		b.Follows = append(b.Follows, pipeline.TracedFollow{
			Topic: "refusals", ID: id, Trace: from.Follow(id), From: from,
		})
	}
	return b
}

// A batch is a span that links its messages; what follows is one in its cause's trace, under the identifier that
// its message carries.
func TestSpans(t *testing.T) {
	t.Parallel()
	collector := collectortest.Start(t)
	tracer := newTracer(t, collector.URL, slog.New(slog.DiscardHandler))
	b := batch(2)
	tracer.Traced(b)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := collector.Spans()
	if len(spans) != 3 {
		t.Fatalf("spans are %+v", spans)
	}
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	whole := spans[2]
	if whole.Name != "routing batch of entries" || whole.Parent != "" || whole.Trace == trace ||
		!reflect.DeepEqual(whole.Links, []collectortest.Link{{Trace: trace, ID: parent}}) {
		t.Errorf("the batch is %+v", whole)
	}
	for i, f := range b.Follows {
		got := spans[i]
		want := collectortest.Span{
			Trace: trace, ID: strings.Split(f.Trace.String(), "-")[2], Parent: parent, Name: "routing refusals",
			Links: []collectortest.Link{{Trace: whole.Trace, ID: whole.ID}},
			Attributes: map[string]string{
				"messaging.system": "kafka", "messaging.operation.type": "send", "aval.stage": "routing",
				"messaging.destination.name": "refusals", "messaging.message.id": f.ID,
			},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("span %d is %+v, want %+v", i, got, want)
		}
	}
}

// A collector that is away costs its traces, and one line when it begins and one when it ends.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	collector := collectortest.Start(t)
	collector.Away(true)
	var log bytes.Buffer
	tracer := newTracer(t, collector.URL+"/", slog.New(slog.NewTextHandler(&log, nil)))
	flush := func() {
		t.Helper()
		if err := tracer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		tracer.Traced(batch(0))
		flush()
	}
	collector.Away(false)
	tracer.Traced(batch(0))
	flush()
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin, end, _ := strings.Cut(log.String(), "\n")
	if !strings.Contains(begin, "traces are lost") || !strings.Contains(end, "taken again") ||
		!strings.HasSuffix(end, "lost=3\n") || strings.Count(end, "\n") != 1 {
		t.Errorf("told %s", &log)
	}
	if n := len(collector.Spans()); n != 1 {
		t.Errorf("%d spans were taken", n)
	}
}

// What waits for a collector is bounded.
func TestSpansAreDropped(t *testing.T) {
	t.Parallel()
	tracer := newTracer(t, "http://127.0.0.1:1", slog.New(slog.DiscardHandler))
	began := time.Now()
	for range 40 {
		tracer.Traced(batch(500))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the work waited %v for a collector", took)
	}
	_ = tracer.Close(t.Context())
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"", "localhost", "://", "http://"} {
		_, err := telemetry.NewTracer(t.Context(), endpoint, telemetry.Process{}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "must be a URL") {
			t.Errorf("NewTracer(%q): %v", endpoint, err)
		}
	}
}

// kept is a publisher that keeps what it is given.
type kept struct {
	records []pipeline.Record
	err     error
}

func (k *kept) Publish(_ context.Context, records []pipeline.Record) error {
	k.records = append(k.records, records...)
	return k.err
}

// What goes in begins a trace, one of so many; what has one keeps it, and who gave the records finds them unchanged.
func TestOrigin(t *testing.T) {
	t.Parallel()
	collector := collectortest.Start(t)
	tracer := newTracer(t, collector.URL, slog.New(slog.DiscardHandler))
	given := []pipeline.Record{
		{Topic: "invitations"},
		{Topic: "invitations"},
		{Topic: "invitations", Headers: []pipeline.Header{{Key: schemas.HeaderTrace, Value: []byte("theirs")}}},
		{Topic: "invitations", Headers: []pipeline.Header{{Key: "other"}}},
		{Topic: "requests", Headers: []pipeline.Header{{
			Key: schemas.HeaderTrace, Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
		}}},
	}
	to := &kept{err: errors.New("away")}
	origin := &telemetry.Origin{To: to, Tracer: tracer, One: 2}
	if err := origin.Publish(t.Context(), given); !errors.Is(err, to.err) {
		t.Fatal(err)
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(given[0].Headers) > 0 || len(given[3].Headers) > 1 {
		t.Error("the caller's records were changed")
	}
	var traces []schemas.Trace
	for _, r := range to.records {
		traces = append(traces, schemas.TraceOf(r.Headers))
	}
	if !traces[0].Sampled() || traces[1].Valid() || traces[2].Valid() || !traces[3].Sampled() {
		t.Errorf("the traces are %v", traces)
	}
	if got := string(to.records[2].Headers[0].Value); got != "theirs" {
		t.Errorf("a trace became %s", got)
	}
	spans := collector.Spans()
	if len(spans) != 3 || spans[0].Trace != strings.Split(traces[0].String(), "-")[1] || spans[0].Parent != "" ||
		spans[0].ID != strings.Split(traces[0].String(), "-")[2] || spans[0].Name != "send invitations" {
		t.Errorf("the spans are %+v", spans)
	}
	answer := spans[2]
	if answer.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" || answer.ID != "00f067aa0ba902b7" || answer.Parent != "" {
		t.Errorf("the span of what goes on with a trace is %+v", answer)
	}
}
