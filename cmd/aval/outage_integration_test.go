//go:build integration

package main_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

// ownServers are a Kafka and a Redis that a test may stop.
type ownServers struct {
	name, kafka, redis string
}

// startServers starts servers that end with the test, or with its process: they live as long as a pipe to them.
func startServers(t *testing.T, options ...string) ownServers {
	t.Helper()
	s := ownServers{name: localtest.Namespace(t)}
	script := filepath.Join("..", "..", "deploy", "local", "servers")
	// Not the test's context: the end of its input ends it, and it tidies up.
	args := append([]string{"with", "--name", s.name}, options...)
	args = append(args, "--", "sh", "-c", `echo "$AVAL_TEST_KAFKA $AVAL_TEST_REDIS"; cat >/dev/null`)
	c := exec.CommandContext(context.WithoutCancel(t.Context()), script, args...)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("stop the servers: %v", err)
		}
	})
	if err != nil {
		t.Fatalf("start servers: %v", err)
	}
	s.kafka, s.redis, _ = strings.Cut(strings.TrimSpace(line), " ")
	return s
}

// do has the script do something to a server: kill, restart, pause, resume.
func (s ownServers) do(t *testing.T, verb, kind string) {
	t.Helper()
	script := filepath.Join("..", "..", "deploy", "local", "servers")
	text, err := exec.CommandContext(t.Context(), script, verb, kind, "1", "--name", s.name).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", verb, kind, err, text)
	}
}

// TestOutages takes Redis and Kafka away at the start and in the middle: the program waits, says so once, and
// goes on.
func TestOutages(t *testing.T) {
	t.Parallel()
	servers := startServers(t)
	at := []string{"--kafka", servers.kafka, "--redis", servers.redis}
	t.Run("nothing answers", func(t *testing.T) {
		servers.do(t, "kill", "kafka")
		servers.do(t, "kill", "redis")
		idle := start(t, append([]string{"run"}, at...)...)
		time.Sleep(4 * time.Second)
		if !idle.running() {
			t.Fatal("it does not wait")
		}
		idle.signal(t, syscall.SIGTERM)
		idle.wait(t)
		if n := idle.logged("msg=waiting cause=kafka"); n != 1 {
			t.Errorf("it says %d times that it waits for Kafka:\n%s", n, idle.stderr)
		}
		if spent := idle.cmd.ProcessState.UserTime() + idle.cmd.ProcessState.SystemTime(); spent > time.Second {
			t.Errorf("waiting took %v of the processor", spent)
		}
	})
	j := newJob(t, crowd(6, 3000), "1800")
	client := start(t, j.args(at...)...)
	client.awaitLog(t, "msg=waiting cause=kafka", 1)
	servers.do(t, "restart", "kafka")
	client.awaitLog(t, "waiting for redis", 1)
	time.Sleep(2 * time.Second) // in which it could say so again
	if client.logged("waiting for redis") != 1 || client.logged("msg=waiting cause=kafka") != 1 {
		t.Errorf("it says more than once that it waits:\n%s", client.stderr)
	}
	servers.do(t, "restart", "redis")

	faults := []func(){
		func() { flush(t, servers.redis) },
		func() { servers.do(t, "restart", "redis") },
		func() { servers.do(t, "pause", "redis"); time.Sleep(3 * time.Second); servers.do(t, "resume", "redis") },
		func() { servers.do(t, "pause", "kafka"); time.Sleep(3 * time.Second); servers.do(t, "resume", "kafka") },
		func() { servers.do(t, "restart", "kafka") },
		func() { servers.do(t, "kill", "redis"); time.Sleep(2 * time.Second); servers.do(t, "restart", "redis") },
	}
	for n, fault := range faults {
		client.awaitLog(t, `decide orders \d+/`, n+2) // another tenth of the orders is decided
		began := time.Now()
		fault()
		t.Logf("fault %d at %v took %v", n+1, began.Format(time.TimeOnly), time.Since(began).Round(time.Millisecond))
		if !client.running() {
			t.Fatalf("all was decided before fault %d", n+1)
		}
	}
	e := j.judge(t, client)
	checkTold(t, connect(t, servers.kafka, "aval"), e)
	saysOnce(t, client, len(faults))
	same(t, e, j.judge(t, start(t, j.args(at...)...)))
	stopsInTime(t, servers)
}

// saysOnce expects that nobody says more often that it waits than there are outages.
func saysOnce(t *testing.T, p *process, outages int) {
	t.Helper()
	form := regexp.MustCompile(
		`level=WARN msg=("[^"]*"|\w+)( (?:cause|stage|topic|partition|group|to|what)=("[^"]*"|\S+))*`)
	said := map[string]int{}
	for _, line := range form.FindAllString(p.stderr.String(), -1) {
		said[line]++
	}
	for line, times := range said {
		if times > outages {
			t.Errorf("it says %d times in %d outages: %s", times, outages, line)
		}
	}
	if len(said) == 0 {
		t.Error("it says nothing of the outages")
	}
}

func flush(t *testing.T, address string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: address})
	defer c.Close() //nolint:errcheck // it was only asked
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}
