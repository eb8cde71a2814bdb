// Package collectortest is a collector of traces for tests: it takes OTLP over HTTP, and keeps what it takes.
//
//	reads   spans that a process exports
//	effect  listens on a port of this machine
//	emits   nothing
package collectortest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it was exported.
type Span struct {
	Trace, ID, Parent string // in hexadecimal
	Name              string
	Links             []Link
	Attributes        map[string]string // those that are text
}

// Link is what a span names that belongs together with it.
type Link struct{ Trace, ID string }

// Collector keeps spans.
type Collector struct {
	URL string

	away  atomic.Bool
	mu    sync.Mutex
	spans []Span
}

// Start starts a collector that ends with the test.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Away makes the collector refuse what it gets, or take it again.
func (c *Collector) Away(away bool) { c.away.Store(away) }

// Spans returns what was taken.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/traces" || c.away.Load() {
		http.Error(w, "nobody is here", http.StatusServiceUnavailable)
		return
	}
	request, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(s))
			}
		}
	}
}

func spanOf(s *tracev1.Span) Span {
	span := Span{
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
		Parent: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(), Attributes: map[string]string{},
	}
	for _, l := range s.GetLinks() {
		link := Link{Trace: hex.EncodeToString(l.GetTraceId()), ID: hex.EncodeToString(l.GetSpanId())}
		span.Links = append(span.Links, link)
	}
	for _, a := range s.GetAttributes() {
		span.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return span
}

func read(r *http.Request) (*collectorv1.ExportTraceServiceRequest, error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request := &collectorv1.ExportTraceServiceRequest{}
	return request, proto.Unmarshal(text, request)
}
