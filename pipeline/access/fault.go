package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Reason is why a server does not let a process in. Waiting does not help against any of them.
type Reason string

// The reasons.
const (
	UnknownHost      Reason = "nobody knows this host"
	Unverified       Reason = "its certificate is not signed by an authority that is trusted"
	Expired          Reason = "its certificate is not valid at this time"
	OtherName        Reason = "its certificate is for another name"
	NoTLS            Reason = "it does not speak TLS, and is spoken to with it"
	WantsTLS         Reason = "it speaks TLS, and is spoken to without it"
	WantsCertificate Reason = "it does not take this client's certificate, or wants one"
	NoCommonTLS      Reason = "it speaks no version of TLS that this program does"
	WrongPassword    Reason = "it does not take this user and password"
	WantsPassword    Reason = "it wants a user and a password"
	NoPassword       Reason = "it wants no password, and is given one"
	OtherMechanism   Reason = "it lets nobody sign in this way"
	NotAllowed       Reason = "the user may not do that"
	WantsCluster     Reason = "it is one of a cluster, and is spoken to as if it were alone"
	NoCluster        Reason = "it is no cluster, and is spoken to as one"
)

// Error says that a server does not let a process in.
type Error struct {
	Server string // what it is
	Addr   string
	Reason Reason
	Detail string // what else is known
	Err    error  // what was seen of it, if that says more
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s at %s: %s", e.Server, e.Addr, e.Reason)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Explain returns an *Error if err, which arose while a connection was made or used, is one of those that waiting
// does not help against, else err itself.
func Explain(server, addr string, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	reason, detail := reasonOf(err)
	if reason == "" {
		return err
	}
	return &Error{Server: server, Addr: addr, Reason: reason, Detail: detail, Err: err}
}

func reasonOf(err error) (reason Reason, detail string) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return UnknownHost, ""
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return Unverified, ""
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return OtherName, ""
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return Expired, ""
		}
		return Unverified, ""
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Unverified, ""
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return NoTLS, ""
	}
	if remote, ok := errors.AsType[*net.OpError](err); ok && remote.Op == "remote error" {
		return alert(remote.Err.Error())
	}
	return "", ""
}

// alert is the reason behind what the other side says when it ends a TLS connection. crypto/tls has no type for it.
func alert(text string) (reason Reason, detail string) {
	switch {
	case strings.Contains(text, "certificate"), strings.Contains(text, "access denied"),
		strings.Contains(text, "unknown authority"):
		return WantsCertificate, ""
	case strings.Contains(text, "protocol version"), strings.Contains(text, "handshake failure"),
		strings.Contains(text, "insufficient security"):
		return NoCommonTLS, "or it wants a client certificate"
	case strings.Contains(text, "unrecognized name"):
		return OtherName, ""
	}
	return "", ""
}
