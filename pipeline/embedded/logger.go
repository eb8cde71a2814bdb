package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logger hands on what kfake says. What fails while it saves its data it says nowhere else, so from keep on
// the errors are kept too.
type logger struct {
	to *slog.Logger

	mu      sync.Mutex
	keeping bool
	errs    []error
}

var _ kfake.Logger = (*logger)(nil)

// Logf implements kfake.Logger.
func (l *logger) Logf(level kfake.LogLevel, format string, arguments ...any) {
	// What kfake calls information is a line for each request.
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	case kfake.LogLevelInfo, kfake.LogLevelDebug, kfake.LogLevelNone:
	}
	ctx := context.Background() //nolint:forbidigo // kfake's interface has none
	keep := level == kfake.LogLevelError
	if !keep && !l.to.Enabled(ctx, to) {
		return
	}
	text := fmt.Sprintf(format, arguments...)
	l.to.Log(ctx, to, "the embedded Kafka says", "what", text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if keep && l.keeping {
		l.errs = append(l.errs, errors.New(text))
	}
}

func (l *logger) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keeping = true
}

func (l *logger) kept() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}
