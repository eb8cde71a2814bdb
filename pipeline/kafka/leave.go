package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	leavePause  = 100 * time.Millisecond
	leaveLeast  = time.Second // for a member that ends late to say so
	leaveAnswer = 2 * time.Second
)

// Shares of what a subscription may take to end (SubscriberConfig.Drain).
const (
	drainParts = 5
	drainWork  = 3 // what is at work may come to its end; then its context ends
	drainStop  = 1 // handlers give up
	// The rest is for the last commit and for leaving.
)

// drain lets what is at work come to its end, and commits it. Meanwhile the member takes part in its group, or it
// would hold up the others.
func (s *subscription) drain(ctx context.Context, deadline time.Time) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	late := time.AfterFunc(s.config.Drain*drainWork/drainParts, s.abort)
	defer late.Stop()
	s.running.Wait()
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-min(leaveLeast, s.config.Drain/(2*drainParts))))
	defer cancel()
	if left := s.commits.drain(ctx); left > 0 { // to no harm, and whoever is away was told of
		s.log.DebugContext(ctx, "marks were not committed; what was done since the last ones comes again",
			"partitions", left)
	}
}

// stopTimeout is how long a handler may take to give up its batch.
func (s *subscription) stopTimeout() time.Duration {
	if s.ctx.Err() != nil {
		return min(s.c.config.StopTimeout, s.config.Drain*drainStop/drainParts)
	}
	return s.c.config.StopTimeout
}

// listen learns the member's name from what kafka-go logs, which is the only place where it says it before a
// generation begins, and that it gave the name up. It must be known: see leave.
func (s *subscription) listen(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(format, "joined group %s as member %s") && len(args) > 1:
		if name, ok := args[1].(string); ok {
			s.name, s.lastName = name, name
		}
	case strings.HasPrefix(format, "Leaving group"), strings.HasPrefix(format, "Failed to join group"):
		s.name = ""
	}
}

// leave leaves the group for good. A member that joins again says so beside the join, which would else go on
// until all the others have joined too; then its connections can be cut. One that joins for the first time must
// wait for its name, as long as it may: if it is cut off it stays in the group, under a name that only the broker
// knows, and holds up all the others. In the end it is said once more: kafka-go just goes when it is closed between
// join and sync, and the others would wait for the session to end.
func (s *subscription) leave(group *kafkago.ConsumerGroup, deadline time.Time) {
	timeout := max(time.Until(deadline), leaveLeast)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), timeout)
	defer cancel()
	closed := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		for {
			s.mu.Lock()
			name, joining := s.name, !s.active
			s.mu.Unlock()
			if joining && name != "" && s.commits.leave(ctx, name) {
				s.cut()
				return
			}
			select {
			case <-closed:
				return
			case <-time.After(leavePause):
			}
		}
	})
	late := time.AfterFunc(timeout, s.cut)
	defer late.Stop()
	if err := group.Close(); err != nil {
		s.log.WarnContext(s.ctx, "the group could not be left", "error", err)
	}
	close(closed)
	told.Wait()
	s.mu.Lock()
	name := s.lastName
	s.mu.Unlock()
	if name != "" {
		s.commits.leave(ctx, name)
	}
}

// cut ends the group's connections, and lets it make no more.
func (s *subscription) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.undial()
}

// dial opens a connection of the group's, which leave can cut.
func (s *subscription) dial(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.dialing, cancel)
	defer stop()
	c, err := s.c.brokers.open(ctx, address, s.c.brokers.mechanism)
	if err != nil {
		return nil, err
	}
	connection := c.net
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return nil, errors.Join(net.ErrClosed, connection.Close())
	}
	s.conns[connection] = struct{}{}
	return &groupConn{Conn: connection, s: s}, nil
}

// groupConn is forgotten when it closes.
type groupConn struct {
	net.Conn
	s *subscription
}

func (c *groupConn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c.Conn)
	c.s.mu.Unlock()
	return c.Conn.Close()
}
