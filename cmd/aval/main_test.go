// Package main_test runs the program as its users do, over the embedded servers and, with the build tag
// integration, over real ones, and judges what it says by rules of its own.
package main_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	binaryVariable = "AVAL_TEST_BINARY" // set by TestMain: the program that was built
	patience       = 2 * time.Minute    // how long a program may take that should end by itself
)

// Exit codes, as the program documents them.
const (
	exitDecided = 0
	exitFailed  = 1
	exitUsage   = 2
	exitInvalid = 3
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv(childVariable) != "" {
		return childMain()
	}
	dir, err := os.MkdirTemp("", "aval-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system tidies its temporary folder up, too
	binary := filepath.Join(dir, "aval")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the program:", err)
		return 1
	}
	if err := os.Setenv(binaryVariable, binary); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Most of the time a test waits for others: for a group to notice a member's end, for a server to come back.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// process is the program at work.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	ended  chan struct{}
}

// start starts the program; it ends with the test at the latest.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith starts the program with more variables than it would have.
func startWith(t *testing.T, variables []string, args ...string) *process {
	t.Helper()
	p := &process{
		name: strings.Join(args, " "), stdout: &output{}, stderr: &output{}, ended: make(chan struct{}),
		cmd: exec.CommandContext(t.Context(), os.Getenv(binaryVariable), args...),
	}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.Env = append(append(environment(), "GOMAXPROCS=2"), variables...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // what it ended with is in its state
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("aval %s, the end of what it logged:\n%s", p.name, tail(p.stderr.String(), 3000))
		}
	})
	return p
}

// environment is the tests' own without the settings of whoever runs them.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "AVAL_") && !strings.HasPrefix(pair, "AVAL_TEST_")
	})
}

// wait waits until the program has ended by itself, and returns its exit code, -1 after a signal.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // it tells what it is waiting for
		<-p.ended
		t.Fatalf("aval %s did not end within %v:\n%s", p.name, patience, tail(p.stderr.String(), 20000))
	}
	return p.cmd.ProcessState.ExitCode()
}

// running says whether the program has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to aval %s: %v", s, p.name, err)
	}
}

// kill ends the program as a power cut does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// awaitLog waits until what the program logged holds the text so many times.
func (p *process) awaitLog(t *testing.T, form string, times int) {
	t.Helper()
	await(t, fmt.Sprintf("%d × %q in the log of aval %s", times, form, p.name), func() bool {
		return p.logged(form) >= times || !p.running() // without it, the caller finds it ended
	})
}

func (p *process) logged(form string) int {
	return len(regexp.MustCompile(form).FindAllString(p.stderr.String(), -1))
}

// run runs the program until it has ended.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := start(t, args...)
	code = p.wait(t)
	return code, p.stdout.String(), p.stderr.String()
}

// runWith runs the program with more variables.
func runWith(t *testing.T, variables []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := startWith(t, variables, args...)
	code = p.wait(t)
	return code, p.stdout.String(), p.stderr.String()
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// output collects what a program writes, while others look at it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func tail(text string, size int) string {
	if len(text) > size {
		return "…" + text[len(text)-size:]
	}
	return text
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
