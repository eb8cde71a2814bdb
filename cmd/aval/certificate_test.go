package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	shopAccount  = "AVALBRSPRCV/0001"
	mariaAccount = "AVALBRSPISS/0001"
)

// deals has a directory, stages at work, accounts, and one invitation for each reference that was offered.
func deals(t *testing.T, u *user) (stages *process, ids map[string]string) {
	t.Helper()
	keys, file := filepath.Join(u.folder, "keys.json"), filepath.Join(u.folder, "directory.yaml")
	u.alone(0, "keys", "generate", keys)
	u.alone(0, "directory", "init", "--keys", keys, "--out", file)
	u.must(0, "directory", "publish", file)
	stages = start(t, append([]string{"run", "--dev", "--keys", keys}, u.at...)...)
	stages.awaitLog(t, "msg=running", 1)
	u.must(0, "account", "open", shopAccount, "--holder", "shop", "--currency", "BRL")
	u.must(0, "account", "open", mariaAccount, "--holder", "maria", "--currency", "BRL", "--funds", "500")
	const columns = "receiving_account,seller,reference,buyer,amount,currency,issuing_bank,issuing_account\n"
	orders := u.file("orders.csv", columns+`AVALBRSPRCV/0001,shop,issued,maria,177.20,BRL,AVALBRSPISS,
AVALBRSPRCV/0001,shop,insufficient,maria,1000,BRL,AVALBRSPISS,
AVALBRSPRCV/0001,shop,declined,maria,10,BRL,AVALBRSPISS,
AVALBRSPRCV/0001,shop,withdrawn,maria,11,BRL,AVALBRSPISS,
AVALBRSPRCV/0001,shop,confirmed,maria,12,BRL,,AVALBRSPISS/0001
AVALBRSPRCV/0001,shop,open,joana,13,BRL,AVALBRSPISS,
AVALBRSPRCV/0009,shop,unknown,maria,14,BRL,AVALBRSPISS,
`)
	u.must(3, "invite", orders, "--wait") // nobody vouches for the last one
	ids = map[string]string{}
	await(t, "six pre-issues", func() bool {
		text, _ := u.must(0, "pre-issue", "list", "-o", "ndjson")
		for line := range strings.Lines(text) {
			var x struct {
				InvitationID string `json:"invitation_id"`
				Reference    string `json:"reference"`
			}
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatal(err)
			}
			ids[x.Reference] = x.InvitationID
		}
		return len(ids) == 6
	})
	return stages, ids
}

