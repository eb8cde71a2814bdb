// Package telemetry is what a process shows of itself: its metrics, for Prometheus, and the traces of what it
// handles, for a collector of OpenTelemetry.
//
//	reads   what a pipeline's hooks tell, once a batch
//	effect  none on the work: whatever becomes of metrics and traces, it goes on
//	emits   metrics to who asks, spans to a collector
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/aval-systems/aval/pipeline"
)

// Meter measures a process. It is safe for concurrent use.
type Meter struct {
	registry *prometheus.Registry

	works   family[workKey, *workMeter]
	places  family[placeKey, *placeMeter]
	written family[string, *writeMeter]
	calls   family[callKey, *callMeter]
	events  family[eventKey, prometheus.Counter]
}

var _ pipeline.Meter = (*Meter)(nil)

// NewMeter returns a meter that also shows what the process waits for.
func NewMeter(outages *pipeline.Outages) *Meter {
	m := &Meter{registry: prometheus.NewRegistry()}
	v := newVectors(m.registry)
	m.works.make = v.work
	m.places.make = func(placeKey) *placeMeter { return &placeMeter{} }
	m.written.make = v.write
	m.calls.make = v.call
	m.events.make = v.event
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		&state{meter: m, outages: outages, descs: describe()},
	)
	return m
}

const (
	scrapesMax    = 4
	scrapeTimeout = 10 * time.Second
)

// Handler shows the metrics.
func (m *Meter) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesMax, Timeout: scrapeTimeout,
	})
}

// Worked implements pipeline.Meter.
func (m *Meter) Worked(w pipeline.Worked) {
	x := m.works.of(workKey{w.Stage, w.Topic})
	if w.Again {
		x.again.Inc()
		return
	}
	x.done.Inc()
	x.records.Add(float64(w.Records))
	x.bytes.Add(float64(w.Bytes))
	x.batchRecords.Observe(float64(w.Records))
	x.batchSeconds.Observe(w.Took.Seconds())
}

// Stands implements pipeline.Meter.
func (m *Meter) Stands(s pipeline.Standing) {
	key := placeKey{workKey{s.Stage, s.Topic}, s.Partition}
	if s.Left {
		m.places.drop(key)
		return
	}
	m.places.of(key).stand(s)
}

// Called implements pipeline.Meter.
func (m *Meter) Called(c pipeline.Called) {
	x := m.calls.of(callKey{c.Call, c.Who, c.What})
	if c.Failed {
		x.failed.Inc()
		return
	}
	x.seconds.Observe(c.Took.Seconds())
	if x.items != nil {
		x.items.Observe(float64(c.Items))
	}
}

// Wrote implements pipeline.Meter.
func (m *Meter) Wrote(topic string, records, bytes int) {
	x := m.written.of(topic)
	x.batches.Inc()
	x.records.Add(float64(records))
	x.bytes.Add(float64(bytes))
}

// Counted implements pipeline.Meter.
func (m *Meter) Counted(e pipeline.Event, who, why string, count int) {
	m.events.of(eventKey{e, who, why}).Add(float64(count))
}
