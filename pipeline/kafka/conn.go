package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
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
}

// brokers keeps the connections to the brokers.
type brokers struct {
	clientID string

	mu     sync.Mutex
	idle   map[string][]*conn
	all    map[*conn]struct{}
	closed bool
}

func newBrokers(clientID string) *brokers {
	return &brokers{clientID: clientID, idle: map[string][]*conn{}, all: map[*conn]struct{}{}}
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
		return fmt.Errorf("broker %s: %w: %w", addr, errAway, err)
	}
	if err := c.net.SetDeadline(time.Now().Add(wait + requestTimeout)); err != nil {
		b.drop(c)
		return fmt.Errorf("broker %s: %w: %w", addr, errAway, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	err = f(c)
	if !stop() || err != nil {
		b.drop(c)
	} else {
		b.give(c)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("broker %s: %w: %w", addr, errAway, err)
}

func (b *brokers) take(ctx context.Context, addr string) (*conn, error) {
	b.mu.Lock()
	for idle := b.idle[addr]; len(idle) > 0; idle = b.idle[addr] {
		c := idle[len(idle)-1]
		b.idle[addr] = idle[:len(idle)-1]
		if time.Since(c.used) < idleMost {
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
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{
		net: connection, protocol: protocol.NewConn(connection, b.clientID),
		addr: addr, clientID: b.clientID, versions: map[protocol.ApiKey]int16{},
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errors.Join(net.ErrClosed, connection.Close())
	}
	b.all[c] = struct{}{}
	b.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	if err := c.negotiate(); err != nil {
		b.drop(c)
		return nil, fmt.Errorf("agree on versions: %w", err)
	}
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
