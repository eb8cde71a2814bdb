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
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

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
func Servers(tb testing.TB) []Pair {
	tb.Helper()
	kafka, redis := Embedded(tb)
	return append([]Pair{{Name: "embedded", Kafka: kafka, Redis: redis}}, realServers(tb)...)
}

// Embedded starts a pair that ends with the test.
func Embedded(tb testing.TB) (kafka, redis string) {
	tb.Helper()
	servers, err := embedded.Start(tb.Context(), embedded.Config{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := servers.Close(); err != nil {
			tb.Error(err)
		}
	})
	return servers.KafkaAddr, servers.RedisAddr
}

// Kafka returns the addresses of the real brokers.
func Kafka(tb testing.TB) string {
	tb.Helper()
	return address(tb, "AVAL_TEST_KAFKA")
}

// Redis returns the address of the real Redis.
func Redis(tb testing.TB) string {
	tb.Helper()
	return address(tb, "AVAL_TEST_REDIS")
}

// RedisClient returns a client as books want it: it repeats nothing by itself. It ends with the test.
func RedisClient(tb testing.TB, address string) redis.UniversalClient {
	tb.Helper()
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: strings.Split(address, ","), MaxRetries: -1})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Namespace returns a namespace that nobody has used on any server.
func Namespace(tb testing.TB) string {
	tb.Helper()
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		tb.Fatal(err)
	}
	return "t" + hex.EncodeToString(random[:])
}

func address(tb testing.TB, variable string) string {
	tb.Helper()
	value := os.Getenv(variable)
	if value == "" {
		tb.Fatalf("%s is not set: run `make test`, which starts real servers and sets it, or `make up` "+
			"and export what it prints as AVAL_TEST_KAFKA and AVAL_TEST_REDIS", variable)
	}
	return value
}
