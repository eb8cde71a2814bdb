//go:build integration

package booktest

import (
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

func realServers(t testing.TB) []Server {
	t.Helper()
	return []Server{{Name: "real", Address: localtest.Redis(t)}}
}
