//go:build integration

package localtest

import "testing"

func realServers(tb testing.TB) []Pair {
	tb.Helper()
	return []Pair{{Name: "real", Kafka: Kafka(tb), Redis: Redis(tb)}}
}
