package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/aval-systems/aval/pipeline"
)

type placeKey struct {
	workKey
	partition int
}

// placeMeter knows where the work on a partition stands.
type placeMeter struct {
	next, high atomic.Int64
	oldest     atomic.Int64 // in nanoseconds since 1970, 0 where all is done
	since      atomic.Int64 // when the batch in hand was taken, 0 where none is
}

func (p *placeMeter) stand(s pipeline.Standing) {
	p.next.Store(s.Next)
	p.high.Store(s.High)
	p.oldest.Store(nanoseconds(s.Oldest))
	p.since.Store(nanoseconds(s.Since))
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Lag is how far the work on a topic is behind, over the partitions that the process works on.
type Lag struct {
	Stage, Topic string
	Partitions   int
	Records      int64
	Age          time.Duration // of the oldest record that is not done
	InHand       time.Duration // how long a batch has been worked on that is not done
}

// Lags returns how far all work is behind.
func (m *Meter) Lags(now time.Time) map[[2]string]Lag {
	lags := map[[2]string]Lag{}
	for key, place := range m.places.all() {
		at := [2]string{key.stage, key.topic}
		lag := lags[at]
		lag.Stage, lag.Topic = key.stage, key.topic
		lag.Partitions++
		lag.Records += max(place.high.Load()-place.next.Load(), 0)
		if oldest := place.oldest.Load(); oldest != 0 {
			lag.Age = max(lag.Age, now.Sub(time.Unix(0, oldest)))
		}
		if since := place.since.Load(); since != 0 {
			lag.InHand = max(lag.InHand, now.Sub(time.Unix(0, since)))
		}
		lags[at] = lag
	}
	return lags
}

// state shows what is so when somebody asks: the gauges.
type state struct {
	meter   *Meter
	outages *pipeline.Outages
	descs   map[string]*prometheus.Desc
}

func describe() map[string]*prometheus.Desc {
	descs := map[string]*prometheus.Desc{}
	for _, m := range Metrics() {
		if m.Kind == Gauge {
			descs[m.Name] = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		}
	}
	return descs
}

// Describe implements prometheus.Collector.
func (s *state) Describe(to chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *state) Collect(to chan<- prometheus.Metric) {
	gauge := func(name string, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(s.descs[name], prometheus.GaugeValue, value, labels...)
	}
	now := time.Now()
	for _, lag := range s.meter.Lags(now) {
		gauge("aval_partitions", float64(lag.Partitions), lag.Stage, lag.Topic)
		gauge("aval_lag_records", float64(lag.Records), lag.Stage, lag.Topic)
		gauge("aval_lag_seconds", lag.Age.Seconds(), lag.Stage, lag.Topic)
	}
	type outage struct {
		since      time.Time
		partitions int
	}
	outages := map[string]outage{} // a stage may wait for several things
	for _, o := range s.outages.Now() {
		x, ok := outages[o.Cause]
		if !ok {
			x.since = o.Since // the oldest comes first
		}
		x.partitions += o.Partitions
		outages[o.Cause] = x
	}
	for cause, o := range outages {
		gauge("aval_outage_seconds", now.Sub(o.since).Seconds(), cause)
		gauge("aval_outage_partitions", float64(o.partitions), cause)
	}
}
