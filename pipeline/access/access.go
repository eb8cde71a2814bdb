// Package access is how processes prove to servers who they are, and tell apart why they are not let in.
//
//	reads   files of certificates
//	effect  none
//	emits   nothing
package access

import "log/slog"

// The ways to sign in with Kafka.
const (
	Plain       = "plain"
	ScramSHA256 = "scram-sha-256"
	ScramSHA512 = "scram-sha-512"
)

// Mechanisms are all ways to sign in with Kafka.
func Mechanisms() []string { return []string{Plain, ScramSHA256, ScramSHA512} }

// Secret is a text that no log, error or print shows. What must have it converts it to a string.
type Secret string

// Hidden is shown in place of a secret.
const Hidden = "***"

// String implements fmt.Stringer. Without a secret there is nothing to hide.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, which encoders of JSON and others ask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
