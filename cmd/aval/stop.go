package main

import (
	"context"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// route runs works until the process is asked to stop, and lets them come to their end within a time.
func (s *system) route(ctx context.Context, drain time.Duration, works []pipeline.Work) error {
	var asked time.Time
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		asked = time.Now()
		s.logger.InfoContext(ctx, "stopping; a second signal ends it at once", "within", drain)
	})
	s.monitor.started(s, len(works))
	err := pipeline.Router{
		Consumer: s.kafka, Logger: s.logger, Drain: drain, Meter: s.monitor.measures(), Outages: s.monitor.outages,
	}.Run(ctx, works...)
	if stop() {
		return err // by itself
	}
	<-said
	if err == nil {
		s.logger.InfoContext(ctx, "stopped", "took", time.Since(asked).Round(time.Millisecond))
	}
	return err
}
