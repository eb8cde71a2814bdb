package kafka

import (
	"context"
	"sync"
)

// call is one Publish; it ends when all its records are written, or with the first error.
type call struct {
	ctx  context.Context //nolint:containedctx // who waits may leave while the records stand in line
	done chan struct{}

	mu   sync.Mutex
	left int
	err  error
}

// over says that nobody waits for the call any more.
func (c *call) over() bool {
	if c.ctx.Err() != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

func (c *call) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.left > 0 {
		c.err = err
		close(c.done)
	}
}

func (c *call) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left == 0 && c.err == nil {
		close(c.done)
	}
}
