package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	inviteHeader  = "receiving_account,seller,reference,buyer,amount,currency,issuing_account\n"
	inviteAccount = "AVALBRSP/0001-7"
)

func inviteRow(reference string) string {
	return inviteAccount + ",maria," + reference + ",joao,1.00,BRL,AVALBRSP/0002-5\n"
}

// inviting is a running system with a seller's account and a directory.
func inviting(t *testing.T, pair localtest.Pair) *running {
	t.Helper()
	r := newRunning(t, pair)
	r.publishDirectory(t, "AVALBRSP")
	r.start(t)
	code, _, stderr := r.run(t, "account", "open", inviteAccount, "--holder", "maria", "--currency", "BRL")
	if code != 0 {
		t.Fatal(stderr)
	}
	return r
}

// inviteSummary is what aval invite prints as JSON.
type inviteSummary struct {
	Rows, Sent, Invalid, Offered, Issued, Refused, Undecided, Resumed int
	Directory                                                         uint64 `json:"directory_version"`
}

func readInviteSummary(t *testing.T, text string) inviteSummary {
	t.Helper()
	var s inviteSummary
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%q is no summary: %v", text, err)
	}
	return s
}

// TestInvite hands files in and waits for what becomes of their rows; a second time changes nothing.
func TestInvite(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := inviting(t, pair)
			dir := t.TempDir()
			file, report := filepath.Join(dir, "rows.csv"), filepath.Join(dir, "report.csv")
			writeFile(t, file, []byte(inviteHeader+inviteRow("r1")+
				strings.Replace(inviteRow("r2"), "1.00", "1.001", 1)+
				strings.Replace(inviteRow("r3"), inviteAccount, "AVALBRSP/absent", 1)+
				strings.Replace(inviteRow("r4"), "AVALBRSP/0002-5", "NOBKBRSP/0002-5", 1)+inviteRow("r5")))
			want := []string{
				"2,r1,offered,", "3,r2,invalid,\"amount has 3 digits after the point, BRL has 2\"",
				"4,r3,refused,account-unknown", "5,r4,refused,issuing-bank-unknown", "6,r5,offered,",
			}
			var before books
			for _, way := range []string{"at first", "again"} {
				code, stdout, stderr := r.run(t, "invite", file, "--report", report, "--wait", "-o", "json")
				s := readInviteSummary(t, stdout)
				if want := (inviteSummary{
					Rows: 5, Sent: 4, Invalid: 1, Offered: 2, Refused: 2, Directory: 1,
				}); s != want || code != exitInvalid {
					t.Errorf("%s it ended with %d: %+v, want %+v", way, code, s, want)
				}
				for _, text := range []string{
					"line 3: amount has 3 digits", "of 5 rows, 1 invalid and 2 refused: " + report + " says which",
				} {
					if !strings.Contains(stderr, text) {
						t.Errorf("%s it says nothing of %q: %s", way, text, stderr)
					}
				}
				for i, line := range strings.Split(strings.TrimSpace(string(readFile(t, report))), "\n")[1:] {
					fields := strings.SplitN(line, ",", 4)
					if got := fields[0] + "," + fields[1] + "," + strings.TrimSuffix(fields[3], ","); got != want[i] {
						t.Errorf("%s row %d is told as %s, want %s", way, i, line, want[i])
					}
				}
				now := readBooks(t, connect(t, pair.Kafka, r.namespace))
				if before != nil {
					before.gainedNothing(t, now)
				}
				before = now
			}
		})
	}
}

// TestInviteCut kills a run that hands many rows in, and starts it again until it ends by itself.
func TestInviteCut(t *testing.T) {
	t.Parallel()
	const rows = 60000
	var text strings.Builder
	text.WriteString(inviteHeader)
	for i := range rows {
		text.WriteString(inviteRow(fmt.Sprint("r", i)))
	}
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t, pair)
			r.publishDirectory(t, "AVALBRSP")
			dir := t.TempDir()
			file, report := filepath.Join(dir, "rows.csv"), filepath.Join(dir, "report.csv")
			writeFile(t, file, []byte(text.String()))
			args := r.args("invite", file, "--report", report, "--progress", "plain", "-o", "json")
			told := func() int64 {
				info, err := os.Stat(report)
				if err != nil {
					return 0
				}
				return info.Size()
			}
			cuts := 0
			for ; ; cuts++ {
				before := told()
				p := start(t, args...)
				await(t, "some rows told", func() bool { return !p.running() || told() > before+64<<10 })
				if cuts%2 == 1 && p.running() {
					p.signal(t, os.Interrupt)
					if code := p.wait(t); code != 0 && (code != exitFailed ||
						!strings.Contains(p.stderr.String(), "the same again goes on after what "+report+" tells")) {
						t.Errorf("interrupted, it ended with %d: %s", code, p.stderr.String())
					}
				}
				if cuts > 3 {
					p.wait(t)
				}
				p.kill(t)
				if p.cmd.ProcessState.ExitCode() == 0 {
					s := readInviteSummary(t, p.stdout.String())
					if s.Rows != rows || s.Sent != rows || cuts > 1 && s.Resumed == 0 {
						t.Errorf("after %d cuts %+v", cuts, s)
					}
					break
				}
			}
			wantReport(t, string(readFile(t, report)), rows)
			r.wantInvitations(t, rows)
		})
	}
}

