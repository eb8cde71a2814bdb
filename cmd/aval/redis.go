package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/pipeline/access"
)

const (
	kafkaServer = "Kafka"
	redisServer = "Redis"
	// redisProbe is how long a Redis may take to show that it speaks without TLS.
	redisProbe = 2 * time.Second
)

// redisOptions are how Redis is spoken to. A command may have run when its reply is lost: whoever calls repeats it,
// since only it knows how.
func (p place) redisOptions() *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs: p.redis, MaxRetries: -1, TLSConfig: p.redisTLS, Username: p.redisUser,
		Password: string(p.redisPassword), DB: p.redisDB, IsClusterMode: p.redisCluster,
		DialerRetries: 1, // whoever asks for a connection asks again
	}
}

// quietRedis drops what go-redis logs: it is in its errors, too.
type quietRedis struct{}

func (quietRedis) Printf(context.Context, string, ...any) {}

// redisAnswers waits until Redis does, and says once that it waits. It does not wait for one that lets nobody in.
func (s *system) redisAnswers(ctx context.Context) error {
	var seen error
	for {
		err := s.askRedis(ctx)
		if err == nil {
			return nil
		}
		err = s.place.redisFault(ctx, err)
		if refused, ok := errors.AsType[*access.Error](err); ok {
			return refused
		}
		if seen == nil {
			s.logger.WarnContext(ctx, "waiting for redis", "error", err)
		}
		if seen == nil || ctx.Err() == nil {
			seen = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for redis: %w (%w)", ctx.Err(), seen)
		case <-time.After(redisPause):
		}
	}
}

// askRedis does what the books will do, to nobody's harm: it runs a script over a key of the namespace.
func (s *system) askRedis(ctx context.Context) error {
	key := s.namespace + ":{probe}"
	return s.redis.Eval(ctx, `return redis.call("EXISTS", KEYS[1])`, []string{key}).Err()
}

// redisFault returns an *access.Error if waiting does not help against the error.
func (p place) redisFault(ctx context.Context, err error) error {
	addr := strings.Join(p.redis, ",")
	if reason := redisReason(err.Error()); reason != "" {
		refused := &access.Error{Server: redisServer, Addr: addr, Reason: reason}
		if reason == access.NotAllowed {
			refused.Err = err // it says what
		}
		return refused
	}
	explained := access.Explain(redisServer, addr, err)
	if _, ok := errors.AsType[*access.Error](explained); ok || ctx.Err() != nil || !wordless(err) {
		return explained
	}
	for _, address := range p.redis {
		switch {
		case p.redisTLS == nil && access.SpeaksTLS(ctx, address):
			return &access.Error{Server: redisServer, Addr: address, Reason: access.WantsTLS}
		case p.redisTLS != nil && speaksPlain(ctx, address):
			return &access.Error{Server: redisServer, Addr: address, Reason: access.NoTLS}
		}
	}
	return err
}

// redisReason is what Redis means by what it says.
func redisReason(text string) access.Reason {
	for _, known := range []struct {
		word   string
		reason access.Reason
	}{
		{"WRONGPASS", access.WrongPassword},
		{"NOAUTH", access.WantsPassword},
		{"NOPERM", access.NotAllowed},
		{"without any password configured", access.NoPassword},
		{"but no password is set", access.NoPassword},
		{"cluster support disabled", access.NoCluster},
		{"MOVED ", access.WantsCluster},
	} {
		if strings.Contains(text, known.word) {
			return known.reason
		}
	}
	return ""
}

// wordless says whether the other side just ended the connection, or said nothing.
func wordless(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrDeadlineExceeded)
}

// speaksPlain says whether a Redis answers without TLS, be it that it wants a password.
func speaksPlain(ctx context.Context, address string) bool {
	connection, err := (&net.Dialer{Timeout: redisProbe}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer connection.Close() //nolint:errcheck // nothing depends on it
	_ = connection.SetDeadline(time.Now().Add(redisProbe))
	if _, err := io.WriteString(connection, "*1\r\n$4\r\nPING\r\n"); err != nil {
		return false
	}
	answer, err := bufio.NewReader(connection).ReadByte()
	return err == nil && (answer == '+' || answer == '-')
}
