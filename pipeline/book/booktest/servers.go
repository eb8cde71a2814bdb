package booktest

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Server is a Redis.
type Server struct {
	Name    string // "embedded" or "real", fit for t.Run
	Address string
}

// Servers returns the Redis servers that a test is to pass over: the embedded one, and with the build tag
// integration the real one too.
func Servers(tb testing.TB) []Server {
	tb.Helper()
	return append([]Server{{Name: "embedded", Address: miniredis.RunT(tb).Addr()}}, realServers(tb)...)
}
