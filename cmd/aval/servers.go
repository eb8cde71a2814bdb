package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline/embedded"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// serverFlags are the settings of a command that speaks to servers: where they are, and how to be let in.
type serverFlags struct {
	settings
}

// register gives the command what all have that speak to servers, and the settings of more groups.
func (f *serverFlags) register(c *cobra.Command, more ...group) {
	f.settings.register(c, append([]group{groupServers, groupSpace, groupSecurity, groupLog}, more...)...)
}

// place is where the system is.
func (f *serverFlags) place() place {
	v := f.values
	p := place{
		kafka: v.Kafka, redis: v.Redis, namespace: v.Namespace, partitions: v.Partitions, dev: v.Dev,
		kafkaTLS: f.kafkaTLS, redisTLS: f.redisTLS, redisUser: v.RedisUser, redisPassword: v.RedisPassword,
		redisDB: v.RedisDB, redisCluster: v.RedisCluster || len(v.Redis) > 1, patience: -1,
		webhooks:      webhooks{keys: v.WebhookKeys, giveUp: v.WebhookGiveUp, private: v.WebhookPrivate},
		timing:        timing{every: v.TickEvery, remember: v.Remember},
		traceEndpoint: v.TraceEndpoint, traceOneIn: v.TraceOneIn,
	}
	if f.is("connect-timeout") {
		p.patience = v.ConnectTimeout
	}
	if v.KafkaSASL != "" {
		p.kafkaSASL = &kafka.SASL{Mechanism: v.KafkaSASL, User: v.KafkaUser, Password: v.KafkaPassword}
	}
	return p
}

// check says what is wrong with what the settings name: they are right themselves, or the command had not begun.
func (f *serverFlags) check() error {
	if faults := append(f.webhookFaults(), f.timingFaults()...); len(faults) > 0 {
		return usage("%w", errors.Join(faults...))
	}
	return nil
}

// signer loads the keys, or derives those of the demonstration.
func (f *serverFlags) signer() (*certificate.Keys, error) {
	path := f.values.Keys
	if path == "" {
		return demonstrationKeys(f.values.Namespace)
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, usage("%s: %w", f.names("keys"), err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	keys, err := certificate.LoadKeys(file)
	if err != nil {
		return nil, usage("%s %s: %w", f.names("keys"), path, err)
	}
	return keys, nil
}

// logger logs in the form and from the level on that were set.
func (f *serverFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.values.LogLevel)); err == nil { // it was checked
		options.Level = level
	}
	if f.values.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// keptFlags are serverFlags of a command that can also work on what `demo` and `dev` left in a folder.
type keptFlags struct {
	serverFlags

	dataDir string
}

func (f *keptFlags) register(c *cobra.Command) {
	f.serverFlags.register(c)
	c.Flags().StringVar(&f.dataDir, "data-dir", "",
		"work on what aval demo or aval dev left in this folder, in place of servers")
	_ = c.MarkFlagDirname("data-dir")
}

// check says what is wrong with the flags.
func (f *keptFlags) check() error {
	if f.dataDir == "" {
		return f.serverFlags.check()
	}
	for _, name := range []string{"kafka", "redis"} {
		if f.is(name) {
			return usage("--data-dir is of embedded servers, and %s names real ones: give one of them", f.names(name))
		}
	}
	if _, err := os.Stat(filepath.Join(f.dataDir, "kafka")); err != nil {
		return usage("--data-dir %s: aval demo or aval dev left nothing there: %w", f.dataDir, err)
	}
	return f.serverFlags.check()
}

// connect finds the system, in the folder or where the servers are, by a function such as connect or connectKafka. Who
// connects, closes. Redis of a folder is empty: it keeps nothing.
func (f *keptFlags) connect(
	ctx context.Context, logger *slog.Logger, find func(context.Context, place, *slog.Logger) (*system, error),
) (s *system, closeAll func() error, err error) {
	p, closeServers := f.place(), func() error { return nil }
	if f.dataDir != "" {
		servers, err := embedded.Start(ctx, embedded.Config{Dir: f.dataDir, Logger: logger})
		if err != nil {
			return nil, nil, &codeError{code: exitUnchecked, err: err}
		}
		p, closeServers = embeddedPlace(p, servers), servers.Close
	}
	if s, err = find(ctx, p, logger); err != nil {
		return nil, nil, errors.Join(err, closeServers())
	}
	return s, func() error { return errors.Join(s.close(), closeServers()) }, nil
}
