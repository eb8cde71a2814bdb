package access

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// probeTimeout is how long a server may take to show what it speaks.
const probeTimeout = 2 * time.Second

// SpeaksTLS says whether a server answers a TLS handshake, whatever it thinks of it. It is for servers that ended a
// connection without a word: many do when they are spoken to without TLS and want it. Nothing is sent but the greeting.
func SpeaksTLS(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer connection.Close() //nolint:errcheck // nothing was written
	// The certificate does not matter: the connection is closed after the greeting.
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	err = tls.Client(connection, config).HandshakeContext(ctx)
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		return true
	}
	return err == nil
}
