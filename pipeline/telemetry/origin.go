package telemetry

import (
	"context"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Origin is a publisher of what goes in: it begins the traces that everything which follows belongs to.
type Origin struct {
	To     pipeline.Publisher
	Tracer *Tracer
	// One says of how many messages one is traced. Zero: of one, every message is.
	One int64

	seen atomic.Int64
}

var _ pipeline.Publisher = (*Origin)(nil)

// Publish implements pipeline.Publisher. A record that has a trace keeps it; one that begins none has none.
func (o *Origin) Publish(ctx context.Context, records []pipeline.Record) error {
	var spans []trace.Span
	given := records
	records = slices.Clone(records) // they are the caller's
	for i, r := range given {
		known, stands := schemas.TraceOf(r.Headers), hasTrace(r)
		if stands && !known.Sampled() || !stands && (o.seen.Add(1)-1)%max(o.One, 1) != 0 {
			continue
		}
		span, begun := o.Tracer.send(ctx, r.Topic, known)
		spans = append(spans, span)
		if !stands {
			records[i].Headers = append(slices.Clip(r.Headers), pipeline.Header{
				Key: schemas.HeaderTrace, Value: []byte(begun.String()),
			})
		}
	}
	err := o.To.Publish(ctx, records)
	for _, span := range spans {
		if err != nil {
			span.SetStatus(codes.Error, "it may not have been taken")
		}
		span.End()
	}
	return err
}

func hasTrace(r pipeline.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h pipeline.Header) bool { return h.Key == schemas.HeaderTrace })
}
