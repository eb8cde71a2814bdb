package main_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

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

// TestUnsafeTopics has topics altered, grown and removed behind the program's back: who would run on them does not
// start, and who would use them is told.
func TestUnsafeTopics(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			namespace := localtest.Namespace(t)
			at := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace}
			unsafeTopics(t, newAdmin(t, pair.Kafka), connect(t, pair.Kafka, namespace), namespace, at)
		})
	}
}

func unsafeTopics(t *testing.T, kafka admin, log *client, namespace string, at []string) {
	t.Helper()
	refused := func(want []string, args ...string) {
		t.Helper()
		code, _, stderr := run(t, append(args, at...)...)
		for _, text := range want {
			if code != exitUsage || !strings.Contains(stderr, text) {
				t.Errorf("aval %q ended with %d and says nothing of %q:\n%s", args, code, text, stderr)
			}
		}
	}
	p := start(t, append([]string{"run", "--partitions", "2"}, at...)...)
	await(t, "takeovers", func() bool {
		if p.logged("msg=running") == 0 {
			return false
		}
		_, end, err := log.Bounds(t.Context(), schemas.TopicEntries, 1)
		return err == nil && end > 0
	})
	p.signal(t, syscall.SIGTERM)
	p.wait(t)

	back := kafka.alter(t, kmsg.ConfigResourceTypeTopic, namespace+".entries", "cleanup.policy", "compact")
	refused([]string{
		"since money could be lost (--dev starts all the same):",
		"topic " + namespace + ".entries has cleanup.policy=compact, must be delete",
		"--entity-name " + namespace + ".entries --add-config cleanup.policy=delete",
	}, "run")
	if code, stdout, _ := run(t, append([]string{"topics", "check"}, at...)...); code != exitFailed ||
		!regexp.MustCompile(`entries +cleanup.policy +compact +delete +kafka-configs`).MatchString(stdout) {
		t.Errorf("aval topics check ended with %d and printed\n%s", code, stdout)
	}
	back()

	kafka.remove(t, namespace+".receipts")
	absent := "there is no topic " + namespace + ".receipts: `aval topics create` makes it"
	refused([]string{absent}, "account", "list")
	if code, stdout, _ := run(t, append([]string{"topics", "check"}, at...)...); code != exitFailed ||
		!strings.Contains(stdout, "aval topics create") {
		t.Errorf("aval topics check ended with %d and printed\n%s", code, stdout)
	}
	if code, _, stderr := run(t, append([]string{"topics", "create"}, at...)...); code != exitDecided {
		t.Errorf("aval topics create ended with %d: %s", code, stderr)
	}

	kafka.grow(t, namespace+".entries", 3)
	other := "topic " + namespace + ".entries has partitions=3, must be 2"
	refused([]string{other, "--namespace"}, "account", "list")
	refused([]string{"since money could be lost:", other}, "run")
	for _, topic := range schemas.Topics() { // all agree, but not with what takeovers recorded
		if topic.Keyed() && topic.Name != schemas.TopicEntries {
			kafka.grow(t, namespace+"."+topic.Name, 3)
		}
	}
	refused([]string{other, "topic " + namespace + ".movements has partitions=3, must be 2"}, "run", "--dev")
}
