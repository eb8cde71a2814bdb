package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
)

func runCommand() *cobra.Command {
	var flags serverFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the stages against real servers",
		Long: `Run the stages, all or some, against a Kafka and a Redis. Any number of processes may share the stages of
one namespace: each partition of each stage is worked on by one of them. An interrupt lets what is at work finish;
a second one ends at once.`,
		Example: `  aval run
  aval run --kafka broker1:9092,broker2:9092 --redis redis:6379 --stages ledger,request
  aval run --config aval.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := flags.signer()
			if err != nil {
				return err
			}
			collectSeldom()
			logger := flags.logger(c.ErrOrStderr())
			begun := func(*system) error { return nil }
			return failed(flags.runStages(c.Context(), flags.place(), keys, logger, begun))
		},
	}
	flags.register(c, groupNew, groupSign, groupDev, groupRun, groupTrace, groupWebhookKeys)
	return c
}

// runStages runs the stages until ctx ends. It calls begun when the servers are ready for them.
func (f *serverFlags) runStages(
	ctx context.Context, p place, keys *certificate.Keys, logger *slog.Logger, begun func(*system) error,
) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.values.Keys == "" {
		logger.WarnContext(ctx, "certificates are signed with demonstration keys, which anyone can derive; give --keys")
	}
	for _, warning := range f.unwise() {
		logger.WarnContext(ctx, "unwise settings", "warning", warning)
	}
	m, err := newMonitor(ctx, &f.settings, p, logger)
	if err != nil {
		return err
	}
	p.monitor = m
	return m.during(ctx, func(ctx context.Context) error {
		return f.workOn(ctx, p, keys, logger, begun)
	})
}

// workOn runs the stages over the servers.
func (f *serverFlags) workOn(
	ctx context.Context, p place, keys *certificate.Keys, logger *slog.Logger, begun func(*system) error,
) error {
	s, err := open(ctx, p, logger)
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	if err := begun(s); err != nil {
		return err
	}
	logger.InfoContext(ctx, "running", "namespace", s.namespace, "partitions", s.partitions,
		"stages", strings.Join(f.values.Stages, ","))
	if err := s.route(ctx, f.values.DrainTimeout, s.works(f.values.Stages, keys)); err != nil {
		return fmt.Errorf("run stages: %w", err)
	}
	return nil
}
