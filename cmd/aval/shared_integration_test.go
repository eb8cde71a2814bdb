//go:build integration

package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

const (
	sharedRows  = 6000
	sharedFunds = "3500" // of each account: about half of what is asked for
	// pause is longer than a group waits for a silent member (6 s): the paused process comes back as a former
	// owner who does not know that it is one.
	pause = 9 * time.Second
)

// TestShared lets three processes share the stages of a namespace. While orders flow one of them is killed and one
// is paused until the others own what it owned.
func TestShared(t *testing.T) {
	t.Parallel()
	servers := []string{
		"--kafka", localtest.Kafka(t), "--redis", localtest.Redis(t), "--namespace", localtest.Namespace(t),
	}
	j := newJob(t, crowd(2, sharedRows), sharedFunds)
	stages := startStages(t, 3, servers)
	client := start(t, j.args(append(servers, "--attach")...)...)
	client.awaitLog(t, `decide orders \d+/`, 2)
	stages[0].kill(t)
	stages[1].signal(t, syscall.SIGSTOP)
	time.Sleep(pause)
	flowing := client.running()
	stages[1].signal(t, syscall.SIGCONT)
	if !flowing {
		t.Error("the orders were decided while the process was paused: it came back to nothing; use more of them")
	}
	first := j.judge(t, client)
	stopStages(t, stages[1:])

	stages = startStages(t, 3, servers)
	again := j.judge(t, start(t, j.args(append(servers, "--attach")...)...))
	same(t, first, again)
	stopStages(t, stages)
	log := connect(t, localtest.Kafka(t), servers[len(servers)-1])
	checkTold(t, log, again)
}

// startStages starts processes that share all stages.
func startStages(t *testing.T, n int, servers []string) (all []*process) {
	t.Helper()
	for range n {
		all = append(all, start(t, append([]string{"run"}, servers...)...))
	}
	for _, p := range all {
		p.awaitLog(t, "msg=running", 1)
	}
	return all
}

// stopStages asks processes to end, which they do in order and soon.
func stopStages(t *testing.T, all []*process) {
	t.Helper()
	began := time.Now()
	for _, p := range all {
		p.signal(t, syscall.SIGTERM)
	}
	for _, p := range all {
		if code := p.wait(t); code != exitDecided {
			t.Errorf("aval %s ended with %d when asked to:\n%s", p.name, code, tail(p.stderr.String(), 2000))
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the processes took %v to end", took)
	}
}
