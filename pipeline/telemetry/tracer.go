package telemetry

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Bounds of what waits for the collector: what is more is dropped, and the work goes on.
const (
	spansWaitMax  = 8192
	spansBatchMax = 512
	spansEvery    = time.Second
	exportTimeout = 5 * time.Second
	tracesPath    = "/v1/traces"
)

// Names of attributes: OpenTelemetry's conventions for messaging, as they stood in version 1.38, and our own.
const (
	keySystem      = attribute.Key("messaging.system")
	keyOperation   = attribute.Key("messaging.operation.type")
	keyDestination = attribute.Key("messaging.destination.name")
	keyPartition   = attribute.Key("messaging.destination.partition.id")
	keyCount       = attribute.Key("messaging.batch.message_count")
	keyMessage     = attribute.Key("messaging.message.id")
	keyStage       = attribute.Key("aval.stage")
)

// Process says whose traces they are.
type Process struct{ Name, Version, Namespace string }

// Tracer sends the spans of what a process handles to a collector, in OTLP over HTTP.
//
// Each batch with a message that is traced is a span of its own, with links to those messages. Each message that
// follows is one in its cause's trace: the spans that its traceparent names.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	ctx      context.Context //nolint:containedctx // a batch's spans belong to no caller
}

var _ pipeline.Tracer = (*Tracer)(nil)

// NewTracer returns a tracer for the collector at the URL; without a path that is /v1/traces. A collector that is
// away is no fault: what it misses is lost, which is told once when it begins and once when it ends.
func NewTracer(ctx context.Context, endpoint string, p Process, logger *slog.Logger) (*Tracer, error) {
	at, err := url.Parse(endpoint)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("collector of traces %q: must be a URL such as http://localhost:4318", endpoint)
	}
	if at.Path == "" || at.Path == "/" {
		at.Path = tracesPath
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(at.String()),
		otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	if err != nil {
		return nil, fmt.Errorf("collector of traces %q: %w", endpoint, err)
	}
	limits := sdk.NewSpanLimits()
	limits.LinkCountLimit = pipeline.TracedMax
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(&told{SpanExporter: exporter, logger: logger, endpoint: at.Redacted()},
			sdk.WithMaxQueueSize(spansWaitMax), sdk.WithMaxExportBatchSize(spansBatchMax),
			sdk.WithBatchTimeout(spansEvery), sdk.WithExportTimeout(exportTimeout)),
		sdk.WithSampler(sdk.AlwaysSample()), // whether to, the message says
		sdk.WithIDGenerator(ids{}), sdk.WithRawSpanLimits(limits),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "aval"), attribute.String("service.version", p.Version),
			attribute.String("service.instance.id", p.Name), attribute.String("aval.namespace", p.Namespace),
		)),
	)
	return &Tracer{
		provider: provider, tracer: provider.Tracer("github.com/aval-systems/aval"), ctx: context.WithoutCancel(ctx),
	}, nil
}

// Flush sends what waits, as long as ctx lasts.
func (t *Tracer) Flush(ctx context.Context) error { return t.provider.ForceFlush(ctx) }

// Close sends what waits, as long as ctx lasts.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Traced implements pipeline.Tracer.
func (t *Tracer) Traced(b pipeline.Traced) {
	ended := trace.WithTimestamp(b.Began.Add(b.Took))
	links := make([]trace.Link, len(b.Sources))
	for i, source := range b.Sources {
		links[i] = trace.Link{SpanContext: spanOf(source)}
	}
	_, batch := t.tracer.Start(t.ctx, b.Stage+" batch of "+b.Topic, trace.WithNewRoot(),
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(b.Began), trace.WithLinks(links...),
		trace.WithAttributes(keySystem.String("kafka"), keyOperation.String("process"), keyStage.String(b.Stage),
			keyDestination.String(b.Topic), keyPartition.Int(b.Partition), keyCount.Int(b.Records)))
	for _, f := range b.Follows {
		from := trace.ContextWithRemoteSpanContext(t.ctx, spanOf(f.From))
		_, span := t.tracer.Start(withSpanID(from, f.Trace.SpanID), b.Stage+" "+f.Topic,
			trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(b.Began),
			trace.WithLinks(trace.Link{SpanContext: batch.SpanContext()}),
			trace.WithAttributes(keySystem.String("kafka"), keyOperation.String("send"), keyStage.String(b.Stage),
				keyDestination.String(f.Topic), keyMessage.String(f.ID)))
		span.End(ended)
	}
	batch.End(ended)
}

// send is the span of a message that goes in: of the trace that it has, else of a new one. It ends when it is there.
func (t *Tracer) send(ctx context.Context, topic string, known schemas.Trace) (trace.Span, schemas.Trace) {
	if known.Valid() {
		ctx = context.WithValue(ctx, rootKey{}, known)
	}
	_, span := t.tracer.Start(ctx, "send "+topic, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(keySystem.String("kafka"), keyOperation.String("send"), keyDestination.String(topic)))
	at := span.SpanContext()
	return span, schemas.Trace{TraceID: at.TraceID(), SpanID: at.SpanID(), Flags: byte(at.TraceFlags())}
}

func spanOf(t schemas.Trace) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: t.TraceID, SpanID: t.SpanID, TraceFlags: trace.TraceFlags(t.Flags), Remote: true,
	})
}

// What a context says of the identifiers that the next span must have.
type (
	rootKey struct{}
	spanKey struct{}
)

func withSpanID(ctx context.Context, id trace.SpanID) context.Context {
	return context.WithValue(ctx, spanKey{}, id)
}

// ids makes identifiers by chance, but for spans that have one: a message's is derived from the message.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	if known, ok := ctx.Value(rootKey{}).(schemas.Trace); ok {
		return known.TraceID, known.SpanID
	}
	_, _ = rand.Read(id[:]) // it never fails
	_, _ = rand.Read(span[:])
	return id, span
}

func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) (span trace.SpanID) {
	if span, ok := ctx.Value(spanKey{}).(trace.SpanID); ok {
		return span
	}
	_, _ = rand.Read(span[:])
	return span
}

// told tells an operator when the collector takes no spans, and when it does again, once each.
type told struct {
	sdk.SpanExporter

	logger   *slog.Logger
	endpoint string
	lost     atomic.Int64
}

func (e *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		if e.lost.Add(int64(len(spans))) == int64(len(spans)) {
			e.logger.WarnContext(ctx, "traces are lost until their collector takes them", "endpoint", e.endpoint,
				"error", err)
		}
		return nil // it was told: the SDK would write to standard error
	}
	if lost := e.lost.Swap(0); lost > 0 {
		e.logger.InfoContext(ctx, "traces are taken again", "endpoint", e.endpoint, "lost", lost)
	}
	return nil
}
