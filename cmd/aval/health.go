package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aval-systems/aval/pipeline/telemetry"
)

// Bounds of the server of health and metrics.
const (
	healthHeaderBytes = 8 << 10
	healthReadTimeout = 5 * time.Second
	healthIdleTimeout = time.Minute
	// healthWriteTimeout leaves room for a profile of as long.
	healthWriteTimeout = 2 * time.Minute
	healthCloseTimeout = time.Second

	// aliveWithin is how long a loop may take to come round.
	aliveWithin = time.Second
	// stuckAfter is how long a batch may be in hand while nothing is waited for.
	stuckAfter = 5 * time.Minute
)

// health serves what a platform asks a process: whether it has started, lives and is ready; and its metrics.
//
//	/startupz  the servers were found, and everything about them is as it should be
//	/livez     the loops go round; whether Kafka or Redis answer is not asked
//	/readyz    it has started, works on its partitions, and neither waits for anything nor stops
//	/metrics   for Prometheus
type health struct {
	monitor  *monitor
	pprof    bool
	listener net.Listener
	system   atomic.Pointer[system] // once it has started
	works    atomic.Int64           // how many topics of stages it works on
	draining atomic.Bool
}

// reason is why a process is not as it was asked whether it is.
type reason struct {
	Reason     string   `json:"reason"`
	Cause      string   `json:"cause,omitempty"`
	Stages     []string `json:"stages,omitempty"`
	Topic      string   `json:"topic,omitempty"`
	Partitions int      `json:"partitions,omitempty"`
	Seconds    int      `json:"seconds,omitempty"`
	Error      string   `json:"error,omitempty"`
}

// listen begins to listen. What asks meanwhile waits until serve.
func (h *health) listen(ctx context.Context, address, setting string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return usage("%s %s: something listens there already; stop it, or give another address, or %q for none",
			setting, address, off)
	case err != nil:
		return usage("%s %s: %w", setting, address, err)
	}
	h.listener = listener
	return nil
}

// started says that the servers are ready, and for how many topics of stages.
func (m *monitor) started(s *system, works int) {
	if m.health != nil {
		m.health.works.Store(int64(works))
		m.health.system.Store(s)
	}
}

func (h *health) drain() { h.draining.Store(true) }

// serve answers until ctx ends.
func (h *health) serve(ctx context.Context) error {
	server := &http.Server{
		Handler: h.handler(), MaxHeaderBytes: healthHeaderBytes, ReadHeaderTimeout: healthReadTimeout,
		ReadTimeout: healthReadTimeout, WriteTimeout: healthWriteTimeout, IdleTimeout: healthIdleTimeout,
	}
	h.monitor.logger.InfoContext(ctx, "serving health and metrics", "address", h.listener.Addr().String(),
		"pprof", h.pprof)
	defer context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthCloseTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // who is still there has had its time
		}
	})()
	if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health and metrics: %w", err)
	}
	return nil
}

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /startupz", answer(h.startup))
	mux.Handle("GET /livez", answer(h.live))
	mux.Handle("GET /readyz", answer(h.ready))
	mux.Handle("GET /metrics", h.monitor.meter.Handler())
	if h.pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// answer says yes where there is no reason against it, and else no, with the reasons.
func answer(ask func(context.Context) []reason) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reasons := ask(r.Context())
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if len(reasons) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(struct { // whoever asked has gone
			OK      bool     `json:"ok"`
			Reasons []reason `json:"reasons,omitempty"`
		}{len(reasons) == 0, reasons})
	})
}

func (h *health) startup(context.Context) []reason {
	if h.system.Load() == nil {
		return append([]reason{{Reason: "starting"}}, h.waiting()...)
	}
	return nil
}

func (h *health) live(ctx context.Context) []reason {
	s := h.system.Load()
	if s == nil {
		return nil // it looks for its servers, for as long as that takes
	}
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	if err := s.kafka.Alive(ctx); err != nil {
		return []reason{{Reason: "stuck", Error: err.Error()}}
	}
	if len(h.monitor.outages.Now()) > 0 {
		return nil // a batch may take as long as that
	}
	return stuck(h.monitor.meter.Lags(time.Now()))
}

// stuck are the works whose batch takes too long.
func stuck(lags map[[2]string]telemetry.Lag) (reasons []reason) {
	for _, lag := range lags {
		if lag.InHand > stuckAfter {
			reasons = append(reasons, reason{
				Reason: "stuck", Stages: []string{lag.Stage}, Topic: lag.Topic, Seconds: int(lag.InHand.Seconds()),
			})
		}
	}
	return reasons
}

func (h *health) ready(ctx context.Context) []reason {
	reasons := h.startup(ctx)
	if h.draining.Load() {
		reasons = append(reasons, reason{Reason: "draining"})
	}
	if s := h.system.Load(); s != nil {
		reasons = append(reasons, h.unassigned(s)...)
		reasons = append(reasons, h.waiting()...)
	}
	return reasons
}

// unassigned are the topics of stages that the process does not work on yet.
func (h *health) unassigned(s *system) (reasons []reason) {
	members := s.kafka.Memberships()
	if missing := int(h.works.Load()) - len(members); missing > 0 {
		reasons = append(reasons,
			reason{Reason: "starting", Error: fmt.Sprintf("%d topics are still to come", missing)})
	}
	for _, m := range members {
		switch at := (reason{Stages: []string{m.Stage}, Topic: m.Topic}); {
		case !m.Joined:
			at.Reason = "not assigned"
			reasons = append(reasons, at)
		case m.Resuming > 0:
			at.Reason, at.Partitions = "resuming", m.Resuming
			reasons = append(reasons, at)
		}
	}
	return reasons
}

// waiting are the outages.
func (h *health) waiting() (reasons []reason) {
	for _, o := range h.monitor.outages.Now() {
		reasons = append(reasons, reason{
			Reason: "waiting", Cause: o.Cause, Stages: o.Stages, Partitions: o.Partitions,
			Seconds: int(time.Since(o.Since).Seconds()), Error: o.Error,
		})
	}
	return reasons
}
