package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Run starts every actor and waits for all of them. The first to return, with or without an error, stops the
// rest by ending their context. Run returns the errors of all, without those that merely say the context ended.
func Run(ctx context.Context, actors ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, len(actors))
	for i, actor := range actors {
		group.Go(func() {
			defer cancel()
			if err := actor(ctx); err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
				errs[i] = err
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Pause waits, unless ctx ends before: then it returns ctx's error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
