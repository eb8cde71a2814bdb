package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/aval-systems/aval/pipeline/embedded"
)

// childDir tells a copy of the test binary to be the process that is killed.
const childDir = "AVAL_TEST_EMBEDDED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

func child(dir string) {
	s, err := embedded.Start(context.Background(), embedded.Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = fmt.Fprintln(os.Stdout, s.KafkaAddr)
	select {}
}

func TestStateSurvives(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, dir string) (kafka string, stop func()){
		"a close": func(t *testing.T, dir string) (string, func()) {
			t.Helper()
			s := start(t, embedded.Config{Dir: dir})
			return s.KafkaAddr, func() { closeServers(t, s) }
		},
		"a kill": startChild,
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			kafka, stop := begin(t, dir)
			createTopic(t, kafka)
			produce(t, kafka, 0, 100)
			consume(t, kafka, 0, 60)
			produce(t, kafka, 100, 120)
			stop()

			s := start(t, embedded.Config{Dir: dir})
			produce(t, s.KafkaAddr, 120, 130)
			consume(t, s.KafkaAddr, 60, 130)
			closeServers(t, s)
		})
	}
}

func TestDirectoryHasOneUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "some", "data")
	first := start(t, embedded.Config{Dir: dir})
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("Stat(%s) = %v, %v; want mode 0700", dir, info, err)
	}
	began := time.Now()
	second, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	want := fmt.Sprintf("%s is in use by process %d; stop that one, or name another directory",
		dir, os.Getpid())
	if second != nil || err == nil || err.Error() != want {
		t.Fatalf("Start on a directory in use = %v, %v; want %q", second, err, want)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("Start on a directory in use waited %v for it, want 2s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := embedded.Start(ctx, embedded.Config{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start under a context that has ended = %v, want %v", err, context.Canceled)
	}
	closeServers(t, first)
	closeServers(t, start(t, embedded.Config{Dir: dir}))
}

// TestStartAwaitsTheDead starts on a directory whose user has not let go of it yet.
func TestStartAwaitsTheDead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first := start(t, embedded.Config{Dir: dir})
	closed := make(chan error)
	began := time.Now()
	const lag = 300 * time.Millisecond
	time.AfterFunc(lag, func() { closed <- first.Close() })
	second, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	took := time.Since(began)
	if err := <-closed; err != nil {
		t.Errorf("Close() = %v", err)
	}
	if err != nil {
		t.Fatalf("Start on a directory that is given free after %v: %v", lag, err)
	}
	if took < lag {
		t.Errorf("Start took %v, while the directory was in use for %v", took, lag)
	}
	closeServers(t, second)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	first := start(t, embedded.Config{})
	given := embedded.Config{Kafka: first.KafkaAddr, Redis: first.RedisAddr}
	if s, err := embedded.Start(t.Context(), given); err == nil {
		t.Fatalf("Start on addresses in use = %v, want an error", s)
	}
	for _, address := range []string{"0.0.0.0:0", "localhost:0", ":9092", "192.0.2.1:0", "no address"} {
		for _, c := range []embedded.Config{{Kafka: address}, {Redis: address}} {
			s, err := embedded.Start(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), "loopback") {
				t.Errorf("Start(%+v) = %v, %v; want an error that asks for a loopback address", c, s, err)
			}
		}
	}
	closeServers(t, first)
	again := start(t, given)
	if again.KafkaAddr != given.Kafka || again.RedisAddr != given.Redis {
		t.Errorf("Start(%+v) listens on %s and %s", given, again.KafkaAddr, again.RedisAddr)
	}
	closeServers(t, again)
}

func TestBrokerTakesWhatJournalsNeed(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{})
	createTopic(t, s.KafkaAddr)
	client := newClient(t, s.KafkaAddr, kgo.ProducerBatchMaxBytes(6<<20))
	record := &kgo.Record{Topic: topic, Value: make([]byte, 4<<20)}
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Errorf("write a record of 4 MiB: %v", err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "unknown"}).FirstErr(); err == nil {
		t.Error("a topic that nobody created took a record")
	}
	client.Close()
	closeServers(t, s)
}

func TestRedisAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.RedisAddr)
	if err != nil {
		t.Fatal(err)
	}
	if answer := ask(t, conn, "PING"); answer != "+PONG" {
		t.Errorf("PING = %q", answer)
	}
	closeServers(t, s) // under an open connection
	_ = conn.Close()
}

func TestRedisForgetsInTime(t *testing.T) {
	t.Parallel()
	began := time.Now()
	s := start(t, embedded.Config{})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.RedisAddr)
	if err != nil {
		t.Fatal(err)
	}
	const short, long = 1500 * time.Millisecond, time.Hour
	ask(t, conn, "SET", "long", "1", "PX", strconv.FormatInt(long.Milliseconds(), 10))
	ask(t, conn, "SET", "short", "1", "PX", strconv.FormatInt(short.Milliseconds(), 10))
	ask(t, conn, "SET", "ever", "1")
	for ask(t, conn, "EXISTS", "short") == ":1" {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("a key of %v is still there after %v", short, time.Since(began))
		}
		time.Sleep(10 * time.Millisecond)
	}
	millis, err := strconv.ParseInt(strings.TrimPrefix(ask(t, conn, "PTTL", "long"), ":"), 10, 64)
	aged := long - time.Duration(millis)*time.Millisecond
	if took := time.Since(began); err != nil || aged < short || aged > took {
		t.Errorf("a key has aged by %v in %v, %v", aged, took, err)
	}
	if answer := ask(t, conn, "PTTL", "ever"); answer != ":-1" {
		t.Errorf("PTTL of a key without an end = %q", answer)
	}
	_ = conn.Close()
	closeServers(t, s)
}

// ask gives Redis a command, and returns its answer of one line.
func ask(t *testing.T, conn net.Conn, words ...string) string {
	t.Helper()
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write([]byte(command.String())); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return strings.TrimSpace(answer)
}

func start(t *testing.T, c embedded.Config) *embedded.Servers {
	t.Helper()
	s, err := embedded.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func closeServers(t *testing.T, s *embedded.Servers) {
	t.Helper()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
}

// startChild starts the servers in a process of its own, and returns a stop that gives it no time to tidy up.
func startChild(t *testing.T, dir string) (kafka string, stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the child's address: %v", err)
	}
	_, err = embedded.Start(t.Context(), embedded.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(cmd.Process.Pid)) {
		t.Fatalf("Start on the child's directory: %v; want an error naming process %d", err, cmd.Process.Pid)
	}
	return strings.TrimSpace(line), func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed, and says so
	}
}

const topic, group = "things", "readers"

func newClient(t *testing.T, kafka string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(kafka))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func createTopic(t *testing.T, kafka string) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, 1, 1
	request.Topics = append(request.Topics, wanted)
	client := newClient(t, kafka)
	defer client.Close()
	response, err := request.RequestWith(t.Context(), client)
	if err != nil || response.Topics[0].ErrorCode != 0 {
		t.Fatalf("create a topic: %+v, %v", response, err)
	}
}

// produce writes the numbers from one up to before another.
func produce(t *testing.T, kafka string, from, to int) {
	t.Helper()
	client := newClient(t, kafka)
	defer client.Close()
	for n := from; n < to; n++ {
		record := &kgo.Record{Topic: topic, Value: strconv.AppendInt(nil, int64(n), 10)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
	}
}

// consume expects the numbers from where the group stands, and commits them.
func consume(t *testing.T, kafka string, from, to int) {
	t.Helper()
	client := newClient(t, kafka, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit())
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got, want []string
	for n := from; n < to; n++ {
		want = append(want, strconv.Itoa(n))
	}
	for len(got) < len(want) {
		fetches := client.PollRecords(ctx, len(want)-len(got))
		if err := fetches.Err(); err != nil {
			t.Fatalf("read after %v: %v", got, err)
		}
		if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
			t.Fatalf("commit: %v", err)
		}
		for _, r := range fetches.Records() {
			got = append(got, string(r.Value))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the group read %v, want %v", got, want)
	}
}
