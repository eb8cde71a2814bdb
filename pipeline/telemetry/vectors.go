package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aval-systems/aval/pipeline"
)

type workKey struct{ stage, topic string }

type callKey struct {
	call      pipeline.Call
	who, what string
}

type eventKey struct {
	event    pipeline.Event
	who, why string
}

// workMeter measures one topic of a stage.
type workMeter struct {
	done, again, records, bytes prometheus.Counter
	batchRecords, batchSeconds  prometheus.Observer
}

// writeMeter measures what is written to a topic.
type writeMeter struct{ batches, records, bytes prometheus.Counter }

// callMeter measures one kind of call.
type callMeter struct {
	seconds, items prometheus.Observer
	failed         prometheus.Counter
}

// vectors are the metrics that are counted as things happen; the others are looked up when somebody asks.
type vectors struct {
	counters   map[string]*prometheus.CounterVec
	histograms map[string]*prometheus.HistogramVec
}

func newVectors(to *prometheus.Registry) *vectors {
	v := &vectors{
		counters: map[string]*prometheus.CounterVec{}, histograms: map[string]*prometheus.HistogramVec{},
	}
	for _, m := range Metrics() {
		switch m.Kind {
		case Counter:
			vector := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
			to.MustRegister(vector)
			v.counters[m.Name] = vector
		case Histogram:
			vector := prometheus.NewHistogramVec(
				prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets(m.Unit)}, m.Labels)
			to.MustRegister(vector)
			v.histograms[m.Name] = vector
		case Gauge:
		}
	}
	return v
}

// buckets are the upper bounds that a histogram of the unit tells apart.
func buckets(unit string) []float64 {
	if unit == "seconds" {
		return []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	}
	return []float64{1, 3, 10, 30, 100, 300, 1000, 3000}
}

func (v *vectors) counter(name string, labels ...string) prometheus.Counter {
	vector, ok := v.counters[name]
	if !ok {
		panic("the table has no counter " + name)
	}
	return vector.WithLabelValues(labels...)
}

func (v *vectors) histogram(name string, labels ...string) prometheus.Observer {
	vector, ok := v.histograms[name]
	if !ok {
		panic("the table has no histogram " + name)
	}
	return vector.WithLabelValues(labels...)
}

func (v *vectors) work(k workKey) *workMeter {
	return &workMeter{
		done:         v.counter("aval_batches_total", k.stage, k.topic, "done"),
		again:        v.counter("aval_batches_total", k.stage, k.topic, "again"),
		records:      v.counter("aval_records_total", k.stage, k.topic),
		bytes:        v.counter("aval_read_bytes_total", k.stage, k.topic),
		batchRecords: v.histogram("aval_batch_records", k.stage, k.topic),
		batchSeconds: v.histogram("aval_batch_seconds", k.stage, k.topic),
	}
}

func (v *vectors) write(topic string) *writeMeter {
	return &writeMeter{
		batches: v.counter("aval_written_batches_total", topic),
		records: v.counter("aval_written_records_total", topic),
		bytes:   v.counter("aval_written_bytes_total", topic),
	}
}

func (v *vectors) call(k callKey) *callMeter {
	m := &callMeter{failed: v.counter("aval_call_failures_total", string(k.call))}
	switch k.call {
	case pipeline.CallDecide:
		m.seconds = v.histogram("aval_decide_seconds", k.who)
	case pipeline.CallAppend:
		m.seconds = v.histogram("aval_append_seconds", k.who)
	case pipeline.CallPublish:
		m.seconds = v.histogram("aval_publish_seconds", k.who)
	case pipeline.CallStore:
		m.seconds = v.histogram("aval_store_seconds", k.who)
	case pipeline.CallRedis:
		m.seconds = v.histogram("aval_redis_seconds", k.who, k.what)
	case pipeline.CallWebhook:
		m.seconds = v.histogram("aval_webhook_seconds", k.who)
	case pipeline.CallProduce, pipeline.CallFetch, pipeline.CallCommit:
		m.seconds = v.histogram("aval_request_seconds", string(k.call))
		m.items = v.histogram("aval_request_partitions", string(k.call))
	default: // nobody has given it a metric: it must not stop the work
		m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "none"})
	}
	return m
}

func (v *vectors) event(k eventKey) prometheus.Counter {
	switch k.event {
	case pipeline.EventDecided:
		return v.counter("aval_decisions_total", k.who, k.why)
	case pipeline.EventRefused:
		return v.counter("aval_refusals_total", k.who, k.why)
	case pipeline.EventTakeover:
		return v.counter("aval_takeovers_total", k.who)
	case pipeline.EventFenced:
		return v.counter("aval_fenced_total", k.who)
	case pipeline.EventMismatch:
		return v.counter("aval_mismatches_total", k.who)
	case pipeline.EventRecovered:
		return v.counter("aval_recovered_total", k.who)
	case pipeline.EventRebuilt:
		return v.counter("aval_rebuilt_total", k.who)
	case pipeline.EventDeadLetter:
		return v.counter("aval_dead_letters_total", k.who, k.why)
	case pipeline.EventGivenUp:
		return v.counter("aval_notices_given_up_total", k.who)
	case pipeline.EventOutage:
		return v.counter("aval_outages_total", k.why)
	}
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "none"})
}
