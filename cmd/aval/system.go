package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/deadletter"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/consumers/timer"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/access"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/pipeline/telemetry"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// system is a namespace on a Kafka and a Redis.
type system struct {
	kafka      *kafka.Client
	redis      redis.UniversalClient
	namespace  string
	partitions int
	logger     *slog.Logger
	place      place
	monitor    *monitor
}

// place says where a system is.
type place struct {
	kafka      []string
	redis      []string
	namespace  string
	partitions int      // 0: what the namespace has, else the default
	embedded   bool     // both are in this process
	dev        bool     // unsafe settings are warnings
	monitor    *monitor // nil: a quiet one

	kafkaTLS      *tls.Config // nil: without
	kafkaSASL     *kafka.SASL // nil: brokers ask nobody who it is
	redisTLS      *tls.Config // nil: without
	redisUser     string
	redisPassword access.Secret
	redisDB       int
	redisCluster  bool

	patience time.Duration // how long servers are waited for; 0: as long as it takes, below: nobody says
	webhooks webhooks
	timing   timing

	traceEndpoint string // of a collector; empty: nothing is traced
	traceOneIn    int64  // of so many messages that go in one begins a trace
}

// partitionsDefault is how many partitions a new namespace gets: few, since each makes batches smaller.
const partitionsDefault = 4

// open connects, waits until both servers answer, and creates the topics that are absent. A namespace keeps the
// number of partitions that it began with.
func open(ctx context.Context, p place, logger *slog.Logger) (*system, error) {
	s, err := dial(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	if p.patience > 0 {
		if err := s.reach(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	if err := s.ready(ctx, p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// connect finds a system that exists: for those who use it and do not run it. It does not wait for long.
func connect(ctx context.Context, p place, logger *slog.Logger) (*system, error) {
	s, err := dial(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	if err = s.reach(ctx); err == nil {
		s.partitions, err = s.stands(ctx, p)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// connectKafka is for those who look at topics alone.
func connectKafka(ctx context.Context, p place, logger *slog.Logger) (*system, error) {
	s, err := dial(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	if err := s.reachKafka(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// dial makes the clients of a system, which have asked nobody yet.
func dial(ctx context.Context, p place, logger *slog.Logger) (*system, error) {
	m := p.monitor
	if m == nil {
		m = quietMonitor(logger)
		if err := m.traceTo(ctx, p); err != nil {
			return nil, err
		}
	}
	client, err := kafka.New(ctx, kafka.Config{
		Brokers: p.kafka, Namespace: p.namespace, ClientID: processName(), Logger: logger,
		TLS: p.kafkaTLS, SASL: p.kafkaSASL, Meter: m.measures(), Outages: m.outages,
	})
	if err != nil {
		return nil, &codeError{code: demo.ExitUsage, err: err}
	}
	s := &system{kafka: client, namespace: p.namespace, logger: logger, place: p, monitor: m}
	s.redis = redis.NewUniversalClient(p.redisOptions())
	return s, nil
}

func (s *system) close() error {
	if s.place.monitor == nil {
		s.monitor.close(context.Background())
	}
	return errors.Join(s.kafka.Close(), s.redis.Close())
}

// entrance is where messages go in, and traces begin.
func (s *system) entrance() pipeline.Publisher {
	if s.monitor.tracer == nil {
		return s.kafka
	}
	return &telemetry.Origin{To: s.kafka, Tracer: s.monitor.tracer, One: s.place.traceOneIn}
}

// ready looks around, and makes the topics that are absent.
func (s *system) ready(ctx context.Context, p place) error {
	found, err := s.check(ctx, p)
	if err != nil {
		return err
	}
	_, err = s.makeTopics(ctx, found, p.partitions)
	return err
}

// store is the state of a book.
func (s *system) store(b book.Book) *book.Store {
	store := book.NewStore(s.redis, s.namespace, b)
	store.Meter = s.monitor.measures()
	return store
}

// stageNames are the stages, books and sinks of a system, in the order of the flow.
func stageNames() []string {
	return []string{
		"invitation", "ledger", "routing", "request", "relay", "funding", "certificate", "advice", "notice",
		"register", "deadletter", timer.Name,
	}
}

// works are the named ones, ready to be routed. The table is the map of the system.
func (s *system) works(names []string, signer certificate.Signer) []pipeline.Work {
	versions := &directories{log: s.kafka}
	follower := &pipeline.Follower{
		Publisher: s.kafka, Partitions: s.partitions, IsJournal: isJournal, Logger: s.logger,
		Meter: s.monitor.measures(), Tracer: s.monitor.traces(),
	}
	config := register.Config{Namespace: s.namespace, Partitions: s.partitions, Now: time.Now}
	table := map[string]func() []pipeline.Work{
		"invitation":  func() []pipeline.Work { return follower.Stage(certificate.Invitation()) },
		"ledger":      func() []pipeline.Work { return s.book("ledger", ledger.Book{}) },
		"routing":     func() []pipeline.Work { return follower.Stage(certificate.Routing(versions)) },
		"request":     func() []pipeline.Work { return s.book("request", preissue.Book{}) },
		"relay":       func() []pipeline.Work { return follower.Stage(certificate.Relay()) },
		"funding":     func() []pipeline.Work { return follower.Stage(certificate.Funding(versions)) },
		"certificate": func() []pipeline.Work { return follower.Stage(certificate.Certificate(signer)) },
		"advice":      func() []pipeline.Work { return follower.Stage(advice.Stage()) },
		"notice":      func() []pipeline.Work { return s.courier(follower).Works() },
		"register":    func() []pipeline.Work { return follower.Sink(register.New(s.redis, config)) },
		"deadletter":  func() []pipeline.Work { return follower.Stage(deadletter.Stage()) },
		timer.Name:    s.timer,
	}
	var works []pipeline.Work
	for _, name := range names {
		works = append(works, table[name]()...)
	}
	return works
}

func (s *system) book(stage string, b book.Book) []pipeline.Work {
	runner := &book.Runner{
		Book: b, Store: s.store(b), Log: s.kafka, Partitions: s.partitions, Owner: processName(), Logger: s.logger,
		Meter: s.monitor.measures(), Tracer: s.monitor.traces(), Now: time.Now,
	}
	return []pipeline.Work{runner.Work(stage)}
}

func isJournal(topic string) bool {
	t, ok := schemas.TopicOf(topic)
	return ok && t.Kind == schemas.KindJournal
}

// checkStages refuses names that are none.
func checkStages(names []string) error {
	var errs []error
	for i, name := range names {
		switch {
		case slices.Contains(names[:i], name):
			errs = append(errs, fmt.Errorf("%s is named twice", name))
		case !slices.Contains(stageNames(), name):
			errs = append(errs, fmt.Errorf("%s is no stage%s", name, didYouMean(name, stageNames())))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w; there are %s", inOneLine(errors.Join(errs...)), strings.Join(stageNames(), ", "))
	}
	return nil
}

func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("aval-%s-%d", host, os.Getpid())
}
