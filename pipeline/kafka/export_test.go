package kafka

import "net"

// Buffered is what subscriptions hold in bytes that no handler has yet.
func Buffered(c *Client) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for s := range c.open {
		s.fetcher.mu.Lock()
		for _, cursor := range s.fetcher.cursors {
			total += cursor.bytes
		}
		s.fetcher.mu.Unlock()
	}
	return total
}

// Queued is what Publish has taken and not written.
func Queued(c *Client) int {
	c.producer.queue.mu.Lock()
	defer c.producer.queue.mu.Unlock()
	return c.producer.queue.used
}

// Disown makes the shared producer's next batch come from a producer that the broker does not know.
func Disown(c *Client) {
	c.producer.mu.Lock()
	defer c.producer.mu.Unlock()
	c.producer.identity = identity{id: 1 << 40, epoch: 3}
}

var _ net.Conn = (*groupConn)(nil)

// Namespace is what prefixes names on the wire.
func (c *Client) Namespace() string { return c.config.Namespace }

// Seize holds what the loop of the client's one subscription needs to go round, until it is released.
func Seize(c *Client) (release func()) {
	s := c.subscriptions()[0]
	s.fetcher.mu.Lock()
	return s.fetcher.mu.Unlock
}
