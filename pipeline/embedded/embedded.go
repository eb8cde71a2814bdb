// Package embedded is Kafka and Redis inside the process, for whoever has neither: the demonstration, a first
// look, unit tests, one small machine.
//
//	reads   nothing
//	effect  listens on two loopback ports, keeps Kafka's data in a directory
//	emits   nothing
//
// Kafka is franz-go's kfake: one broker, no replication, and without a sync for each write; what was
// acknowledged survives the end of the process, however it ends, but not a power cut. At start it reads all
// its data into memory. Redis is miniredis, which keeps nothing: the books rebuild themselves from their
// journals. Neither asks who calls, which is why both refuse to listen on anything but the machine itself.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	// messageBytesMax leaves room above the largest record batch that a journal takes.
	messageBytesMax = "8388608"
	// offsetsKept is what committed offsets outlive a group without members, in minutes: ten years. A
	// directory that lay unused for a month goes on where it stopped.
	offsetsKept = "5256000"
	// sessionMin lets tests notice a dead member soon.
	sessionMin = 500 * time.Millisecond

	// ageEvery is how often Redis' keys are made older, all of them.
	ageEvery = time.Second

	anyPort = "127.0.0.1:0"
)

// Config says where the servers listen and where they keep what they must. The zero value is a pair that
// listens on free ports and forgets everything at Close.
type Config struct {
	// Dir holds Kafka's data; it is created where it is absent, and locked while in use. Start waits two
	// seconds for one that is. Empty: in memory.
	Dir string
	// Kafka and Redis are loopback addresses to listen on. Empty: a free port of 127.0.0.1.
	Kafka, Redis string
	// Logger gets what Kafka has to say. Nil: nobody does.
	Logger *slog.Logger
}

// Servers is a running pair.
type Servers struct {
	KafkaAddr string
	RedisAddr string

	close func() error
}

// Start starts both servers; they answer when it returns, and run until Close. The context bounds the start
// alone.
func Start(ctx context.Context, c Config) (*Servers, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	unlock := func() error { return nil }
	if c.Dir != "" {
		var err error
		if unlock, err = lock(ctx, c.Dir); err != nil {
			return nil, err
		}
	}
	s, err := start(ctx, c, unlock)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	return s, nil
}

func start(ctx context.Context, c Config, unlock func() error) (*Servers, error) {
	log := &logger{to: c.Logger}
	kafka, err := startKafka(ctx, c, log)
	if err != nil {
		return nil, fmt.Errorf("start the embedded Kafka: %w", err)
	}
	redis, err := startRedis(c.Redis)
	if err != nil {
		kafka.Close()
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	stop := age(redis)
	return &Servers{
		KafkaAddr: kafka.ListenAddrs()[0],
		RedisAddr: redis.Addr(),
		close: sync.OnceValue(func() error {
			stop()
			redis.Close()
			log.keep()
			kafka.Close()
			return errors.Join(log.kept(), unlock())
		}),
	}, nil
}

// Close stops both servers and gives the directory free. Its error says what Kafka could not save. A second
// call answers as the first.
func (s *Servers) Close() error { return s.close() }

func startKafka(ctx context.Context, c Config, log *logger) (*kfake.Cluster, error) {
	address, err := loopback(c.Kafka)
	if err != nil {
		return nil, err
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.WithLogger(log),
		kfake.GroupMinSessionTimeout(sessionMin),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":         messageBytesMax,
			"offsets.retention.minutes": offsetsKept,
		}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, network, address)
		}),
	}
	if c.Dir != "" {
		data := filepath.Join(c.Dir, "kafka")
		if err := os.MkdirAll(data, 0o700); err != nil {
			return nil, err
		}
		options = append(options, kfake.DataDir(data))
	}
	return kfake.NewCluster(options...)
}

func startRedis(address string) (*miniredis.Miniredis, error) {
	address, err := loopback(address)
	if err != nil {
		return nil, err
	}
	redis := miniredis.NewMiniRedis()
	if err := redis.StartAddr(address); err != nil {
		return nil, err
	}
	return redis, nil
}

// age lets Redis' keys grow older with the clock until it is stopped. miniredis does so only when it is told,
// or else before each command, which takes as long as there are keys. A key may go up to ageEvery
// before its time.
func age(redis *miniredis.Miniredis) (stop func()) {
	done := make(chan struct{})
	var aging sync.WaitGroup
	aging.Go(func() {
		ticker := time.NewTicker(ageEvery)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				now := time.Now()
				redis.FastForward(now.Sub(last))
				last = now
			}
		}
	})
	return func() {
		close(done)
		aging.Wait()
	}
}

// loopback returns the address to listen on, if it is one that other machines cannot reach.
func loopback(address string) (string, error) {
	if address == "" {
		return anyPort, nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return "", fmt.Errorf("listen on %q: an embedded server has no password, "+
			"its address must be a loopback one such as 127.0.0.1:9092", address)
	}
	return address, nil
}

// StartRedis starts a Redis alone, that listens on a free port and forgets everything at the end.
func StartRedis() (address string, stop func(), err error) {
	redis, err := startRedis("")
	if err != nil {
		return "", nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	return redis.Addr(), redis.Close, nil
}
