package main_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

// TestAccounts does what an operator does with accounts, and reads what is printed.
func TestAccounts(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t, pair)
			r.start(t)
			const deposit, line = "AVALBRSP/0001-7", "AVALBRSP/0002-5"
			for _, step := range []struct {
				args    string
				code    int
				outcome string // and, after a blank, the reason
				after   string // kind, status and amounts
				says    string // of the error
			}{
				{
					"open " + deposit + " --holder maria --funds 100.00 --currency BRL", 0, "done",
					"deposit open 10000 10000 0", "",
				},
				{
					"open " + deposit + " --holder maria --funds 100 --currency BRL", 0, "repeat",
					"deposit open 10000 10000 0", "",
				},
				{
					"open " + deposit + " --holder joana --funds 100 --currency BRL", 3, "conflict",
					"deposit open 10000 10000 0", "`aval account show " + deposit + "` says what stands",
				},
				{
					"open " + line + " --kind credit --holder joana --funds 50 --currency BRL", 0, "done",
					"credit open 5000 5000 0 0", "",
				},
				{"open AVALBRSP/3 --holder maria --currency JPY", 0, "done", "deposit open 0 0 0", ""},
				{
					"credit " + deposit + " --amount 0.50 --currency BRL --id c1", 0, "done",
					"deposit open 10050 10050 0", "",
				},
				{
					"credit " + deposit + " --amount 0.50 --currency BRL --id c1", 0, "repeat",
					"deposit open 10050 10050 0", "",
				},
				{
					"credit " + deposit + " --amount 0.51 --currency BRL --id c1", 3, "conflict",
					"deposit open 10050 10050 0", "give another --id (--id c1)",
				},
				{
					"credit " + line + " --amount 1 --currency BRL", 3, "refused excess",
					"credit open 5000 5000 0 0", "refused, excess: less is drawn of the credit account",
				},
				{
					"credit AVALBRSP/absent --amount 1 --currency BRL --id c2", 3, "refused account-unknown", "",
					"credit of AVALBRSP/absent: refused, account-unknown: there is no such account; " +
						"open it with `aval account open` (--id c2)",
				},
				{
					"credit AVALBRSP/absent --amount 1 --currency BRL --id c2", 3, "repeat account-unknown", "",
					"to ask anew, give another --id",
				},
				{
					"debit " + deposit + " --amount 100.51 --currency BRL", 3, "refused insufficient",
					"deposit open 10050 10050 0", "credit the account first",
				},
				{
					"debit " + line + " --amount 20 --currency BRL --contra clearing", 0, "done",
					"credit open 3000 5000 2000 0", "",
				},
				{
					"debit " + deposit + " --amount 1 --currency USD", 3, "refused account-currency",
					"deposit open 10050 10050 0", "another currency",
				},
				{"block " + deposit, 0, "done", "deposit blocked 10050 10050 0", ""},
				{"block " + deposit, 3, "refused unchanged", "deposit blocked 10050 10050 0", "in that state already"},
				{
					"debit " + deposit + " --amount 1 --currency BRL", 3, "refused account-blocked",
					"deposit blocked 10050 10050 0", "`aval account unblock` ends that",
				},
				{"unblock " + deposit, 0, "done", "deposit open 10050 10050 0", ""},
			} {
				code, stdout, stderr := r.run(t, append([]string{"account", "-o", "json"},
					strings.Fields(step.args)...)...)
				got := readAnswer(t, stdout)
				if code != step.code || got.words() != step.outcome || got.After.words() != step.after ||
					!strings.Contains(stderr, step.says) || (step.says == "") == strings.Contains(stderr, "aval:") {
					t.Errorf("account %s ended with %d: %s, %s, %s; want %d: %+v", step.args, code, stdout, stderr,
						got.words(), step.code, step)
				}
			}
			r.wantLists(t)
		})
	}
}

// wantLists looks at the accounts that TestAccounts left.
func (r *running) wantLists(t *testing.T) {
	t.Helper()
	for args, want := range map[string]string{
		"": "AVALBRSP/0001-7 deposit open 10050 10050 0, AVALBRSP/0002-5 credit open 3000 5000 2000 0, " +
			"AVALBRSP/3 deposit open 0 0 0",
		"--kind deposit --currency BRL":  "AVALBRSP/0001-7 deposit open 10050 10050 0",
		"--holder joana --bank AVALBRSP": "AVALBRSP/0002-5 credit open 3000 5000 2000 0",
		"--status blocked":               "",
		"--bank AVALBRSPXXX":             "",
	} {
		all := append([]string{"account", "list", "-o", "ndjson"}, strings.Fields(args)...)
		code, stdout, stderr := r.run(t, all...)
		if got := listed(t, stdout); code != 0 || got != want {
			t.Errorf("account list %s ended with %d: %s %s; want %s", args, code, got, stderr, want)
		}
	}
	if _, stdout, _ := r.run(t, "account", "list", "--limit", "2", "-o", "ndjson"); strings.Count(stdout, "\n") != 2 {
		t.Errorf("two accounts are listed as %s", stdout)
	}
	var sum int64
	_, stdout, _ := r.run(t, "account", "list", "--kind", "internal", "-o", "ndjson")
	for text := range strings.Lines(stdout) {
		var v accountShown
		if err := json.Unmarshal([]byte(text), &v); err != nil || v.Kind != "internal" {
			t.Fatalf("%s: %v", text, err)
		}
		sum += v.Ledger.MinorUnits
	}
	if sum != -10050+2000 {
		t.Errorf("the internal accounts have %d: %s", sum, stdout)
	}
	code, stdout, _ := r.run(t, "account", "show", "AVALBRSP/0002-5")
	if line := strings.Fields(strings.Split(stdout, "\n")[1]); code != 0 ||
		strings.Join(line[:10], " ") != "AVALBRSP/0002-5 credit BRL open 30.00 - - 50.00 20.00 0.00" {
		t.Errorf("account show ended with %d:\n%s", code, stdout)
	}
	code, stdout, stderr := r.run(t, "account", "show", "AVALBRSP/absent")
	if code != exitInvalid || stdout != "" || !strings.Contains(stderr, "there is no account AVALBRSP/absent in the") {
		t.Errorf("account show of none ended with %d: %s%s", code, stdout, stderr)
	}
}

