package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

// user uses the program at some servers, in a folder and a namespace of their own.
type user struct {
	t      *testing.T
	folder string
	at     []string // flags that say where
}

// users returns one for each pair of servers, whose namespace has its topics.
func users(t *testing.T, test func(t *testing.T, u *user)) {
	t.Helper()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			u := &user{t: t, folder: t.TempDir(), at: []string{
				"--kafka", at.Kafka, "--redis", at.Redis, "--namespace", localtest.Namespace(t),
			}}
			u.must(0, "topics", "create", "--dev")
			test(t, u)
		})
	}
}

// must runs a command at the servers, and expects its exit code.
func (u *user) must(want int, args ...string) (stdout, stderr string) {
	u.t.Helper()
	code, stdout, stderr := run(u.t, append(args, u.at...)...)
	if code != want {
		u.t.Fatalf("aval %s: exit code %d, want %d\n%s\n%s", strings.Join(args, " "), code, want, stdout, stderr)
	}
	return stdout, stderr
}

// file writes a file into the user's folder.
func (u *user) file(name, text string) (path string) {
	u.t.Helper()
	path = filepath.Join(u.folder, name)
	writeFile(u.t, path, []byte(text))
	return path
}

// alone runs a command that needs no servers.
func (u *user) alone(want int, args ...string) (stdout, stderr string) {
	u.t.Helper()
	servers := u.at
	u.at = nil
	defer func() { u.at = servers }()
	return u.must(want, args...)
}

func (u *user) says(want int, text string, args ...string) {
	u.t.Helper()
	if _, stderr := u.must(want, args...); !strings.Contains(stderr, text) {
		u.t.Errorf("aval %s says\n%s\nwant %q", strings.Join(args, " "), stderr, text)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, u *user) {
		t.Helper()
		keys, file := filepath.Join(u.folder, "keys.json"), filepath.Join(u.folder, "directory.yaml")
		first, _ := u.alone(0, "keys", "generate", keys)
		u.says(3, "aval directory init", "directory", "show")
		u.alone(0, "directory", "init", "--keys", keys, "--out", file)
		u.alone(2, "directory", "init", "--keys", keys, "--out", file)
		u.alone(0, "directory", "check", file)
		if out, _ := u.must(0, "directory", "publish", file, "-o", "ndjson"); out !=
			`{"version":1,"participants":2,"parties":0}`+"\n" {
			t.Errorf("published: %s", out)
		}
		u.says(3, "nothing changed: version 1", "directory", "publish", file)

		second, _ := u.alone(0, "keys", "rotate", keys)
		u.must(0, "directory", "publish", file)
		var shown struct {
			Version      int `json:"version"`
			Participants []struct {
				Keys         []json.RawMessage `json:"keys"`
				SigningKeyID string            `json:"signing_key_id"`
			} `json:"participants"`
		}
		text, _ := u.must(0, "directory", "show", "-o", "json")
		if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.Version != 2 ||
			len(shown.Participants[1].Keys) != 2 || shown.Participants[1].SigningKeyID != strings.TrimSpace(second) {
			t.Errorf("after the rotation the directory is (%v)\n%s", err, text)
		}
		u.says(3, "nothing changed: version 2", "directory", "publish", u.file("again.json", text))
		old, _ := u.must(0, "directory", "show", "--version", "1", "-o", "json")
		u.says(3, "the key "+strings.TrimSpace(second), "directory", "publish", u.file("old.json", old))
		u.must(0, "directory", "publish", u.file("old.json", old), "--drop", strings.TrimSpace(second))
		u.says(3, "no version 4; the latest is 3", "directory", "show", "--version", "4")

		other := filepath.Join(u.folder, "other.json")
		u.alone(0, "keys", "generate", other, "--id", strings.TrimSpace(first))
		yaml := "participants:\n  - {bank: AVALBRSPISS, jwks: other.json}\n"
		u.says(3, "is another one", "directory", "publish", u.file("other.yaml", yaml))
		// What was dropped once does not come back as another's.
		u.alone(0, "keys", "generate", other+"2", "--id", strings.TrimSpace(second))
		yaml = strings.Replace(old, `"participants": [`,
			`"participants": [{"bank": "PAGABRRJ", "jwks": "other.json2"},`, 1)
		u.says(3, "in version 2; give it another id", "directory", "publish", u.file("back.yaml", yaml))
		if table, _ := u.must(0, "directory", "show"); !strings.Contains(table, "version 3, published 20") ||
			!strings.Contains(table, "receives only") {
			t.Errorf("the directory is shown as\n%s", table)
		}
	})
}

