package kafka

import "net"

// Buffered is what subscriptions hold in bytes that no handler has yet.
func Buffered(c *Client) int {
	c.fetcher.mu.Lock()
	defer c.fetcher.mu.Unlock()
	total := 0
	for _, cursor := range c.fetcher.cursors {
		total += cursor.bytes
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

// Seize holds what the loop that fetches needs to go round, until it is released.
func Seize(c *Client) (release func()) {
	c.fetcher.mu.Lock()
	return c.fetcher.mu.Unlock
}
