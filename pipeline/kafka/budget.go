package kafka

import (
	"context"
	"sync"
)

// budget bounds bytes; who asks first gets first. What is larger than all of it gets all of it.
type budget struct {
	size int

	mu      sync.Mutex
	used    int
	waiting []*claimant
}

type claimant struct {
	n     int
	ready chan struct{}
}

func newBudget(size int) *budget { return &budget{size: size} }

// acquire waits for n bytes, or until one of the contexts ends; the second's end is that of the client.
func (b *budget) acquire(ctx, closed context.Context, n int) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(n) {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	w := &claimant{n: n, ready: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		b.withdraw(w)
		return ctx.Err()
	case <-closed.Done():
		b.withdraw(w)
		return ErrClosed
	}
}

func (b *budget) fits(n int) bool { return b.used == 0 || b.used+n <= b.size }

func (b *budget) withdraw(w *claimant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready: // it got its bytes in the meantime
		b.used -= w.n
	default:
		for i, other := range b.waiting {
			if other == w {
				b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
				break
			}
		}
	}
	b.serve()
}

func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.serve()
}

func (b *budget) serve() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].n) {
		b.used += b.waiting[0].n
		close(b.waiting[0].ready)
		b.waiting = b.waiting[1:]
	}
}
