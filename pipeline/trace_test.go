package pipeline_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"

// tracer keeps what it is told.
type tracer struct{ told []pipeline.Traced }

func (r *tracer) Traced(t pipeline.Traced) { r.told = append(r.told, t) }

// traced is a refusal with a trace, all in one partition.
func traced(t *testing.T, id, trace string, like pipeline.Record, offset int64) pipeline.Record {
	t.Helper()
	r := refusal(t, id)
	r.Key, r.Partition, r.Offset = like.Key, like.Partition, offset
	r.Value = slices.Clone(like.Value) // the message is another by its identifier alone
	if trace != "" {
		r.Headers = append(r.Headers, pipeline.Header{Key: schemas.HeaderTrace, Value: []byte(trace)})
	}
	return r
}

// A stage carries a trace on to what follows, dead letters too; what had none gets none; and a replay makes the same
// bytes.
func TestAStageCarriesTracesOn(t *testing.T) {
	t.Parallel()
	like := refusal(t, "good")
	records := []pipeline.Record{
		traced(t, "sampled", traceparent+"1", like, 1), traced(t, "unsampled", traceparent+"0", like, 2),
		traced(t, "without", "", like, 3), traced(t, "garbled", "garbled", like, 4),
		traced(t, "panic", traceparent+"1", like, 5), traced(t, "x", traceparent+"1", like, 6),
	}
	records[5].Value = []byte{0xff}
	var runs [2]publisher
	var told tracer
	for i := range runs {
		f := follower(&runs[i])
		f.Tracer = &told
		batch := &pipeline.Batch{Topic: schemas.TopicRefusals, Partition: like.Partition, Records: records, Next: 7}
		if err := f.Stage(echo())[0].Handle(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(runs[0].records, runs[1].records) {
		t.Error("the replay made other records")
	}
	got := map[string]string{}
	from := schemas.ParseTrace([]byte(traceparent + "1"))
	for _, r := range runs[0].records {
		in, err := pipeline.Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		trace := schemas.TraceOf(r.Headers)
		if trace.Valid() && (trace.TraceID != from.TraceID || trace.SpanID != from.Follow(in.ID).SpanID) {
			t.Errorf("%s has the trace %s", in.ID, trace)
		}
		word := map[bool]string{true: "sampled", false: "unsampled"}[trace.Sampled()]
		if !trace.Valid() {
			word = "none"
		}
		if letter, ok := in.Body.(*schemas.DeadLetter); ok {
			got["letter "+string(rune('0'+letter.GetOffset()))] = word
		} else {
			got[in.ID] = word
		}
	}
	want := map[string]string{
		"sampled": "sampled", "unsampled": "unsampled", "without": "none", "garbled": "none",
		"letter 5": "sampled", "letter 6": "sampled",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("traces are %v, want %v", got, want)
	}
	if len(told.told) != 2 {
		t.Fatalf("the tracer was told of %d batches", len(told.told))
	}
	batch := told.told[0]
	if batch.Stage != "echo" || batch.Topic != schemas.TopicRefusals || batch.Records != len(records) {
		t.Errorf("the tracer was told of %+v", batch)
	}
	if len(batch.Sources) != 2 || len(batch.Follows) != 1 || batch.Follows[0].From != from ||
		batch.Follows[0].ID != "sampled" || batch.Follows[0].Trace != from.Follow("sampled") {
		t.Errorf("the tracer was told of %v and %+v", batch.Sources, batch.Follows)
	}
}

// A batch of which nobody wants a trace is not told of; of one with many, a bounded part.
func TestTracesAreBounded(t *testing.T) {
	t.Parallel()
	var told tracer
	sources := func(trace string, count int) func(func(string, schemas.Trace) bool) {
		return func(yield func(string, schemas.Trace) bool) {
			for i := range count {
				if !yield(string(rune('a'+i)), schemas.ParseTrace([]byte(trace))) {
					return
				}
			}
		}
	}
	pipeline.Trace(&told, pipeline.Traced{}, sources("", 3), nil)
	pipeline.Trace(&told, pipeline.Traced{}, sources(traceparent+"0", 3), nil)
	pipeline.Trace(nil, pipeline.Traced{}, sources(traceparent+"1", 3), nil)
	if len(told.told) != 0 {
		t.Fatalf("told of %v", told.told)
	}
	follow := pipeline.Record{Headers: []pipeline.Header{{Key: schemas.HeaderCause, Value: []byte("a")}}}
	follows := slices.Repeat([]pipeline.Record{follow}, 9999)
	pipeline.Trace(&told, pipeline.Traced{}, sources(traceparent+"1", 9999), follows)
	n, m := len(told.told[0].Sources), len(told.told[0].Follows)
	if n != pipeline.TracedMax || m != pipeline.TracedMax {
		t.Errorf("told of %d messages and %d follows, want %d", n, m, pipeline.TracedMax)
	}
}
