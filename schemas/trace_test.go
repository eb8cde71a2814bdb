package schemas_test

import (
	"strings"
	"testing"

	"github.com/aval-systems/aval/schemas"
)

const (
	traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
)

// A trace is read as the standard says, and one that is none is dropped.
func TestParseTrace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"sampled":                      {traceparent, traceparent},
		"not sampled":                  {traceparent[:53] + "00", traceparent[:53] + "00"},
		"flags without a meaning":      {traceparent[:53] + "ff", traceparent[:53] + "03"},
		"a later version":              {"01" + traceparent[2:], traceparent},
		"a later version that is long": {"01" + traceparent[2:] + "-more", traceparent},
		"a later version run together": {"01" + traceparent[2:] + "more", ""},
		"version 0 that is long":       {traceparent + "-more", ""},
		"the version that is none":     {"ff" + traceparent[2:], ""},
		"no version":                   {"0x" + traceparent[2:], ""},
		"upper case":                   {strings.ToUpper(traceparent), ""},
		"no trace":                     {"00-" + strings.Repeat("0", 32) + traceparent[35:], ""},
		"no span":                      {traceparent[:36] + strings.Repeat("0", 16) + "-01", ""},
		"no digit":                     {strings.Replace(traceparent, "4b", "4g", 1), ""},
		"flags that are none":          {traceparent[:53] + "0g", ""},
		"other separators":             {strings.ReplaceAll(traceparent, "-", "_"), ""},
		"short":                        {traceparent[:54], ""},
		"empty":                        {"", ""},
		"long":                         {strings.Repeat("0", 1<<20), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := schemas.ParseTrace([]byte(test.text))
			if got.String() != test.want || got.Valid() != (test.want != "") {
				t.Errorf("ParseTrace = %q, want %q", got, test.want)
			}
		})
	}
}

// What follows is of the same trace, has a span of its own, and the same one each time.
func TestTraceFollow(t *testing.T) {
	t.Parallel()
	trace := schemas.ParseTrace([]byte(traceparent))
	one, other := trace.Follow("one"), trace.Follow("other")
	if one.TraceID != trace.TraceID || !one.Sampled() || one.SpanID == trace.SpanID || one.SpanID == other.SpanID {
		t.Errorf("Follow = %s and %s of %s", one, other, trace)
	}
	if want := "00-" + traceID + "-9ce3d3894884cce0-01"; one.String() != want {
		t.Errorf("Follow = %s, want %s: replayed messages would differ from those that stand", one, want)
	}
	if none := (schemas.Trace{}).Follow("one"); none != (schemas.Trace{}) {
		t.Errorf("Follow of none = %v", none)
	}
}

// A message carries its trace, beside everything else; what others write as one never makes a message unreadable.
func TestEnvelopeTrace(t *testing.T) {
	t.Parallel()
	m := message(examples()["invitation-bank"])
	m.Trace = schemas.ParseTrace([]byte(traceparent))
	headers, value, err := schemas.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := schemas.Decode(headers, value)
	if err != nil || got.Attributes != m.Attributes {
		t.Errorf("Decode = %v, %v, want %v", got.Attributes, err, m.Attributes)
	}
	if schemas.TraceOf(headers) != m.Trace {
		t.Errorf("TraceOf = %v", schemas.TraceOf(headers))
	}
	last := len(headers) - 1
	if headers[last].Key != schemas.HeaderTrace {
		t.Fatalf("the last header is %s", headers[last].Key)
	}
	for name, bad := range map[string][]schemas.Header{
		"nonsense": {{Key: schemas.HeaderTrace, Value: []byte("nonsense")}},
		"empty":    {{Key: schemas.HeaderTrace}},
		"long":     {{Key: schemas.HeaderTrace, Value: make([]byte, 1<<20)}},
		"two":      {headers[last], headers[last]},
		"three":    {headers[last], headers[last], headers[last]},
		"none":     nil,
	} {
		given := append(headers[:last:last], bad...)
		got, err := schemas.Decode(given, value)
		if err != nil || got.Trace.Valid() || schemas.TraceOf(given).Valid() {
			t.Errorf("%s: Decode = %v, %v", name, got.Trace, err)
		}
	}
}
