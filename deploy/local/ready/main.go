// Ready ends well once Kafka and Redis really answer: every broker knows all the others, every partition of
// the group and transaction coordinators is loaded and in sync, every Redis has read its file. That the ports
// answer says little: right after a start the coordinators refuse what clients ask first.
//
//	ready -kafka 127.0.0.1:9092,... -brokers 3 -redis 127.0.0.1:6379,... -timeout 10s
//
//	reads   nothing
//	effect  makes Kafka create its internal topics
//	emits   what is still missing when the time is over, to standard error
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

const (
	tryTimeout = 2 * time.Second
	tryPause   = 50 * time.Millisecond
)

func main() {
	kafka := flag.String("kafka", "", "addresses of brokers, commas between")
	brokers := flag.Int("brokers", 1, "how many brokers must know each other")
	redis := flag.String("redis", "", "addresses of Redis servers, commas between")
	timeout := flag.Duration("timeout", 10*time.Second, "how long to wait")
	flag.Parse()

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	err := wait(ctx, split(*kafka), *brokers, split(*redis))
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "not ready:", err)
		os.Exit(1)
	}
}

// wait tries until all is ready, and returns what the last try lacked.
func wait(ctx context.Context, kafka []string, brokers int, redis []string) error {
	for {
		err := errors.Join(checkRedis(ctx, redis), checkKafka(ctx, kafka, brokers))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(tryPause):
		}
	}
}

func split(addresses string) []string {
	return strings.FieldsFunc(addresses, func(r rune) bool { return r == ',' })
}
