// Package localtest gives tests their servers: the embedded ones, or the real ones that deploy/local/servers
// started.
//
//	reads   AVAL_TEST_KAFKA and AVAL_TEST_REDIS
//	effect  starts embedded servers that end with the test
//	emits   nothing
package localtest

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"

	"github.com/aval-systems/aval/pipeline/embedded"
)

// Pair is a Kafka and a Redis that belong together.
type Pair struct {
	Name  string // "embedded" or "real", fit for t.Run
	Kafka string // addresses of brokers, commas between
	Redis string // the address; with several servers, commas between
}

// Servers returns the pairs that a test is to pass over: the embedded one, and with the build tag integration
// the real one too.
func Servers(t testing.TB) []Pair {
	t.Helper()
	kafka, redis := Embedded(t)
	return append([]Pair{{Name: "embedded", Kafka: kafka, Redis: redis}}, realServers(t)...)
}

// Embedded starts a pair that ends with the test.
func Embedded(t testing.TB) (kafka, redis string) {
	t.Helper()
	servers, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	return servers.KafkaAddr, servers.RedisAddr
}

// Kafka returns the addresses of the real brokers.
func Kafka(t testing.TB) string {
	t.Helper()
	return address(t, "AVAL_TEST_KAFKA")
}

// Redis returns the address of the real Redis.
func Redis(t testing.TB) string {
	t.Helper()
	return address(t, "AVAL_TEST_REDIS")
}

// Namespace returns a namespace that nobody has used on any server.
func Namespace(t testing.TB) string {
	t.Helper()
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatal(err)
	}
	return "t" + hex.EncodeToString(random[:])
}

func address(t testing.TB, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run `make test`, which starts real servers and sets it, "+
			"or `make up` and export the addresses that it prints as AVAL_TEST_KAFKA and AVAL_TEST_REDIS", variable)
	}
	return value
}
