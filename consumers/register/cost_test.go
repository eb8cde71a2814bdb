//go:build integration

package register_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/deploy/local/localtest"
)

// BenchmarkStore says what a certificate's story costs: CPU of this process and of Redis, and Redis' memory.
//
//	go test -tags integration -run - -bench Store -benchtime 200000x ./consumers/register
func BenchmarkStore(b *testing.B) {
	client := localtest.RedisClient(b, localtest.Redis(b))
	namespace := localtest.Namespace(b)
	r := register.New(client, config(namespace, time.Now()))
	const round = 20_000 // certificates of which the messages are in memory at a time
	before := stand(b, client)
	var own time.Duration
	next := map[source]int64{}
	for from := 0; from < b.N; from += round {
		b.StopTimer()
		l := issue(from, min(from+round, b.N))
		b.StartTimer()
		began := cpu(b)
		for _, s := range l.sources() {
			if _, ok := next[s]; !ok {
				if _, err := r.Resume(b.Context(), s.topic, s.partition); err != nil {
					b.Fatal(err)
				}
			}
			for len(l.history[s]) > 0 {
				n := min(500, len(l.history[s]))
				next[s] += int64(n)
				if err := r.Store(b.Context(), s.topic, s.partition, l.history[s][:n], mark(int(next[s]))); err != nil {
					b.Fatal(err)
				}
				l.history[s] = l.history[s][n:]
			}
		}
		own += cpu(b) - began
	}
	after := stand(b, client)
	n := float64(b.N)
	b.ReportMetric(float64(own.Microseconds())/n, "aval-µs/op")
	b.ReportMetric((after.cpu-before.cpu)*1e6/n, "redis-µs/op")
	b.ReportMetric((after.memory-before.memory)/n, "redis-B/op")
	b.StopTimer()
	var keys []string
	scan := client.Scan(b.Context(), 0, namespace+":*", 10_000).Iterator()
	for scan.Next(b.Context()) {
		keys = append(keys, scan.Val())
	}
	for len(keys) > 0 {
		n := min(1000, len(keys))
		client.Unlink(b.Context(), keys[:n]...)
		keys = keys[n:]
	}
}

// issue is the log of certificates that are issued, now.
func issue(from, to int) log {
	l := emptyLog()
	for i := from; i < to; i++ {
		d := newDeal(l, fmt.Sprintf("order-%d", i), int64(100+i))
		d.invite()
		d.offer(d.vouch(done, 0))
		d.answer("request-"+d.id(), d.request(), done, 0)
		d.certify(d.hold(done, 0))
	}
	for _, ins := range l.history {
		for i := range ins {
			ins[i].Time = time.Now()
		}
	}
	return l
}

type standing struct{ cpu, memory float64 }

func stand(b *testing.B, client redis.UniversalClient) standing {
	b.Helper()
	text, err := client.Info(b.Context(), "cpu", "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	var s standing
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "used_cpu_user", "used_cpu_sys":
			s.cpu += number
		case "used_memory":
			s.memory = number
		}
	}
	return s
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
