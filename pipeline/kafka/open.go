package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/aval-systems/aval/pipeline/access"
)

// SASL is how to sign in with the brokers.
type SASL struct {
	Mechanism string // one of access.Mechanisms
	User      string
	Password  access.Secret
}

const (
	serverName = "Kafka"
	// signedTimeout is dialTimeout with time for TLS and for signing in.
	signedTimeout = 3 * dialTimeout
)

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil //nolint:nilnil // none is one, too
	}
	algorithm := scram.SHA256
	switch s.Mechanism {
	case access.Plain:
		return plain.Mechanism{Username: s.User, Password: string(s.Password)}, nil
	case access.ScramSHA256:
	case access.ScramSHA512:
		algorithm = scram.SHA512
	default:
		return nil, fmt.Errorf("sign in with %q: must be one of %s", s.Mechanism,
			strings.Join(access.Mechanisms(), ", "))
	}
	mechanism, err := scram.Mechanism(algorithm, s.User, string(s.Password))
	if err != nil { // which tells a letter of the password
		return nil, errors.New("sign in with SCRAM: the user or the password has a character that it does not take")
	}
	return mechanism, nil
}

// open makes a connection over which requests can be sent: TLS, the versions of the requests, and signing in.
func (b *brokers) open(ctx context.Context, addr string, mechanism sasl.Mechanism) (*conn, error) {
	timeout := dialTimeout
	if b.tls != nil || mechanism != nil {
		timeout = signedTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connection, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if b.tls != nil {
		if connection, err = handshake(ctx, connection, b.tls, addr); err != nil {
			return nil, fmt.Errorf("agree on TLS: %w", err)
		}
	}
	c := &conn{
		net: connection, protocol: protocol.NewConn(connection, b.clientID),
		addr: addr, clientID: b.clientID, versions: map[protocol.ApiKey]int16{},
	}
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	if err = c.negotiate(); err != nil {
		err = fmt.Errorf("agree on versions: %w", err)
	} else if mechanism != nil {
		err = c.signIn(ctx, mechanism)
	}
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	return c, nil
}

// abruptly is a TLS connection that is closed without a farewell, which could take long to send.
type abruptly struct{ *tls.Conn }

func (c abruptly) Close() error { return c.NetConn().Close() }

func handshake(ctx context.Context, raw net.Conn, config *tls.Config, addr string) (net.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr) // it was dialed
	}
	connection := tls.Client(raw, config)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := connection.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return abruptly{connection}, nil
}

// signIn says who the user is, and proves it.
func (c *conn) signIn(ctx context.Context, mechanism sasl.Mechanism) error {
	answer, err := c.protocol.RoundTrip(&saslhandshake.Request{Mechanism: mechanism.Name()})
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	chosen, ok := answer.(*saslhandshake.Response)
	if !ok {
		return errWire
	}
	switch err := asError(chosen.ErrorCode); {
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return c.refused(access.OtherMechanism, "it offers "+mechanisms(chosen.Mechanisms))
	case errors.Is(err, kafkago.IllegalSASLState):
		return c.refused(access.NoPassword, "")
	case err != nil:
		return fmt.Errorf("sign in: %w", err)
	}
	machine, text, err := mechanism.Start(ctx)
	for done := false; err == nil && !done; {
		var challenge []byte
		if challenge, err = c.authenticate(text); err != nil {
			return err
		}
		done, text, err = machine.Next(ctx, challenge)
	}
	if err != nil { // it may quote what the broker sent
		return c.refused(access.WrongPassword, "the broker cannot show that it knows the password")
	}
	return nil
}

// authenticate is one step of signing in.
func (c *conn) authenticate(text []byte) ([]byte, error) {
	answer, err := c.protocol.RoundTrip(&saslauthenticate.Request{AuthBytes: text})
	if err != nil {
		if cut(err) { // how some brokers say that they do not know the password
			return nil, c.refused(access.WrongPassword, "it ended the connection at this")
		}
		return nil, fmt.Errorf("sign in: %w", err)
	}
	response, ok := answer.(*saslauthenticate.Response)
	if !ok {
		return nil, errWire
	}
	if err := asError(response.ErrorCode); errors.Is(err, kafkago.SASLAuthenticationFailed) {
		return nil, c.refused(access.WrongPassword, "")
	} else if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if lifetime := time.Duration(response.SessionLifetimeMs) * time.Millisecond; lifetime > 0 {
		c.until = time.Now().Add(lifetime - lifetime/5)
	}
	return response.AuthBytes, nil
}

