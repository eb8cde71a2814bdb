//go:build integration

package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	fourRows  = 3000
	fourFunds = "4000" // of each account: about half of what is asked for
)

// four are processes that share out the stages: each runs some, and together they run all.
type four struct {
	servers []string
	stages  []string
	running []*process
}

func startFour(t *testing.T, servers []string) *four {
	t.Helper()
	f := &four{servers: servers, running: make([]*process, 4), stages: []string{
		"ledger", "request", "invitation,routing,relay,funding", "certificate,advice,notice,register,deadletter",
	}}
	for i := range f.stages {
		f.start(t, i)
	}
	for _, p := range f.running {
		p.awaitLog(t, "msg=running", 1)
	}
	return f
}

func (f *four) start(t *testing.T, i int) {
	t.Helper()
	f.running[i] = start(t, append([]string{"run", "--stages", f.stages[i]}, f.servers...)...)
}

// stop asks one to end, as an operator does.
func (f *four) stop(t *testing.T, i int) {
	t.Helper()
	began := time.Now()
	f.running[i].signal(t, syscall.SIGTERM)
	code := f.running[i].wait(t)
	t.Logf("%s stopped within %v", f.stages[i], time.Since(began).Round(time.Millisecond))
	if code != exitDecided {
		t.Errorf("aval run --stages %s ended with %d when asked to", f.stages[i], code)
	}
	if n := f.running[i].logged("msg=stopped"); n != 1 {
		t.Errorf("aval run --stages %s says %d times that it stopped", f.stages[i], n)
	}
}

func (f *four) stopAll(t *testing.T) {
	t.Helper()
	for _, p := range f.running {
		p.signal(t, syscall.SIGTERM)
	}
	for i, p := range f.running {
		if code := p.wait(t); code != exitDecided {
			t.Errorf("aval run --stages %s ended with %d when asked to", f.stages[i], code)
		}
	}
}

// distinct is a file of orders of which none repeats or contradicts another one, with buyers of its own.
func distinct(name string, rows int) []byte {
	random := rand.New(rand.NewPCG(uint64(len(name)), 1))
	var text bytes.Buffer
	text.WriteString(head)
	for n := range rows {
		fmt.Fprintf(&text, "%s%06d,s%02d,%s%02d,%d.%02d,BRL,%s,%s\n", name, n, random.IntN(30), name, random.IntN(20),
			1+random.IntN(100), random.IntN(100), []string{"credit_card", "boleto"}[random.IntN(2)],
			[]string{"delivered", "delivered", "delivered", "canceled", "unavailable"}[random.IntN(5)])
	}
	return text.Bytes()
}

// TestFourProcesses lets four processes with stages of their own work on a file of orders. While it flows they are
// asked to stop, one after the other, and started again: nothing is lost, nothing is done twice, and where the group of
// a book stands is where its journal ends. Then, over another file, they are killed: each order is decided once.
func TestFourProcesses(t *testing.T) {
	t.Parallel()
	servers := []string{
		"--kafka", localtest.Kafka(t), "--redis", localtest.Redis(t), "--namespace", localtest.Namespace(t),
	}
	log := connect(t, localtest.Kafka(t), servers[len(servers)-1])
	f := startFour(t, servers)
	j := newJob(t, distinct("stopped", fourRows), fourFunds)
	client := start(t, j.args(append(servers, "--attach")...)...)
	for n, i := range []int{0, 3, 1, 2, 0, 1} {
		client.awaitLog(t, `decide orders \d+/`, n+1) // another tenth of the orders is decided
		if !client.running() {
			t.Fatalf("all was decided before stop %d", n+1)
		}
		f.stop(t, i)
		switch f.stages[i] {
		case "ledger":
			committedAtEnd(t, log, "ledger", schemas.TopicMovements, schemas.TopicEntries)
		case "request":
			committedAtEnd(t, log, "request", schemas.TopicIssuanceRequests, schemas.TopicPreIssues)
		}
		f.start(t, i)
	}
	e := j.judge(t, client)
	checkTold(t, log, e)
	f.stopAll(t)
	doneOnce(t, log)

	f = startFour(t, servers)
	j = newJob(t, distinct("killed", fourRows), fourFunds)
	client = start(t, j.args(append(servers, "--attach")...)...)
	for n, i := range []int{0, 1, 3, 2, 1, 0} {
		client.awaitLog(t, `decide orders \d+/`, n+1)
		f.running[i].kill(t)
		f.start(t, i)
	}
	j.judge(t, client)
	f.stopAll(t)
}