// TestAnswers has the buyer and the seller answer, and reads what the book recorded.
func TestAnswers(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, u *user) {
		t.Helper()
		_, ids := deals(t, u)
		for _, step := range []struct {
			args    string
			code    int
			outcome string // and what has become of it
			says    string // of the error, or what comes next
		}{
			{"request ISSUED", 2, "", "--account is missing"},
			{"request ISSUED --account nonsense", 3, "refused account-bank ", "not kept by the issuing bank"},
			{"request ISSUED --account AVALBRSPRCV/1", 3, "refused account-bank ", "not kept by the issuing bank"},
			{"request ISSUED --account AVALBRSPISS/1 --buyer joana", 3, "refused buyer ", "only the buyer"},
			{"request ISSUED --account AVALBRSPISS/0001 --wait", 0, "done  issued", "aval certificate export "},
			{"request ISSUED --account AVALBRSPISS/0001", 0, "repeat ", "--follow"},
			{"request ISSUED --account AVALBRSPISS/0002", 3, "refused already-requested ", "first answer stands"},
			{"decline ISSUED", 3, "refused already-requested ", "first answer stands"},
			{"withdraw ISSUED", 3, "refused already-requested ", "first answer stands"},
			{
				"request INSUFFICIENT --account AVALBRSPISS/0001 --wait", 3, "done  refused insufficient",
				"there is no certificate: refused, insufficient",
			},
			{"withdraw DECLINED --seller joana", 3, "refused seller ", "only the seller"},
			{"decline DECLINED", 0, "done ", ""},
			{"decline DECLINED", 0, "repeat ", ""},
			{"request DECLINED --account AVALBRSPISS/0001", 3, "refused already-declined ", "the buyer has declined"},
			{"withdraw WITHDRAWN --id w1", 0, "done ", ""},
			{"decline WITHDRAWN --id w1", 3, "conflict ", "give another --id"},
			{"request CONFIRMED --account AVALBRSPISS/7", 3, "refused account-prefilled ", "leave --account out"},
			{"request CONFIRMED --wait", 0, "done  issued", "aval certificate export "},
			{"request nobody --account AVALBRSPISS/0001", 3, "", "nobody is no invitation, certificate or hold"},
			{"decline UNKNOWN", 3, "", "has no pre-issue that could be answered: it is refused"},
			{"withdraw", 2, "", "ID is missing"},
		} {
			args := strings.Fields(step.args)
			for i, arg := range args {
				switch id, ok := ids[strings.ToLower(arg)]; {
				case ok && arg == strings.ToUpper(arg):
					args[i] = id
				case arg == "UNKNOWN":
					args[i] = unknownInvitation(t, u)
				}
			}
			stdout, stderr := u.must(step.code, append(args, "-o", "json")...)
			var told struct {
				Outcome, Reason, State, Why, CertificateID string
			}
			if err := json.Unmarshal([]byte(stdout), &told); stdout != "" && err != nil {
				t.Fatalf("aval %s prints %s", step.args, stdout)
			}
			got := strings.TrimSpace(strings.Join([]string{told.Outcome, told.Reason, told.State, told.Why}, " "))
			if got != strings.TrimSpace(step.outcome) || !strings.Contains(stderr, step.says) {
				t.Errorf("aval %s prints %q, says %q, want %q, %q", step.args, got, stderr, step.outcome, step.says)
			}
		}
	})
}

func unknownInvitation(t *testing.T, u *user) string {
	t.Helper()
	text, _ := u.must(0, "invitation", "show", "--seller", "shop", "--reference", "unknown", "--receiving-bank",
		"AVALBRSPRCV", "-o", "json")
	var x struct {
		InvitationID string `json:"invitation_id"`
	}
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatal(err)
	}
	return x.InvitationID
}

// story is what show prints.
type story struct {
	InvitationID  string `json:"invitation_id"`
	CertificateID string `json:"certificate_id"`
	State         string `json:"state"`
	Reason        string `json:"reason"`
	Events        []struct {
		Event   string    `json:"event"`
		Reason  string    `json:"reason"`
		Topic   string    `json:"topic"`
		ID      string    `json:"id"`
		Command string    `json:"command"`
		Time    time.Time `json:"time"`
	} `json:"events"`
}

func (s story) events() string {
	var words []string
	for _, e := range s.Events {
		words = append(words, strings.TrimSuffix(e.Event+": "+e.Reason, ": "))
	}
	return strings.Join(words, ", ")
}