func (c *conn) refused(reason access.Reason, detail string) error {
	return &access.Error{Server: serverName, Addr: c.addr, Reason: reason, Detail: detail}
}

// mechanisms are names as settings have them, as far as they are known.
func mechanisms(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.ToLower(strings.Join(names, ", "))
}

// away is the error of a broker that gave no answer. One that lets nobody in is no better off for being waited for;
// but once it let this process in, it is taken to be at work on it.
func (b *brokers) away(ctx context.Context, addr string, err error) error {
	if b.accepted.Load() || ctx.Err() != nil {
		return fmt.Errorf("broker %s: %w: %w", addr, errAway, err)
	}
	err = b.explain(ctx, addr, err)
	if refused, ok := errors.AsType[*access.Error](err); ok {
		return refused
	}
	return fmt.Errorf("broker %s: %w: %w", addr, errAway, err)
}

// explain finds out why a connection came to nothing. A broker that is spoken to in the wrong way mostly just ends it.
func (b *brokers) explain(ctx context.Context, addr string, err error) error {
	explained := access.Explain(serverName, addr, err)
	if refused, ok := errors.AsType[*access.Error](explained); ok {
		if refused.Reason == access.UnknownHost && !slices.Contains(b.given, addr) {
			refused.Detail = "a broker says that another one is there: see its advertised.listeners"
		}
		return refused
	}
	silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
	if !cut(err) && !silent {
		return err
	}
	reason, detail := access.Reason(""), ""
	switch {
	case b.tls == nil && access.SpeaksTLS(ctx, addr):
		reason = access.WantsTLS
	case b.tls != nil && b.speaksPlain(ctx, addr):
		reason = access.NoTLS
	case b.mechanism == nil:
		reason, detail = b.wantsPassword(ctx, addr)
	}
	if reason == "" {
		return err
	}
	return &access.Error{Server: serverName, Addr: addr, Reason: reason, Detail: detail}
}

// surer says whether an error tells more of all brokers than the one before: that a host is unknown may be said of
// one alone, and others are just away; a wrong password is wrong everywhere.
func surer(err, before error) bool {
	rank := func(err error) int {
		refused, ok := errors.AsType[*access.Error](err)
		switch {
		case ok && refused.Reason != access.UnknownHost:
			return 2
		case !ok:
			return 1
		}
		return 0
	}
	return rank(err) > rank(before)
}

// cut says that the other side ended the connection without a word.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// speaksPlain says whether the broker answers without TLS.
func (b *brokers) speaksPlain(ctx context.Context, addr string) bool {
	c, err := (&brokers{clientID: b.clientID}).open(ctx, addr, nil)
	if err != nil {
		return false
	}
	_ = c.net.Close()
	return true
}

// wantsPassword finds out whether the broker answers only to those who have signed in.
func (b *brokers) wantsPassword(ctx context.Context, addr string) (reason access.Reason, detail string) {
	c, err := b.open(ctx, addr, nil)
	if err != nil {
		return "", ""
	}
	defer c.net.Close() //nolint:errcheck // nothing was written
	_ = c.net.SetDeadline(time.Now().Add(dialTimeout))
	_, err = c.protocol.RoundTrip(&metadata.Request{TopicNames: []string{}})
	if err == nil || !cut(err) {
		return "", ""
	}
	other, err := b.open(ctx, addr, nil)
	if err != nil {
		return "", ""
	}
	defer other.net.Close() //nolint:errcheck // nothing was written
	_ = other.net.SetDeadline(time.Now().Add(dialTimeout))
	answer, err := other.protocol.RoundTrip(&saslhandshake.Request{Mechanism: "NONE"})
	if err != nil {
		return "", ""
	}
	response, ok := answer.(*saslhandshake.Response)
	if !ok || !errors.Is(asError(response.ErrorCode), kafkago.UnsupportedSASLMechanism) {
		return "", ""
	}
	return access.WantsPassword, "it offers " + mechanisms(response.Mechanisms)
}

// denied explains what a broker does not let the user do.
func denied(err error, addresses []string) error {
	code, ok := errors.AsType[kafkago.Error](err)
	if !ok {
		return err
	}
	switch code { //nolint:exhaustive // the others are no denials
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed,
		kafkago.TransactionalIDAuthorizationFailed:
		return &access.Error{
			Server: serverName, Addr: cmp.Or(strings.Join(addresses, ","), "?"), Reason: access.NotAllowed, Err: err,
		}
	}
	return err
}
