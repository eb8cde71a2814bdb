//go:build !integration

package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// server returns the address of a broker that the test has to itself, or shares under its own namespace.
func server(tb testing.TB) string {
	tb.Helper()
	return fake(tb).ListenAddrs()[0]
}

// fake starts a broker in the process.
func fake(tb testing.TB, options ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
	}, options...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cluster.Close)
	return cluster
}