// TestDirectoryFiles reads files with faults: each says all of them at once, with their lines.
func TestDirectoryFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key := "ed25519: " + strings.Repeat("A", 43) + "="
	for name, test := range map[string]struct {
		text string
		want []string // of the message; none: the file is right
	}{
		"right": {"participants: [{bank: AVALBRSP, contacts: [+5511999, 0123]}]\nparties:\n", nil},
		"signs with its own": {
			"participants:\n- bank: AVALBRSP\n  signing_key_id: a\n" +
				"  keys: [{id: a, " + key + "}, {id: b, " + key + "}]\n", nil,
		},
		"JSON":  {`{"participants": [{"bank": "AVALBRSP", "name": "São"}]}`, nil},
		"empty": {"", []string{":1: it is empty", "directory init"}},
		"all at once": {
			"participants:\n- bank: nonsense!\n  name: 1\n- bank: AVALBRSP\n  keys:\n  - id: a b\n    " + key +
				"\nparties:\n- id: shop\n  webhook_url: ftp://x/y\n",
			[]string{
				":2: participants[0].bank", ":6: participants[1].keys[0].id", ":4: participants[1].signing_key_id",
				":10: parties[0].webhook_url",
			},
		},
		"other names": {
			"participant:\n- bank: AVALBRSP\nparties:\n- id: x\n  webhook: y\n  id: z\n",
			[]string{
				":1: participant is no field; did you mean participants?", ":5: parties[0].webhook is no field",
				":6: parties[0].id stands twice",
			},
		},
		"other kinds": {
			"participants:\n  bank: AVALBRSP\nparties: [x, {id: [1]}]\n",
			[]string{":2: participants is no list", ":3: parties[0] is no mapping", ":3: parties[1].id is no text"},
		},
		"no mapping":  {"- a\n", []string{":1: the file is no mapping"}},
		"no YAML":     {"participants: [", []string{"line 1"}},
		"an alias":    {"a: &a [1]\nparticipants: *a\n", []string{":1: a is no field", ":2: participants is no list"}},
		"two":         {"participants: [{bank: AVALBRSP}]\n---\na: 1\n", []string{"something stands behind"}},
		"no base64":   {"participants: [{bank: AVALBRSP, keys: [{id: a, ed25519: '!'}]}]\n", []string{"is no base64"}},
		"no key file": {"participants: [{bank: AVALBRSP, jwks: none.json}]\n", []string{":1: jwks: ", "no such file"}},
		"large":       {"# " + strings.Repeat("x", 1<<20), []string{"more than"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(folder, strings.ReplaceAll(name, " ", "-")+".yaml")
			writeFile(t, path, []byte(test.text))
			code, _, stderr := run(t, "directory", "check", path)
			if want := map[bool]int{true: 0, false: exitInvalid}[test.want == nil]; code != want {
				t.Errorf("exit code %d, want %d\n%s", code, want, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("it says\n%s\nwant %q", stderr, want)
				}
			}
		})
	}
}

// TestFilesThatAreInTheWay: what is not the user's to lose stays.
func TestFilesThatAreInTheWay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	keys := filepath.Join(folder, "keys.json")
	if code, _, stderr := run(t, "keys", "generate", keys); code != 0 {
		t.Fatal(stderr)
	}
	link := filepath.Join(folder, "link.jwks")
	target := filepath.Join(folder, "target.jwks")
	writeFile(t, target, []byte("before"))
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "keys", "export", keys, "--out", link); code != 0 {
		t.Fatal(stderr)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 ||
		!strings.Contains(string(readFile(t, target)), "keys") {
		t.Errorf("the link was replaced: %v", err)
	}
	if code, _, _ := run(t, "keys", "export", keys, "--out", "/dev/full"); code != exitFailed {
		t.Errorf("exit code %d on a full disk", code)
	}
	if code, _, stderr := run(t, "directory", "init", "--keys", keys, "--out", link); code != exitUsage {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("%s keys export %s >/dev/full",
		os.Getenv(binaryVariable), keys))
	if err := shell.Run(); err == nil {
		t.Error("a full standard output is no error")
	}
}
