//go:build integration

package kafka_test

import (
	"os"
	"strings"
	"testing"
)

// server returns the address of the real broker.
func server(tb testing.TB) string {
	tb.Helper()
	address := os.Getenv("AVAL_TEST_KAFKA")
	if address == "" {
		tb.Fatal("AVAL_TEST_KAFKA is not set: run `make test`, or `make up` and export the broker's address")
	}
	return strings.Split(address, ",")[0]
}
