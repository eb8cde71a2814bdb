package main_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// privateHalves are the secrets of a file of keys.
func privateHalves(t *testing.T, path string) []string {
	t.Helper()
	var set struct {
		Keys []struct {
			D string `json:"d"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(readFile(t, path), &set); err != nil {
		t.Fatal(err)
	}
	var secrets []string
	for _, key := range set.Keys {
		secrets = append(secrets, key.D)
	}
	return secrets
}

// keysOf lists the keys of a file: those that are there, and which sign.
func keysOf(t *testing.T, path string) (ids []string, signs string) {
	t.Helper()
	code, stdout, stderr := run(t, "keys", "list", path, "-o", "json")
	var keys []struct {
		KeyID string `json:"key_id"`
		Signs bool   `json:"signs"`
	}
	if err := json.Unmarshal([]byte(stdout), &keys); code != 0 || err != nil {
		t.Fatalf("keys list: %d %v\n%s\n%s", code, err, stdout, stderr)
	}
	for _, key := range keys {
		ids = append(ids, key.KeyID)
		if key.Signs && signs != "" {
			t.Errorf("both %s and %s sign", signs, key.KeyID)
		}
		if key.Signs {
			signs = key.KeyID
		}
	}
	return ids, signs
}

// TestKeys makes, exchanges and shows keys, and looks that no private half is shown.
func TestKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.json")
	said := ""
	must := func(want int, args ...string) (stdout string) {
		t.Helper()
		code, stdout, stderr := run(t, args...)
		if code != want {
			t.Fatalf("aval %s: exit code %d, want %d\n%s\n%s", args, code, want, stdout, stderr)
		}
		said += stdout + stderr
		return strings.TrimSpace(stdout)
	}
	mode := func(path string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}

	first := must(0, "keys", "generate", path)
	if ids, signs := keysOf(t, path); len(ids) != 1 || signs != first || mode(path) != 0o600 {
		t.Fatalf("the file has the keys %v, %s signs, mode %v", ids, signs, mode(path))
	}
	before := readFile(t, path)
	must(2, "keys", "generate", path)
	if string(readFile(t, path)) != string(before) {
		t.Error("the file was overwritten")
	}
	second := must(0, "keys", "rotate", path, "--id", "a-second")
	if ids, signs := keysOf(t, path); len(ids) != 2 || ids[0] != first || second != "a-second" || signs != second {
		t.Errorf("the file has the keys %v, %s signs", ids, signs)
	}
	must(2, "keys", "rotate", path, "--id", "a-second")
	must(2, "keys", "rotate", path, "--id", "no id")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	must(0, "keys", "rotate", path)
	if !strings.Contains(said, "chmod 600") || mode(path) != 0o600 {
		t.Errorf("nobody was warned, or the mode is still %v", mode(path))
	}

	public := path + ".jwks"
	must(0, "keys", "export", path, "--out", public)
	if text := must(0, "keys", "export", path); text != strings.TrimSpace(string(readFile(t, public))) {
		t.Errorf("the public keys are once\n%s\nonce\n%s", text, readFile(t, public))
	}
	if mode(public) != 0o644 || len(privateHalves(t, public)) != 3 {
		t.Errorf("the public keys have the mode %v and %d keys", mode(public), len(privateHalves(t, public)))
	}
	must(2, "keys", "list", public) // which has no private keys
	must(2, "keys", "list", path+".none")
	must(2, "keys", "list", filepath.Dir(path))
	must(2, "keys", "rotate", path+".none")
	must(2, "keys", "generate", filepath.Join(path, "below a file"))
	must(2, "keys", "generate")
	must(2, "keys", "generate", path+"1", path+"2")

	broken := path + ".broken"
	writeFile(t, broken, append(readFile(t, path)[:200], '!'))
	must(2, "keys", "rotate", broken)

	said += string(readFile(t, public))
	for _, secret := range privateHalves(t, path) {
		if secret == "" || strings.Contains(said, secret) || strings.Contains(said, secret[:12]) {
			t.Errorf("a private key is shown: %q", secret)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
