package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline/embedded"
	"github.com/aval-systems/aval/producers/demo"
)

// Where the servers of aval dev listen: where all other commands look for them.
const (
	devKafka = "127.0.0.1:9092"
	devRedis = "127.0.0.1:6379"
)

// devFlags are the flags of aval dev.
type devFlags struct {
	serverFlags

	servers embedded.Config
}

func devCommand() *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run Kafka, Redis and all stages in one process, to try things out",
		Long: `Run Kafka, Redis and all stages in one process, until it is interrupted. The other commands find them
without being told where they are, and so does any Kafka or Redis client. Without --data-dir everything is gone in the
end; with it the next one goes on where this one stopped. It is for one machine and no more: the servers ask nobody
who it is, and what they acknowledged survives the end of the process, but not a power cut.

A directory with two banks of the demonstration is published where there is none.`,
		Example: `  aval dev
  aval dev --data-dir data
  aval dev --kafka-listen 127.0.0.1:19092 --redis-listen 127.0.0.1:16379`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.settings.register(c, groupSpace, groupLog, groupNew, groupSign, groupRun, groupTrace, groupWebhookKeys)
	c.Flags().StringVar(&f.servers.Dir, "data-dir", "", "keep what the servers hold in this folder")
	c.Flags().StringVar(&f.servers.Kafka, "kafka-listen", devKafka, "where Kafka listens: an address of this machine")
	c.Flags().StringVar(&f.servers.Redis, "redis-listen", devRedis, "where Redis listens: an address of this machine")
	_ = c.MarkFlagDirname("data-dir")
	return c
}

func (f *devFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	keys, err := f.signer()
	if err != nil {
		return err
	}
	logger := f.logger(stderr)
	f.servers.Logger = logger
	servers, err := embedded.Start(ctx, f.servers)
	if err != nil {
		return portTaken(err)
	}
	defer func() { err = errors.Join(err, servers.Close()) }() // what it could not keep, it says now
	p := embeddedPlace(f.place(), servers)
	return f.runStages(ctx, p, keys, logger, func(s *system) error {
		if err := f.appoint(ctx, s, keys, logger); err != nil {
			return err
		}
		return f.welcome(stdout, servers)
	})
}

// portTaken says what to do about an address where something listens already.
func portTaken(err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		err = fmt.Errorf("%w; stop what listens there, or choose another address: --kafka-listen, --redis-listen", err)
	}
	return usage("%w", err)
}

// embeddedPlace is where a system is whose servers are in this process. They ask nobody who it is.
func embeddedPlace(p place, servers *embedded.Servers) place {
	return place{
		kafka: []string{servers.KafkaAddr}, redis: []string{servers.RedisAddr}, embedded: true,
		namespace: p.namespace, partitions: p.partitions, webhooks: p.webhooks, timing: p.timing,
		traceEndpoint: p.traceEndpoint, traceOneIn: p.traceOneIn,
	}
}

// appoint publishes a directory, unless there is one.
func (f *devFlags) appoint(ctx context.Context, s *system, keys *certificate.Keys, logger *slog.Logger) error {
	versions, err := directoryVersions(ctx, s.kafka)
	if err != nil || len(versions) > 0 {
		return err
	}
	d := demo.Directory(nil, publicKeys(f.values.Namespace, keys))
	version, err := appendDirectory(ctx, s, d, directoryVersion{})
	if err == nil {
		logger.InfoContext(ctx, "published a directory", "version", version,
			"receiving_bank", demo.ReceivingBank, "issuing_bank", demo.IssuingBank)
	}
	return err
}

// welcome tells users where to go on.
func (f *devFlags) welcome(w io.Writer, servers *embedded.Servers) error {
	kept := "in memory: gone when this ends"
	if f.servers.Dir != "" {
		kept = "kept in " + f.servers.Dir
	}
	_, err := fmt.Fprintf(w, `Kafka      %s
Redis      %s
namespace  %s
data       %s
`, servers.KafkaAddr, servers.RedisAddr, f.values.Namespace, kept)
	if servers.KafkaAddr != devKafka || servers.RedisAddr != devRedis {
		_, _ = fmt.Fprintf(w, "\nThe other commands find it after\n  export AVAL_KAFKA=%s AVAL_REDIS=%s\n",
			servers.KafkaAddr, servers.RedisAddr)
	}
	_, _ = fmt.Fprintf(w, "\nTry, in another terminal:\n  %s\n\nAn interrupt ends it.\n",
		strings.Join(devCommands(f.values.Namespace), "\n  "))
	return err
}

// devCommands are some to begin with.
func devCommands(namespace string) []string {
	commands := []string{"aval topics describe", "aval directory show"}
	if namespace != namespaceDefault {
		for i := range commands {
			commands[i] += " --namespace " + namespace
		}
	}
	return commands
}
