package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/telemetry"
)

// monitor is what a process shows of itself: what it waits for, its metrics, its traces and its health.
type monitor struct {
	logger  *slog.Logger
	outages *pipeline.Outages
	meter   *telemetry.Meter  // nil: nothing is measured
	tracer  *telemetry.Tracer // nil: nothing is traced
	health  *health           // nil: nobody may ask
}

// tracesClose is how long spans may take to leave when a process ends.
const tracesClose = 3 * time.Second

// quietMonitor tells of outages and of nothing else.
func quietMonitor(logger *slog.Logger) *monitor {
	return &monitor{logger: logger, outages: &pipeline.Outages{Logger: logger, Server: serverOf}}
}

// newMonitor begins to listen, where the settings say so, and to trace.
func newMonitor(ctx context.Context, s *settings, p place, logger *slog.Logger) (*monitor, error) {
	m := quietMonitor(logger)
	if err := m.traceTo(ctx, p); err != nil {
		return nil, err
	}
	if s.values.Listen == off {
		return m, nil
	}
	m.meter = telemetry.NewMeter(m.outages)
	m.outages.Meter = m.meter
	m.health = &health{monitor: m, pprof: s.values.Pprof}
	if err := m.health.listen(ctx, s.values.Listen, s.names("listen")); err != nil {
		return nil, err
	}
	return m, nil
}

// traceTo traces, if the place names a collector.
func (m *monitor) traceTo(ctx context.Context, p place) (err error) {
	if p.traceEndpoint == "" {
		return nil
	}
	process := telemetry.Process{Name: processName(), Version: version(), Namespace: p.namespace}
	if m.tracer, err = telemetry.NewTracer(ctx, p.traceEndpoint, process, m.logger); err != nil {
		return usage("%w", err)
	}
	return nil
}

// during serves health and metrics until work has returned; ctx is what asks work to stop.
func (m *monitor) during(ctx context.Context, work func(context.Context) error) error {
	defer m.close(ctx)
	if m.health == nil {
		return work(ctx)
	}
	defer context.AfterFunc(ctx, m.health.drain)()
	return pipeline.Run(context.WithoutCancel(ctx), m.health.serve, func(over context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(over, cancel)()
		return work(ctx)
	})
}

func (m *monitor) close(ctx context.Context) {
	if m.tracer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tracesClose)
	defer cancel()
	if err := m.tracer.Close(ctx); err != nil {
		m.logger.WarnContext(ctx, "some traces were not sent", "error", err)
	}
}

// measures is whom the pipeline tells.
func (m *monitor) measures() pipeline.Meter {
	if m.meter == nil {
		return nil // and not an interface that holds nil
	}
	return m.meter
}

// traces is whom the pipeline tells of what is traced.
func (m *monitor) traces() pipeline.Tracer {
	if m.tracer == nil {
		return nil
	}
	return m.tracer
}

// serverOf says of an error that reached a stage whether it is that of Redis. What Kafka does, its client says.
func serverOf(err error) string {
	_, reply := errors.AsType[redis.Error](err)
	_, network := errors.AsType[*net.OpError](err)
	if reply || network || errors.Is(err, io.EOF) || errors.Is(err, redis.ErrPoolTimeout) {
		return pipeline.ServerRedis
	}
	return ""
}

// version is that of the program, as far as it was built with one.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