// wantReport fails the test unless a report tells each row of TestInviteCut once, in order.
func wantReport(t *testing.T, report string, rows int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(report), "\n")
	if len(lines) != rows+1 {
		t.Fatalf("the report tells %d rows, want %d", len(lines)-1, rows)
	}
	for i, line := range lines[1:] {
		reference := fmt.Sprint("r", i)
		want := fmt.Sprintf("%d,%s,%s,sent,,", i+2, reference, schemas.InvitationID("AVALBRSP", "maria", reference))
		if line != want {
			t.Fatalf("row %d is told as %s, want %s", i, line, want)
		}
	}
}

// wantInvitations fails the test unless each row of TestInviteCut came in, once or more often.
func (r *running) wantInvitations(t *testing.T, rows int) {
	t.Helper()
	log := connect(t, r.pair.Kafka, r.namespace)
	found, all := map[string]bool{}, 0
	for p := range 3 {
		first, end, err := log.Bounds(t.Context(), schemas.TopicInvitations, p)
		if err != nil {
			t.Fatal(err)
		}
		err = log.Read(t.Context(), schemas.TopicInvitations, p, first, end, func(records []pipeline.Record) error {
			for _, record := range records {
				found[string(record.Key)] = true
				all++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) != rows || all > 2*rows {
		t.Errorf("%d invitations came in, in %d messages; want %d", len(found), all, rows)
	}
}

// TestInviteUndecided waits for decisions that nobody makes.
func TestInviteUndecided(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t, pair)
			file := filepath.Join(t.TempDir(), "rows.csv")
			writeFile(t, file, []byte(inviteHeader+inviteRow("r1")))
			code, _, stderr := r.run(t, "invite", file)
			if code != exitUsage || !strings.Contains(stderr, "no directory") || !strings.Contains(stderr, "publish") {
				t.Errorf("without a directory it ended with %d: %s", code, stderr)
			}
			r.publishDirectory(t, "AVALBRSP")
			code, stdout, stderr := r.run(t, "invite", file, "--wait", "--timeout", "300ms", "-o", "json")
			if s := readInviteSummary(t, stdout); code != exitFailed || s.Undecided != 1 || s.Sent != 1 ||
				!strings.Contains(stderr, "1 of 1 rows are undecided, and no decision came for 300ms") {
				t.Errorf("it ended with %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// TestInviteUsage contradicts the rules of flags and files: it is said before anybody is waited for.
func TestInviteUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, odd := filepath.Join(dir, "good.csv"), filepath.Join(dir, "odd.csv")
	writeFile(t, good, []byte(inviteHeader+inviteRow("r1")))
	writeFile(t, odd, []byte("receiving_account,seller,reference,buyer,amuont,currency\n"))
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "FILE is missing"},
		{[]string{"a", "b"}, "takes one FILE"},
		{[]string{filepath.Join(dir, "absent")}, "no such file or directory: give a file, or - for the standard input"},
		{[]string{dir}, "is a folder: give a file"},
		{[]string{odd}, `odd.csv, line 1: column "amuont" is unknown: did you mean amount?; column amount is missing`},
		{[]string{good, "--format", "xml"}, `--format "xml", must be auto, csv or ndjson`},
		{[]string{good, "--wait=ever"}, "--wait=ever, must be offered or final"},
		{[]string{good, "--timeout", "-1s"}, "--timeout -1s"},
		{[]string{good, "--progress", "loud"}, "auto, plain, json or none"},
		{[]string{good, "--reprot", "x"}, "did you mean --report?"},
	} {
		args := append([]string{"invite", "--kafka", "127.0.0.1:1", "--redis", "127.0.0.1:1"}, test.args...)
		if code, stdout, stderr := run(t, args...); code != exitUsage || stdout != "" ||
			!strings.Contains(stderr, test.says) {
			t.Errorf("aval %q ended with %d: %s%s; want %q", args, code, stdout, stderr, test.says)
		}
	}
	code, stdout, _ := run(t, "invite", "--columns", "-o", "ndjson")
	if code != 0 || !strings.Contains(stdout, `{"name":"amount","needed":true,`) || strings.Count(stdout, "\n") != 17 {
		t.Errorf("the columns are %d: %s", code, stdout)
	}
}
