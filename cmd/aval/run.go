package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
)

// serverFlags say where real servers are.
type serverFlags struct {
	kafka      string
	redis      string
	namespace  string
	partitions int
	keys       string
}

func (f *serverFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.kafka, "kafka", "", "addresses of Kafka brokers, with commas between")
	c.Flags().StringVar(&f.redis, "redis", "", "address of Redis; several, with commas between, are a cluster")
	c.Flags().StringVar(&f.namespace, "namespace", "aval", "prefix of topics, groups and keys: a system of its own")
	c.Flags().IntVar(&f.partitions, "partitions", 0,
		"partitions of a new namespace, for its whole life (default 4)")
	c.Flags().StringVar(&f.keys, "keys", "",
		"file with the issuing banks' private keys, a JWK set (default: demonstration keys, which anyone can derive)")
}

func (f *serverFlags) place() place {
	return place{
		kafka: strings.Split(f.kafka, ","), redis: strings.Split(f.redis, ","), namespace: f.namespace,
		partitions: f.partitions,
	}
}

func (f *serverFlags) check() error {
	if f.partitions < 0 {
		return usage("--partitions %d, must be at least 1", f.partitions)
	}
	return nil
}

// signer loads the keys, or derives those of the demonstration.
func (f *serverFlags) signer() (*certificate.Keys, error) {
	if f.keys == "" {
		return demonstrationKeys(f.namespace)
	}
	file, err := os.Open(f.keys)
	if err != nil {
		return nil, usage("--keys: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	keys, err := certificate.LoadKeys(file)
	if err != nil {
		return nil, usage("--keys %s: %w", f.keys, err)
	}
	return keys, nil
}

func runCommand() *cobra.Command {
	var flags serverFlags
	var stages []string
	c := &cobra.Command{
		Use:   "run --kafka ADDRESS --redis ADDRESS",
		Short: "Run the stages against real servers",
		Long: `Run the stages, all or some, against a Kafka and a Redis. Any number of processes may share the stages of
one namespace: each partition of each stage is worked on by one of them. An interrupt lets what is at work finish;
a second one ends at once.`,
		Example: `  aval run --kafka localhost:9092 --redis localhost:6379
  aval run --kafka localhost:9092 --redis localhost:6379 --stages ledger,request`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if flags.kafka == "" || flags.redis == "" {
				return usage("--kafka and --redis are needed; `make up` starts both and prints their addresses")
			}
			if err := errors.Join(flags.check(), checkStages(stages)); err != nil {
				return err
			}
			return failed(runStages(c.Context(), flags, stages, newLogger(c.ErrOrStderr())))
		},
	}
	flags.register(c)
	c.Flags().StringSliceVar(&stages, "stages", stageNames(), "the stages to run")
	return c
}

func runStages(ctx context.Context, flags serverFlags, stages []string, logger *slog.Logger) error {
	keys, err := flags.signer()
	if err != nil {
		return err
	}
	if flags.keys == "" {
		logger.WarnContext(ctx, "certificates are signed with demonstration keys, which anyone can derive; give --keys")
	}
	s, err := open(ctx, flags.place(), logger)
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	logger.InfoContext(ctx, "running", "namespace", s.namespace, "partitions", s.partitions,
		"stages", strings.Join(stages, ","))
	if err := pipeline.Route(ctx, s.kafka, logger, s.works(stages, keys)...); err != nil {
		return fmt.Errorf("run stages: %w", err)
	}
	return nil
}

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}