// accountAnswer and accountShown are what the commands print.
type accountAnswer struct {
	ID, Outcome, Reason, Words, Topic string
	Partition                         *int
	Offset                            *int64
	After                             *accountShown
}

type accountShown struct {
	Account, Kind, Status                         string
	Available, Ledger, Frozen, Limit, Drawn, Held *struct {
		MinorUnits int64 `json:"minor_units"`
		Currency   string
	}
}

func readAnswer(t *testing.T, text string) accountAnswer {
	t.Helper()
	var a accountAnswer
	if err := json.Unmarshal([]byte(text), &a); err != nil || a.ID == "" || a.Words == "" || a.Topic != "entries" ||
		a.Partition == nil || a.Offset == nil {
		t.Fatalf("%q is no answer: %v", text, err)
	}
	return a
}

func (a accountAnswer) words() string { return strings.TrimSpace(a.Outcome + " " + a.Reason) }

// words are kind, status and amounts.
func (s *accountShown) words() string {
	if s == nil {
		return ""
	}
	texts := []string{s.Kind, s.Status}
	for _, m := range []*struct {
		MinorUnits int64 `json:"minor_units"`
		Currency   string
	}{s.Available, s.Ledger, s.Frozen, s.Limit, s.Drawn, s.Held} {
		if m != nil {
			number, _ := json.Marshal(m.MinorUnits)
			texts = append(texts, string(number))
		}
	}
	return strings.Join(texts, " ")
}

// listed are the accounts of a list, in the order of their names.
func listed(t *testing.T, text string) string {
	t.Helper()
	var texts []string
	for line := range strings.Lines(text) {
		var v accountShown
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		texts = append(texts, v.Account+" "+v.words())
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// TestNoStage sends a command while no stage runs that could answer it: what was sent is decided when one does.
func TestNoStage(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			r := newRunning(t, pair)
			open := []string{"account", "open", "AVALBRSP/1", "--holder", "maria", "--currency", "BRL"}
			code, stdout, stderr := r.run(t, append(open, "--timeout", "500ms")...)
			for _, text := range []string{
				"no answer to", "it stands in the topic movements", "the stage ledger runs (aval run)", "500ms: --time",
				"Sending it again with the same id is safe", "--id ",
			} {
				if !strings.Contains(stderr, text) {
					t.Errorf("it says nothing of %q: %s", text, stderr)
				}
			}
			if code != exitFailed || stdout != "" {
				t.Errorf("it ended with %d and printed %q", code, stdout)
			}
			r.start(t)
			if code, stdout, stderr := r.run(t, append(open, "-o", "json")...); code != 0 ||
				readAnswer(t, stdout).words() != "repeat" {
				t.Errorf("once the stage runs it ended with %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// TestAccountUsage contradicts the rules of the flags.
func TestAccountUsage(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"open":                                "ACCOUNT is missing",
		"open A B":                            "takes one ACCOUNT",
		"open AVALBRSP/1 --currency BRL":      "--holder is missing",
		"open bank --holder m --currency BRL": `account is "bank"`,
		"open AVALBRSP/1 --holder m --currency brl":                `--currency "brl"`,
		"open AVALBRSP/1 --holder m --currency BRL --kind x":       `--kind "x", must be deposit or credit`,
		"open AVALBRSP/1 --holder m --currency BRL --funds -1":     "--funds",
		"open AVALBRSP/1 --holder m --currency BRL --funds 0.00.0": "--funds",
		"open AVALBRSP/1 --holder m --currency JPY --funds 0.0":    "--funds",
		"credit AVALBRSP/1 --amount 0 --currency BRL":              "amount is zero",
		"credit AVALBRSP/1 --amount 1 --currency BRL --contra x":   `--contra "x", must be genesis or clearing`,
		"credit AVALBRSP/1 --amount 1 --currency BRL --id ü":       `id is "ü"`,
		"debit AVALBRSP/1 --amnt 1":                                "did you mean --amount?",
		"show bank":                                                `"bank" is no account`,
		"list --kind x":                                            `--kind "x"`,
		"list --status x":                                          `--status "x"`,
		"list --bank x":                                            `--bank "x"`,
		"list --currency x":                                        `--currency "x"`,
		"list --limit -1":                                          "--limit -1",
		"block AVALBRSP/1 --timeout 0s":                            "--timeout 0s",
	} {
		code, stdout, stderr := run(t, append([]string{"account"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("account %s ended with %d: %s%s; want %q", args, code, stdout, stderr, says)
		}
	}
}
