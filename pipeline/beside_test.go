package pipeline_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// What runs beside a work ends with it, may take a while to end, and takes the works down with it when it fails.
func TestBeside(t *testing.T) {
	t.Parallel()
	errBroken := errors.New("broken")
	for name, test := range map[string]struct {
		beside func(ctx context.Context) error
		want   time.Duration
		err    error
	}{
		"ends with the works": {
			beside: func(ctx context.Context) error { <-ctx.Done(); return nil }, want: time.Minute + time.Second,
		},
		"takes a while to end": {
			beside: func(ctx context.Context) error { <-ctx.Done(); time.Sleep(3 * time.Second); return nil },
			want:   time.Minute + 3*time.Second,
		},
		"fails": {
			beside: func(context.Context) error { time.Sleep(time.Second); return errBroken },
			want:   2 * time.Second, err: errBroken,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				err := pipeline.Router{Consumer: &slow{takes: time.Second}, Logger: slog.New(slog.DiscardHandler)}.
					Run(ctx, pipeline.Work{Name: "stage", Topic: "topic"},
						pipeline.Work{Name: "stage", Topic: "other", Beside: test.beside})
				if took := time.Since(began); took != test.want || !errors.Is(err, test.err) {
					t.Errorf("it ended after %v with %v, want %v, %v", took, err, test.want, test.err)
				}
			})
		})
	}
}

// A batch that waits for its time is no sign of a fault, and what gives up because the process stops is no outage.
func TestBatchesThatWait(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	close(stopping)
	record := []pipeline.Record{{Offset: 5}}
	for _, waits := range []bool{true, false} {
		failed := false
		m := route(t, pipeline.Work{
			Name: "stage", Topic: "topic", Waits: waits,
			Handle: func(context.Context, *pipeline.Batch) error {
				if failed {
					return nil
				}
				failed = true
				return errNotNow
			},
		}, pipeline.Batch{Topic: "topic", Records: record, Next: 6, High: 6, Stopping: stopping})
		since := slices.ContainsFunc(m.stands, func(s pipeline.Standing) bool { return !s.Since.IsZero() })
		if since == waits {
			t.Errorf("where it waits: %t, it stood at %+v", waits, m.stands)
		}
		if slices.ContainsFunc(m.worked, func(w pipeline.Worked) bool { return w.Again }) {
			t.Errorf("it worked on %+v, as if it had not stopped", m.worked)
		}
	}
}
