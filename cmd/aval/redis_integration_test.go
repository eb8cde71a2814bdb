//go:build integration

package main_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// startRedis starts a Redis that ends with the test.
func startRedis(t *testing.T, options ...string) (address string, client *redis.Client) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	args := append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "", "--appendonly", "yes",
	}, options...)
	server := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", args...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // it was killed, and says so
	})
	client = redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { _ = client.Close() })
	await(t, "a Redis at "+address, func() bool { return client.Ping(t.Context()).Err() == nil })
	return address, client
}

// startCluster starts a Redis cluster of three masters.
func startCluster(t *testing.T) (addresses []string, masters []*redis.Client) {
	t.Helper()
	const slots, count = 16384, 3
	for n := range count {
		// The port of the cluster's bus is free as likely as that of the server.
		address, client := startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		addresses, masters = append(addresses, address), append(masters, client)
		from, to := n*slots/count, (n+1)*slots/count-1
		if err := client.ClusterAddSlotsRange(t.Context(), from, to).Err(); err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(addresses[0], ":")
		if err := client.ClusterMeet(t.Context(), host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, client := range masters {
		await(t, "the cluster", func() bool {
			info, err := client.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(count))
		})
	}
	return addresses, masters
}

// setRedis changes a setting of a Redis, and returns what takes it back.
func setRedis(t *testing.T, client *redis.Client, setting, value string) (back func()) {
	t.Helper()
	before, err := client.ConfigGet(t.Context(), setting).Result()
	if err == nil {
		err = client.ConfigSet(t.Context(), setting, value).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := client.ConfigSet(t.Context(), setting, before[setting]).Err(); err != nil {
			t.Fatal(fmt.Errorf("set %s back: %w", setting, err))
		}
	}
}