// TestStories issues, refuses and lists, and reads what is told of it.
func TestStories(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, u *user) {
		t.Helper()
		stages, ids := deals(t, u)
		follow := []string{"invitation", "show", ids["issued"], "--follow", "-o", "ndjson"}
		follower := start(t, append(follow, u.at...)...)
		comers := start(t, append([]string{"certificate", "list", "--follow", "-q"}, u.at...)...)
		await(t, "the story so far", func() bool { return strings.Contains(follower.stdout.String(), "offered") })

		u.must(0, "request", ids["issued"], "--account", mariaAccount)
		u.must(3, "request", ids["insufficient"], "--account", mariaAccount, "--wait")
		u.must(0, "decline", ids["declined"])
		u.must(0, "withdraw", ids["withdrawn"])
		if code := follower.wait(t); code != 0 || !strings.Contains(follower.stdout.String(), `"event":"issued"`) {
			t.Errorf("the follower ended with %d:\n%s", code, follower.stdout.String())
		}
		show := func(id string) (s story) {
			t.Helper()
			text, _ := u.must(0, "certificate", "show", id, "-o", "json")
			if err := json.Unmarshal([]byte(text), &s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := show(ids["issued"])
		const want = "invited, vouched for, offered, requested, frozen, issued"
		if s.State != "issued" || s.events() != want {
			t.Errorf("the story is %s: %s, want %s", s.State, s.events(), want)
		}
		for _, e := range s.Events {
			if e.Time.IsZero() || e.ID == "" || (e.Topic == "entries" || e.Topic == "pre-issues") != (e.Command != "") {
				t.Errorf("it has an event %+v", e)
			}
		}
		if other := show(s.CertificateID); other.InvitationID != ids["issued"] || other.events() != want {
			t.Errorf("by the certificate's id the story is that of %s", other.InvitationID)
		}
		if s := show(ids["insufficient"]); s.Reason != "insufficient" || s.State != "refused" ||
			!strings.HasSuffix(s.events(), "requested, not frozen: insufficient, refused: not-guaranteed") {
			t.Errorf("the story of what was refused is %s, %s: %s", s.State, s.Reason, s.events())
		}
		unknown := unknownInvitation(t, u)
		if s := show(unknown); s.events() != "invited, not vouched for: account-unknown, refused: account-unknown" {
			t.Errorf("the story of what nobody vouched for is %s", s.events())
		}
		u.says(3, "forgets after 90 days", "certificate", "show", "nobody")
		u.says(2, "go together", "invitation", "show", "--seller", "shop")

		list := func(want []string, args ...string) {
			t.Helper()
			text, _ := u.must(0, append(append([]string{"certificate", "list", "-q"}, args...), "--since", "1h")...)
			got := slices.Sorted(slices.Values(strings.Fields(text)))
			if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
				t.Errorf("certificate list %v prints %v, want %v", args, got, want)
			}
		}
		await(t, "all are final", func() bool {
			text, _ := u.must(0, "certificate", "list", "-q", "--state", "withdrawn")
			return text != "" && show(ids["declined"]).State == "declined"
		})
		await(t, "the refusals are told", func() bool {
			return strings.Contains(show(ids["declined"]).events(), "refused: declined") &&
				strings.Contains(show(ids["withdrawn"]).events(), "refused: withdrawn")
		})
		list([]string{s.CertificateID})
		list([]string{s.CertificateID}, "--buyer", "maria", "--issuing-bank", "AVALBRSPISS", "--seller", "shop")
		list(nil, "--buyer", "joana")
		list([]string{ids["insufficient"], unknown}, "--state", "refused")
		list([]string{ids["insufficient"]}, "--state", "refused", "--buyer", "maria", "--reference", "insufficient")
		list(nil, "--state", "refused", "--issuing-bank", "AVALBRSPRCV")
		list([]string{ids["declined"]}, "--state", "declined", "--buyer", "maria")
		list([]string{ids["withdrawn"]}, "--state", "withdrawn", "--seller", "shop")
		list([]string{ids["open"], ids["confirmed"]}, "--state", "open")
		list([]string{ids["open"]}, "--state", "open", "--buyer", "joana")
		list([]string{ids["confirmed"]}, "--state", "open", "--reference", "confirmed")
		list(nil, "--state", "requested")
		list(nil, "--state", "invited")
		await(t, "the one who waits for certificates hears of it", func() bool {
			return strings.TrimSpace(comers.stdout.String()) == s.CertificateID
		})

		stages.kill(t) // now nobody decides on the money
		u.says(1, "no answer to", "request", ids["confirmed"], "--timeout", "1s")
		verifies(t, u, s.CertificateID, ids["open"])
	})
}

