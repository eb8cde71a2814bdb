package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	dialTimeout    = 3 * time.Second
	requestTimeout = 10 * time.Second // beyond what the broker is allowed to wait
	idleMost       = time.Minute      // brokers close connections that lie idle for some minutes
	answerMost     = 256 << 20        // bytes of one answer
)

var (
	// errWire says that an answer is not what it should be.
	errWire = errors.New("the answer cannot be read")
	// errAway says that a broker gave no answer: whether it did what it was asked is not known.
	errAway = errors.New("no answer")
)

// conn is a connection, used by one request at a time.
type conn struct {
	net      net.Conn
	protocol *protocol.Conn
	versions map[protocol.ApiKey]int16
	addr     string
	clientID string
	used     time.Time
	until    time.Time // the broker forgets who signed in; zero: never
}

// brokers keeps the connections to the brokers.
type brokers struct {
	clientID  string
	given     []string // the addresses to begin with
	tls       *tls.Config
	mechanism sasl.Mechanism // nil: brokers ask nobody who it is
	accepted  atomic.Bool    // a broker has answered

	mu     sync.Mutex
	idle   map[string][]*conn
	all    map[*conn]struct{}
	closed bool
}

func newBrokers(config Config) (*brokers, error) {
	mechanism, err := config.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	return &brokers{
		clientID: config.ClientID, given: config.Brokers, tls: config.TLS, mechanism: mechanism,
		idle: map[string][]*conn{}, all: map[*conn]struct{}{},
	}, nil
}

// roundTrip sends a request to a broker and returns its answer. The broker may wait that long by itself.
func (b *brokers) roundTrip(
	ctx context.Context, addr string, wait time.Duration, request protocol.Message,
) (answer protocol.Message, err error) {
	err = b.use(ctx, addr, wait, func(c *conn) error {
		answer, err = c.protocol.RoundTrip(request)
		return err
	})
	return answer, err
}

// use runs f with a connection to the broker. The connection is given up when f fails or ctx ends meanwhile:
// what may still arrive on it must not answer the next request.
func (b *brokers) use(ctx context.Context, addr string, wait time.Duration, f func(*conn) error) error {
	c, err := b.take(ctx, addr)
	if err != nil {
		return b.away(ctx, addr, err)
	}
	if err := c.net.SetDeadline(time.Now().Add(wait + requestTimeout)); err != nil {
		b.drop(c)
		return b.away(ctx, addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	err = f(c)
	if !stop() || err != nil {
		b.drop(c)
	} else {
		b.give(c)
	}
	if err == nil {
		b.accepted.Store(true)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.away(ctx, addr, err)
}

func (b *brokers) take(ctx context.Context, addr string) (*conn, error) {
	b.mu.Lock()
	for idle := b.idle[addr]; len(idle) > 0; idle = b.idle[addr] {
		c := idle[len(idle)-1]
		b.idle[addr] = idle[:len(idle)-1]
		if time.Since(c.used) < idleMost && (c.until.IsZero() || time.Now().Before(c.until)) {
			b.mu.Unlock()
			return c, nil
		}
		delete(b.all, c)
		_ = c.net.Close()
	}
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	return b.dial(ctx, addr)
}

func (b *brokers) dial(ctx context.Context, addr string) (*conn, error) {
	c, err := b.open(ctx, addr, b.mechanism)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.Join(net.ErrClosed, c.net.Close())
	}
	b.all[c] = struct{}{}
	return c, nil
}

func (c *conn) negotiate() error {
	answer, err := c.protocol.RoundTrip(new(apiversions.Request))
	if err != nil {
		return err
	}
	response, ok := answer.(*apiversions.Response)
	if !ok {
		return errWire
	}
	if err := asError(response.ErrorCode); err != nil {
		return err
	}
	for _, k := range response.ApiKeys {
		key := protocol.ApiKey(k.ApiKey)
		c.versions[key] = key.SelectVersion(k.MinVersion, k.MaxVersion)
	}
	c.protocol.SetVersions(c.versions)
	return nil
}

func (b *brokers) give(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		delete(b.all, c)
		_ = c.net.Close()
		return
	}
	c.used = time.Now()
	b.idle[c.addr] = append(b.idle[c.addr], c)
}

func (b *brokers) drop(c *conn) {
	b.mu.Lock()
	delete(b.all, c)
	b.mu.Unlock()
	_ = c.net.Close()
}

// close ends every connection, those in use too, and refuses new ones.
func (b *brokers) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for c := range b.all {
		_ = c.net.Close()
	}
	clear(b.all)
	clear(b.idle)
}

// raw sends a request and returns the answer as it came, without size and correlation id.
func (c *conn) raw(version int16, request protocol.Message) ([]byte, error) {
	const correlation = 1 << 30 // the ids that kafka-go counts stay below
	if err := protocol.WriteRequest(c.protocol, version, correlation, c.clientID, request); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.protocol, head[:]); err != nil {
		return nil, err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:4]))) - 4 //nolint:gosec // it is a signed size
	if size < 0 || size > answerMost || binary.BigEndian.Uint32(head[4:]) != correlation {
		return nil, fmt.Errorf("%w: %d bytes", errWire, size)
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(c.protocol, frame)
	return frame, err
}
