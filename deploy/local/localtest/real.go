//go:build integration

package localtest

import "testing"

func realServers(t testing.TB) []Pair {
	t.Helper()
	return []Pair{{Name: "real", Kafka: Kafka(t), Redis: Redis(t)}}
}
