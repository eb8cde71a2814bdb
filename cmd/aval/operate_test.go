package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// TestOperate has an operator look after a system that works: what happened to an account, what nobody could read, who
// owns the shards, and whether everything holds.
func TestOperate(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t, pair)
			r.start(t)
			account := "AVALBRSP/0001-7"
			r.done(t, "account", "open", account, "--holder", "maria", "--funds", "100.00", "--currency", "BRL")
			r.done(t, "account", "credit", account, "--amount", "5", "--currency", "BRL", "--id", "c1")
			between := time.Now().UTC()
			time.Sleep(50 * time.Millisecond)
			r.done(t, "account", "debit", account, "--amount", "7.50", "--currency", "BRL", "--id", "d1")
			more := []string{"account", "debit", account, "--amount", "900", "--currency", "BRL", "--id", "d2"}
			r.fails(t, 3, "insufficient", more...)
			r.history(t, account, between)
			r.letters(t)
			r.invariants(t)
			r.shards(t)
		})
	}
}

// done expects a command to succeed, and returns what it printed.
func (r *running) done(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := r.run(t, args...)
	if code != 0 {
		t.Fatalf("aval %s: %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// fails expects a command to end with a code, and to say why.
func (r *running) fails(t *testing.T, want int, why string, args ...string) {
	t.Helper()
	if code, stdout, stderr := r.run(t, args...); code != want || !strings.Contains(stdout+stderr, why) {
		t.Errorf("aval %s: %d, want %d and %q\n%s%s", strings.Join(args, " "), code, want, why, stdout, stderr)
	}
}

// parse reads what a command printed as JSON.
func parse[V any](t *testing.T, text string) (v V) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

func (r *running) history(t *testing.T, account string, between time.Time) {
	t.Helper()
	type view struct {
		Verb, Outcome, Reason, ID string
		After                     struct {
			Available struct {
				MinorUnits int64 `json:"minor_units"`
			}
		}
	}
	told := func(views []view) string {
		var lines []string
		for _, v := range views {
			lines = append(lines, fmt.Sprintf("%s %s%s %d", v.Verb, v.Outcome, v.Reason, v.After.Available.MinorUnits))
		}
		return strings.Join(lines, ", ")
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "open done 10000, credit done 10500, debit done 9750"},
		{[]string{"--all"}, "open done 10000, credit done 10500, debit done 9750, debit refusedinsufficient 9750"},
		{[]string{"--at", between.Format(time.RFC3339Nano)}, "open done 10000, credit done 10500"},
	} {
		out := r.done(t, append([]string{"account", "history", account, "-o", "json"}, c.flags...)...)
		if got := told(parse[[]view](t, out)); got != c.want {
			t.Errorf("history %v is\n%s, want\n%s", c.flags, got, c.want)
		}
	}
	if out := r.done(t, "account", "history", account); !strings.Contains(out, "ledger 97.50, frozen 0.00 BRL") {
		t.Errorf("the table of a history lacks its last balance:\n%s", out)
	}
	if out := r.done(t, "account", "history", "genesis/BRL"); strings.Count(out, "\n") != 4 {
		t.Errorf("the history of the book's own account is\n%s", out)
	}
	r.fails(t, 3, "nothing happened", "account", "history", "AVALBRSP/9")
	r.fails(t, 3, "nothing happened", "account", "history", account, "--at", "2001-01-01T00:00:00Z")
	r.fails(t, 2, "is no account", "account", "history", "nobody")
	r.fails(t, 2, "must be a time", "account", "history", account, "--at", "yesterday")
}

// letters plants what nobody can read, and does with it all that can be done.
func (r *running) letters(t *testing.T) {
	t.Helper()
	log := connect(t, r.pair.Kafka, r.namespace)
	value := "\x1b[2J\x00 4111 4111111111111111 end"
	garbage := pipeline.Record{
		Topic: schemas.TopicMovements, Partition: -1, Key: []byte("k"), Value: []byte(value),
		Headers: []pipeline.Header{{Key: "\x07bell", Value: []byte("5500005555555559")}},
	}
	if err := log.Publish(t.Context(), []pipeline.Record{garbage, garbage}); err != nil {
		t.Fatal(err)
	}
	type view struct{ Letter, State, Value, Outcome string }
	var all []view
	await(t, "two letters", func() bool {
		all = parse[[]view](t, r.done(t, "deadletter", "list", "-o", "json"))
		return len(all) == 2
	})
	one, other := all[0].Letter, all[1].Letter
	for _, out := range []string{
		r.done(t, "deadletter", "show", one), r.done(t, "deadletter", "show", one, "-o", "json"),
		r.done(t, "deadletter", "show", one, "--bytes", "17"),
	} {
		told := strings.Contains(out, "41111111") || strings.Contains(out, "55000055")
		if strings.ContainsAny(out, "\x1b\x00\x07") || told {
			t.Errorf("a letter is shown unsafely: %q", out)
		}
	}
	if out := r.done(t, "deadletter", "show", one); !strings.Contains(out, `\x1b[2J\x00 4111 ************1111 end`) {
		t.Errorf("a letter is shown as\n%s", out)
	}
	act := func(args ...string) string {
		return parse[[]view](t, r.done(t, append(append([]string{"deadletter"}, args...), "-o", "json")...))[0].Outcome
	}
	if got := act("discard", other, "--note", "a test", "--by", "joan"); got != "discarded" {
		t.Errorf("a letter that is discarded is %s", got)
	}
	if got := act("redrive", one); got != "redriven" {
		t.Errorf("a letter that is redriven is %s", got)
	}
	if got := act("redrive", one); got != "unchanged" {
		t.Errorf("a letter that is redriven twice is %s", got)
	}
	await(t, "a letter again, since nothing was mended", func() bool {
		all = parse[[]view](t, r.done(t, "deadletter", "list", "-o", "json"))
		return len(all) == 1 && all[0].Letter != one && all[0].Letter != other
	})
	if all := parse[[]view](t, r.done(t, "deadletter", "list", "--all", "-o", "json")); len(all) != 3 {
		t.Errorf("%d letters are listed of all 3", len(all))
	}
	if out := r.done(t, "deadletter", "show", other); !strings.Contains(out, "by joan at ") {
		t.Errorf("who discarded the letter is not shown:\n%s", out)
	}
	acts := 0
	for _, m := range messages[*schemas.Act](t, log, schemas.TopicAudits) {
		if acts++; m.body.GetBy() == "" || m.body.GetSubject() == "" {
			t.Errorf("an act is %v", m.body)
		}
	}
	if acts != 2 {
		t.Errorf("%d acts are on the topic audits, want 2", acts)
	}
	r.fails(t, 3, "there is no dead letter", "deadletter", "show", "movements/0/99999")
	r.fails(t, 2, "is no dead letter", "deadletter", "redrive", "movements/x/1")
	r.fails(t, 2, "name the letters", "deadletter", "redrive")
	r.redriveMended(t, log)
}

// redriveMended redrives what can be read: a command under another key than its message's is a letter, and mended only
// by who writes it. One that the log has at a place where nobody could read it is done once, however often it comes.
func (r *running) redriveMended(t *testing.T, log *client) {
	t.Helper()
	account := "AVALBRSP/0002-5"
	sound := encode(t, schemas.TopicMovements, "late", &schemas.Movement{
		Account: account, Verb: &schemas.Movement_Open{Open: deposit("maria", "BRL", 100)},
	})
	original := pipeline.UnreadableOf(sound, "nobody could read it then")
	letter := encode(t, schemas.TopicDeadLetters, "a-letter", &schemas.DeadLetter{
		Topic: schemas.TopicMovements, Partition: 0, Offset: 1 << 40, Original: original, // the log keeps it no longer
	})
	if err := log.Publish(t.Context(), []pipeline.Record{letter}); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("movements/0/%d", int64(1)<<40)
	r.done(t, "deadletter", "redrive", name)
	r.done(t, "deadletter", "redrive", name, "--again")
	await(t, "the account", func() bool {
		code, out, _ := r.run(t, "account", "history", account, "--all", "-o", "json")
		return code == 0 && strings.Contains(out, `"done"`) && strings.Contains(out, `"repeat"`)
	})
}

func (r *running) invariants(t *testing.T) {
	t.Helper()
	type report struct {
		Checked    []string
		Records    int64
		Violations []struct{ Invariant, Where, What string }
	}
	code, stdout, stderr := r.run(t, "invariants", "-o", "json")
	got := parse[report](t, stdout)
	if code != 1 || len(got.Checked) < 13 || got.Records == 0 || len(got.Violations) != 9 {
		t.Errorf("aval invariants: %d\n%+v\n%s", code, got, stderr)
	}
	for _, v := range got.Violations { // the cards' numbers that were planted
		if v.Invariant != "I-14" {
			t.Errorf("%s at %s does not hold: %s", v.Invariant, v.Where, v.What)
		}
	}
	r.fails(t, 1, "9 violations", "invariants", "--watch")
	r.fails(t, 2, "contradict", "invariants", "--watch", "--at-rest")
	r.fails(t, 2, "must be above 0", "invariants", "--watch", "--every", "0s")
}

// What a demo left in a folder is looked at without servers.
func TestOperateFolder(t *testing.T) {
	t.Parallel()
	j := newJob(t, crowd(4, 60), crowdFunds)
	folder := []string{"--data-dir", j.path("data")}
	j.judge(t, start(t, j.args(folder...)...))
	look := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t, append(args, folder...)...)
		if code != want {
			t.Errorf("aval %s: %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout, stderr)
		}
		return stdout
	}
	if out := look(0, "invariants", "--progress", "none"); !strings.Contains(out, "invariants hold") {
		t.Errorf("aval invariants says %q", out)
	}
	if out := look(0, "deadletter", "list", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("the dead letters of a demo are %s", out)
	}
	look(3, "account", "history", "AVALBRSP/nobody")
	look(2, "invariants", "--kafka", "localhost:1")
	folder = []string{"--data-dir", t.TempDir()}
	look(2, "invariants")
}

func (r *running) shards(t *testing.T) {
	t.Helper()
	type shard struct {
		Book, Owner, State string
		Shard              int
		Epoch, Position    int64
		JournalDigest      string `json:"journal_digest"`
		RedisDigest        string `json:"redis_digest"`
		LagRecords         int64  `json:"lag_records"`
		Recovery           struct{ Cause string }
	}
	level := func(text string) (all []shard) {
		await(t, "all shards to be level", func() bool {
			all = parse[[]shard](t, r.done(t, "shard", "list", "-o", "json"))
			for _, s := range all {
				if s.State != "level" || s.JournalDigest != s.RedisDigest || s.Owner == "" || s.LagRecords != 0 ||
					s.Recovery.Cause != text {
					return false
				}
			}
			return len(all) == 6
		})
		return all
	}
	decided := int64(0)
	for _, s := range level("as-it-was") { // an empty Redis is where an empty journal ends
		decided += s.Position
	}
	if decided < 6 {
		t.Errorf("the shards have decided %d commands, want more", decided)
	}
	if out := r.done(t, "shard", "show", "accounts/1"); !strings.Contains(out, "accounts/1") ||
		!strings.Contains(out, "REDIS DIGEST") {
		t.Errorf("a shard is shown as\n%s", out)
	}
	r.fails(t, 3, "there is no shard", "shard", "show", "accounts/3")
	r.fails(t, 2, "is no shard", "shard", "show", "accounts")
	r.fails(t, 2, "there is no book", "shard", "list", "--book", "ledger")
}
