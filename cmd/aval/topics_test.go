package main_test

import (
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/schemas"
)

// TestTopicsCommands makes topics, finds them made, and describes what they hold.
func TestTopicsCommands(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			at := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", localtest.Namespace(t)}
			topicsCommands(t, at)
		})
	}
}

func topicsCommands(t *testing.T, at []string) {
	t.Helper()
	type topic struct {
		Topic, Carries, Key, Owner string
		Partitions, Replication    int
		Made                       bool
		Records                    int64
		RetentionMS                int64 `json:"retention_ms"`
		Readers                    []string
		Offsets                    []struct{ Partition, First, End int64 }
	}
	ask := func(wantCode int, verb string, args ...string) (found []topic, stderr string) {
		t.Helper()
		code, stdout, stderr := run(t, append(append([]string{"topics", verb, "-o", "json"}, args...), at...)...)
		if code != wantCode {
			t.Fatalf("aval topics %s ended with %d, want %d: %s", verb, code, wantCode, stderr)
		}
		if wantCode == exitDecided {
			if err := json.Unmarshal([]byte(stdout), &found); err != nil {
				t.Fatalf("aval topics %s printed %q: %v", verb, stdout, err)
			}
		}
		return found, stderr
	}
	if _, stderr := ask(exitUsage, "describe"); !strings.Contains(stderr, "there is no namespace") ||
		!strings.Contains(stderr, "aval topics create") {
		t.Errorf("of a namespace that is not there it says %q", stderr)
	}
	ask(exitFailed, "check")
	for _, round := range []bool{true, false} {
		found, _ := ask(exitDecided, "create", "--partitions", "3")
		if len(found) != len(schemas.Topics()) {
			t.Fatalf("it tells of %d topics, want %d", len(found), len(schemas.Topics()))
		}
		for i, want := range schemas.Topics() {
			if got := found[i]; !strings.HasSuffix(got.Topic, "."+want.Name) || got.Made != round ||
				got.Partitions != want.PartitionCount(3) || got.Replication < 1 {
				t.Errorf("it says of %s %+v", want.Name, got)
			}
		}
	}
	if _, stderr := ask(exitUsage, "create", "--partitions", "4"); !strings.Contains(stderr, "has 3") {
		t.Errorf("of other partitions it says %q", stderr)
	}
	if _, stderr := ask(exitUsage, "describe", "entires"); !strings.Contains(stderr, `"entires"`) ||
		!strings.Contains(stderr, "entries") {
		t.Errorf("of a topic that is none it says %q", stderr)
	}
	p := start(t, append([]string{"run", "--stages", "ledger"}, at...)...)
	p.awaitLog(t, "msg=running", 1)
	var entries []topic
	await(t, "three takeovers", func() bool {
		entries, _ = ask(exitDecided, "describe", "entries")
		return len(entries) == 1 && entries[0].Records == 3
	})
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
	e := entries[0]
	if e.RetentionMS != -1 || e.Carries != "Entry" || e.Owner != "ledger" || !slices.Contains(e.Readers, "routing") ||
		len(e.Offsets) != 3 || e.Offsets[2].Partition != 2 || e.Offsets[2].End != 1 {
		t.Errorf("of entries it says %+v", e)
	}
}
