//go:build integration

package booktest

import (
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

func realServers(tb testing.TB) []Server {
	tb.Helper()
	return []Server{{Name: "real", Address: localtest.Redis(tb)}}
}