// committedAtEnd expects that what a book's group has committed is what its journal has answered.
func committedAtEnd(t *testing.T, log *client, group, commands, answers string) {
	t.Helper()
	marks, err := log.Committed(t.Context(), group, commands)
	if err != nil {
		t.Fatal(err)
	}
	for p, records := range records(t, log, answers) {
		var reader pipeline.Journal
		reader.Read(records)
		if marks[p].Offset != reader.To && (marks[p].Offset >= 0 || reader.To > 0) {
			t.Errorf("%s has committed %d of %s/%d, the journal answers up to %d", group, marks[p].Offset, commands,
				p, reader.To)
		}
	}
}

// doneOnce expects that no message was written twice, and no command decided twice.
func doneOnce(t *testing.T, log *client) {
	t.Helper()
	commands := 0
	for _, topic := range schemas.Topics() {
		seen, again := map[string]bool{}, 0
		for _, partition := range records(t, log, topic.Name) {
			for _, r := range partition {
				in, err := pipeline.Decode(r)
				if err != nil {
					t.Errorf("%s/%d/%d cannot be read: %v", r.Topic, r.Partition, r.Offset, err)
				}
				if seen[in.ID] {
					again++
				}
				seen[in.ID] = true
			}
		}
		if topic.Kind == schemas.KindCommand {
			commands += len(seen)
		}
		if again > 0 {
			t.Errorf("topic %s has %d records of messages that it had, of %d", topic.Name, again, len(seen))
		}
	}
	items := 0
	for _, topic := range []string{schemas.TopicEntries, schemas.TopicPreIssues} {
		all, skipped := journal(t, log, topic)
		if skipped > 0 {
			t.Errorf("%d records of %s do not count", skipped, topic)
		}
		for _, partition := range all {
			for _, in := range partition {
				items++
				if outcome := outcomeOf(in); outcome == schemas.Outcome_OUTCOME_REPEAT {
					t.Errorf("%s/%d/%d is a repeat", topic, in.Partition, in.Offset)
				}
			}
		}
	}
	if items != commands {
		t.Errorf("there are %d commands and %d answers", commands, items)
	}
}

// stopsInTime asks processes to stop while the broker does not answer: they end within the time that they have, and at
// once when they are asked again. Another one goes on where they were.
func stopsInTime(t *testing.T, s ownServers) {
	t.Helper()
	servers := []string{"--kafka", s.kafka, "--redis", s.redis, "--namespace", "stop"}
	begin := func() *process {
		return start(t, append([]string{"run", "--drain-timeout", "5s"}, servers...)...)
	}
	stages := begin()
	stages.awaitLog(t, "msg=running", 1)
	j := newJob(t, distinct("hung", fourRows/2), fourFunds)
	client := start(t, j.args(append(servers, "--attach")...)...)

	client.awaitLog(t, `decide orders \d+/`, 2)
	s.do(t, "pause", "kafka")
	time.Sleep(500 * time.Millisecond) // in which something is on its way
	began := time.Now()
	stages.signal(t, syscall.SIGTERM)
	stages.wait(t)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v to stop, allowed were 5 s:\n%s", took, stages.stderr)
	}
	s.do(t, "resume", "kafka")

	stages = begin()
	stages.awaitLog(t, "msg=running", 1)
	client.awaitLog(t, `decide orders \d+/`, client.logged(`decide orders \d+/`)+1)
	s.do(t, "pause", "kafka")
	time.Sleep(500 * time.Millisecond)
	stages.signal(t, syscall.SIGTERM)
	stages.awaitLog(t, `msg="stopping`, 1)
	began = time.Now()
	stages.signal(t, syscall.SIGTERM)
	code := stages.wait(t)
	if took := time.Since(began); code != -1 || took > 2*time.Second {
		t.Errorf("asked again, it ended with %d after %v", code, took)
	}
	s.do(t, "resume", "kafka")

	stages = begin()
	j.judge(t, client)
	stopStages(t, []*process{stages})
}
