// Package kafka is the transport: at least once, in order within a partition, with bounded memory.
//
//	reads   any topic: as a group's member (Subscriber), or directly (Log)
//	effect  commits a group's marks
//	emits   any topic: shared and idempotent (Publish), or as a partition's only writer (Claim)
//
// kafka-go speaks the wire protocol and joins consumer groups; the connections, the routing to leaders, the
// record batches and the retries are this package's own. Topics, groups and transactional ids carry the
// namespace on the wire and lack it everywhere else.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

const (
	// BatchBytesDefault bounds a batch that a subscriber hands out.
	BatchBytesDefault = 1 << 20
	// SessionTimeoutDefault is how long a group waits for a silent member.
	SessionTimeoutDefault = 6 * time.Second
	// QueueBytesDefault bounds what Publish has taken and not written yet.
	QueueBytesDefault = 64 << 20
	// UnknownTopicTimeoutDefault is how long a topic may be unknown to the brokers.
	UnknownTopicTimeoutDefault = 5 * time.Second
	// StopTimeoutDefault is how long a handler may take to give up a batch whose context has ended.
	StopTimeoutDefault = 8 * time.Second
)

// Config says where the brokers are and how they are spoken to.
type Config struct {
	// Brokers are addresses to begin with; the others become known from them.
	Brokers []string
	// Namespace prefixes every topic, group and transactional id. Empty: they stand as they are.
	Namespace string
	// ClientID names this process in the brokers' logs and metrics.
	ClientID string
	// TLS is how the brokers are spoken to. Nil: without it.
	TLS *tls.Config
	// SASL is how this process signs in with the brokers. Nil: it does not.
	SASL *SASL
	// Logger gets what an operator should know. Nil: nobody does.
	Logger *slog.Logger
	// Meter measures batches and requests. Nil: nobody does.
	Meter pipeline.Meter
	// Outages tell of brokers that do not answer. Nil: the client has its own.
	Outages *pipeline.Outages
	// SessionTimeout is how long a group waits for a silent member. Zero: SessionTimeoutDefault.
	SessionTimeout time.Duration
	// QueueBytes bounds what Publish has taken and not written yet. Zero: QueueBytesDefault.
	QueueBytes int
	// UnknownTopicTimeout is how long a topic may be unknown to the brokers before that is an error: a new one
	// spreads among them. Zero: UnknownTopicTimeoutDefault.
	UnknownTopicTimeout time.Duration
	// StopTimeout is how long a handler may take to give up a batch whose context has ended; then it is not
	// waited for any longer. Zero: StopTimeoutDefault.
	StopTimeout time.Duration
}

var namespaceForm = regexp.MustCompile(`^[a-zA-Z0-9_-]{0,64}$`)

func (c Config) validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no broker address is given"))
	}
	if !namespaceForm.MatchString(c.Namespace) {
		errs = append(errs, fmt.Errorf("namespace %q: at most 64 letters, digits, - and _", c.Namespace))
	}
	if min(c.SessionTimeout, c.UnknownTopicTimeout, c.StopTimeout) < 0 || c.QueueBytes < 0 {
		errs = append(errs, errors.New("timeouts and queue bytes must not be negative"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.ClientID = cmp.Or(c.ClientID, "aval")
	c.SessionTimeout = cmp.Or(c.SessionTimeout, SessionTimeoutDefault)
	c.QueueBytes = cmp.Or(c.QueueBytes, QueueBytesDefault)
	c.UnknownTopicTimeout = cmp.Or(c.UnknownTopicTimeout, UnknownTopicTimeoutDefault)
	c.StopTimeout = cmp.Or(c.StopTimeout, StopTimeoutDefault)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Meter = pipeline.MeterOr(c.Meter)
	if c.Outages == nil {
		c.Outages = &pipeline.Outages{Logger: c.Logger, Meter: c.Meter}
	}
	return c
}

// Client is a process's access to the brokers. It is safe for concurrent use.
type Client struct {
	config   Config
	log      *slog.Logger
	brokers  *brokers
	cluster  *cluster
	sender   *sender
	fetcher  *fetcher
	producer *producer
	claims   claims

	ctx    context.Context //nolint:containedctx // it ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[*subscription]struct{}
}

var (
	_ pipeline.Publisher = (*Client)(nil)
	_ pipeline.Consumer  = (*Client)(nil)
	_ pipeline.Log       = (*Client)(nil)
)

// New returns a client. It does not wait for a broker: whatever needs one does. The client lives until Close,
// beyond the context's end: what is under way when a process stops should come to its end in order.
func New(ctx context.Context, config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	config = config.withDefaults()
	brokers, err := newBrokers(config)
	if err != nil {
		return nil, fmt.Errorf("configure the Kafka client: %w", err)
	}
	c := &Client{config: config, log: config.Logger, brokers: brokers, open: map[*subscription]struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.cluster = newCluster(c)
	c.sender = newSender(c)
	c.producer = newProducer(c)
	c.fetcher = newFetcher(c)
	c.task(c.sender.run)
	c.task(c.fetcher.run)
	return c, nil
}

// Close ends subscriptions, then everything else, and waits for it. What Publish and Append still hold ends
// with an error.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	var open []*subscription
	for s := range c.open {
		open = append(open, s)
	}
	c.mu.Unlock()
	for _, s := range open {
		s.cancel()
	}
	for _, s := range open {
		<-s.done
	}
	c.mu.Lock() // no task begins after it
	c.cancel()
	c.mu.Unlock()
	c.brokers.close()
	c.tasks.Wait()
	return nil
}

// task runs f until the client closes, and says whether it does; f must return when its context ends.
func (c *Client) task(f func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.tasks.Go(func() { f(c.ctx) })
	return true
}

// wire returns a name as the brokers know it.
func (c *Client) wire(name string) string {
	if c.config.Namespace == "" {
		return name
	}
	return c.config.Namespace + "." + name
}

// plain returns a name without the namespace.
func (c *Client) plain(wire string) string {
	if c.config.Namespace == "" {
		return wire
	}
	return strings.TrimPrefix(wire, c.config.Namespace+".")
}

// place is a partition as the brokers know it.
type place struct {
	topic     string // with the namespace
	partition int32
}

func (c *Client) place(topic string, partition int) place {
	return place{topic: c.wire(topic), partition: int32(partition)} //nolint:gosec // partitions are few
}