// verifies exports a certificate and verifies it, and what is none.
func verifies(t *testing.T, u *user, certificate, open string) {
	t.Helper()
	path, keys := filepath.Join(u.folder, "certificate.jws"), filepath.Join(u.folder, "bank.jwks")
	u.must(0, "certificate", "export", certificate, "--out", path, "--jwks", keys)
	u.says(3, "has no certificate: open", "certificate", "export", open)
	text, _ := u.alone(0, "certificate", "verify", path, "--keys", keys)
	if !strings.Contains(text, "177.20") || !strings.Contains(text, certificate) {
		t.Errorf("it says\n%s", text)
	}
	token := strings.TrimSpace(string(readFile(t, path)))
	lines, _ := u.must(0, "certificate", "list", "-o", "ndjson")
	other := filepath.Join(u.folder, "other.json")
	u.alone(0, "keys", "generate", other)
	u.alone(0, "keys", "export", other, "--out", other+".jwks")
	for name, test := range map[string]struct {
		text string
		keys string
		code int
		want string // of what is printed
	}{
		"a list":            {lines, keys, 0, `"valid":true`},
		"line ends":         {"\r\n" + token + "\r\n\n", keys, 0, `"valid":true`},
		"one of two":        {token + "\n" + token[:len(token)-4] + "AAAA\n", keys, 1, `"line":2,"valid":false`},
		"another's keys":    {token, other + ".jwks", 1, "not among the public keys"},
		"private keys":      {token, other, 2, ""},
		"no keys":           {token, path, 2, ""},
		"nothing":           {"\n", keys, 2, ""},
		"something else":    {`{"certificate":"x"}`, keys, 1, `no JSON object with a text \"jws\"`},
		"a long line":       {strings.Repeat("x", 3<<20) + "\n" + token, keys, 1, `"line":2,"valid":true`},
		"bytes behind":      {token + " x", keys, 1, `"valid":false`},
		"another algorithm": {"eyJhbGciOiJub25lIn0" + token[strings.Index(token, "."):], keys, 1, `"valid":false`},
	} {
		path := u.file(strings.ReplaceAll(name, " ", "-"), test.text)
		stdout, stderr := u.alone(test.code, "certificate", "verify", path, "--keys", test.keys, "-o", "ndjson")
		if !strings.Contains(stdout, test.want) {
			t.Errorf("verify of %s prints\n%.500s\n%s\nwant %s", name, stdout, stderr, test.want)
		}
	}
	u.alone(1, "certificate", "verify", path, "--keys", keys, "--issuing-bank", "AVALBRSPRCV")
	u.alone(2, "certificate", "verify", path)
	u.alone(2, "certificate", "verify", path+".none", "--keys", keys)
}

// TestPages lists more than fit on a page.
func TestPages(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, u *user) {
		t.Helper()
		deals(t, u)
		var orders strings.Builder
		orders.WriteString("receiving_account,seller,reference,buyer,amount,currency,issuing_bank\n")
		for i := range 700 { // more than are read of a partition at first
			buyer := []string{"maria", "rare"}[i/699]
			fmt.Fprintf(&orders, "AVALBRSPRCV/9,shop,many-%d,%s,1,BRL,AVALBRSPISS\n", i, buyer)
		}
		u.must(3, "invite", u.file("many.csv", orders.String()), "--wait")
		seen := map[string]bool{}
		var pages int
		for page := ""; ; pages++ {
			args := []string{"certificate", "list", "--state", "refused", "--limit", "250", "-q"}
			if page != "" {
				args = append(args, "--page", page)
			}
			text, stderr := u.must(0, args...)
			for id := range strings.FieldsSeq(text) {
				if seen[id] {
					t.Fatalf("%s is on two pages", id)
				}
				seen[id] = true
			}
			var more bool
			if _, page, more = strings.Cut(strings.TrimSpace(stderr), "--page "); !more {
				break
			}
		}
		if len(seen) != 701 || pages != 2 {
			t.Errorf("%d were listed on %d pages, want 701 on 3", len(seen), pages+1)
		}
		if text, _ := u.must(0, "certificate", "list", "--state", "refused", "--buyer", "rare", "-q"); len(
			strings.Fields(text)) != 1 {
			t.Errorf("of the rare buyer are listed %q", text)
		}
		u.says(2, "is no page", "certificate", "list", "--page", "zz")
		u.says(2, "--since", "certificate", "list", "--since", "yesterday")
		u.says(2, "did you mean issued?", "certificate", "list", "--state", "isued")
		u.says(2, "is not; follow one with", "certificate", "list", "--state", "open", "--follow")
	})
}
