package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
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
			return failed(runStages(c.Context(), &flags, flags.logger(c.ErrOrStderr())))
		},
	}
	flags.register(c, groupNew, groupSign, groupDev, groupRun)
	return c
}

func runStages(ctx context.Context, flags *serverFlags, logger *slog.Logger) error {
	keys, err := flags.signer()
	if err != nil {
		return err
	}
	if flags.values.Keys == "" {
		logger.WarnContext(ctx, "certificates are signed with demonstration keys, which anyone can derive; give --keys")
	}
	s, err := open(ctx, flags.place(), logger)
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	logger.InfoContext(ctx, "running", "namespace", s.namespace, "partitions", s.partitions,
		"stages", strings.Join(flags.values.Stages, ","))
	if err := s.route(ctx, flags.values.DrainTimeout, s.works(flags.values.Stages, keys)); err != nil {
		return fmt.Errorf("run stages: %w", err)
	}
	return nil
}
