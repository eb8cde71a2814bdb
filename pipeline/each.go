package pipeline

import (
	"context"
	"errors"
	"sync"
)

// Each calls f for each number below n, some at a time, and waits for all of them. The first error stops the rest by
// ending their context. Each returns the errors of all, without those that merely say the context ended.
func Each(ctx context.Context, n, atATime int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	free := make(chan struct{}, max(atATime, 1))
	errs := make([]error, n+1)
	for i := range n {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			errs[n] = context.Cause(ctx)
			break
		}
		group.Go(func() {
			defer func() { <-free }()
			if err := f(ctx, i); err != nil {
				if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
					errs[i] = err
				}
				cancel()
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs[:n]...); err != nil {
		return err
	}
	return errs[n]
}
