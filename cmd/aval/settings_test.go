package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/pipeline/access"
)

// shownSetting is one as config print shows it.
type shownSetting struct {
	Name, Value, From, Variable string
	Secret                      bool
}

// shown returns what config print shows.
func shown(t *testing.T, variables []string, args ...string) map[string]shownSetting {
	t.Helper()
	code, stdout, stderr := runWith(t, variables, append([]string{"config", "print", "-o", "json"}, args...)...)
	var rows []shownSetting
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != exitDecided {
		t.Fatalf("config print ended with %d: %v\n%s%s", code, err, stdout, stderr)
	}
	by := map[string]shownSetting{}
	for _, row := range rows {
		by[row.Name] = row
	}
	return by
}

func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aval.yaml")
	writeFile(t, path, []byte(text))
	return path
}

// TestWhatCounts says the same things in several places: a flag counts before a variable, that before the file.
func TestWhatCounts(t *testing.T) {
	t.Parallel()
	path := config(t, `# where it all is
kafka:
  - one:9092
  - two:9093
redis: file:1
namespace: "007"
kafka-user: 0123
partitions:
log-level: debug
kafka-sasl: plain
kafka-password: 0xbeef
`)
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, []byte("swordfish\n"))
	by := shown(t, []string{
		"AVAL_CONFIG=" + path, "AVAL_REDIS=variable:1, variable:2", "AVAL_LOG_LEVEL=warn", "AVAL_REDIS_TLS=1",
		"AVAL_REDIS_PASSWORD_FILE=" + password, "AVAL_KEYS=",
		// What Kubernetes says of a service named aval is no setting.
		"AVAL_SERVICE_HOST=10.0.0.1", "AVAL_SERVICE_PORT_METRICS=80", "AVAL_PORT=tcp://10.0.0.1:80",
		"AVAL_PORT_80_TCP_ADDR=10.0.0.1",
	}, "--log-level", "error", "--kafka-tls", "--stages", "ledger", "--stages", "request")
	for name, want := range map[string][2]string{
		"config":              {path, "AVAL_CONFIG"},
		"kafka":               {"one:9092,two:9093", path + ":2"},
		"redis":               {"variable:1,variable:2", "AVAL_REDIS"},
		"namespace":           {"007", path + ":6"},
		"kafka-user":          {"0123", path + ":7"},
		"kafka-sasl":          {"plain", path + ":10"},
		"kafka-password":      {"***", path + ":11"},
		"redis-password":      {"", "default"},
		"redis-password-file": {password, "AVAL_REDIS_PASSWORD_FILE"},
		"partitions":          {"", "default"},
		"log-level":           {"error", "--log-level"},
		"log-format":          {"text", "default"},
		"kafka-tls":           {"true", "--kafka-tls"},
		"redis-tls":           {"true", "AVAL_REDIS_TLS"},
		"pprof":               {"false", "default"},
		"keys":                {"", "default"},
		"stages":              {"ledger,request", "--stages"},
	} {
		if got := by[name]; got.Value != want[0] || got.From != want[1] {
			t.Errorf("%s is %q from %s, want %q from %s", name, got.Value, got.From, want[0], want[1])
		}
	}
	other := config(t, "kafka: other:1")
	if got := shown(t, []string{"AVAL_CONFIG=" + path}, "--config", other)["kafka"]; got.From != other+":1" {
		t.Errorf("with a file by flag and one by variable, kafka is %+v", got)
	}
}

// TestSettingsAreOne compares what is shown with what is read and with the flags: each is of the one table.
func TestSettingsAreOne(t *testing.T) {
	t.Parallel()
	by := shown(t, nil)
	delete(by, "config")
	source := readFile(t, "settings.go")
	tags := regexp.MustCompile("`koanf:\"([a-z-]+)\"`").FindAllStringSubmatch(string(source), -1)
	if len(tags) != len(by) || len(by) < 30 {
		t.Errorf("%d settings are shown, %d are read", len(by), len(tags))
	}
	_, help, _ := run(t, "config", "check", "--help")
	_, topic, _ := run(t, "help", "settings")
	for _, tag := range tags {
		s, ok := by[tag[1]]
		if want := "AVAL_" + strings.ToUpper(strings.ReplaceAll(tag[1], "-", "_")); !ok || s.Variable != want {
			t.Errorf("%s is shown as %+v, want variable %s", tag[1], s, want)
		}
		if strings.Contains(help, "--"+s.Name+" ") == s.Secret {
			t.Errorf("%s: secret %v, and is it a flag in %s", s.Name, s.Secret, help)
		}
		if !strings.Contains(topic, " "+s.Variable+" ") {
			t.Errorf("the help on settings lacks %s", s.Variable)
		}
	}
}

// TestFaultySettings has every fault found at once, each with its place, by config check and by those who would use
// the settings.
func TestFaultySettings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	writeFile(t, empty, nil)
	path := config(t, `kafak: a:1
redis: b
partitions: many
kafka: {a: b}
log-level: info
log-level: debug
kafka-tls-cert: `+empty+`
`)
	variables := []string{
		"AVAL_KAFKAA=x", "AVAL_TRACE_ENDPOINT=collector:4318", "AVAL_DRAIN_TIMEOUT=soon", "AVAL_REDIS_DB=-1",
		"AVAL_REDIS_TLS=perhaps", "AVAL_KAFKA_PASSWORD_FILE=" + empty, "AVAL_LISTEN=metrics",
	}
	flags := []string{
		"--config", path, "--stages", "ledger,lodger", "--namespace", "a b", "--keys", folder,
		"--redis-password-file", filepath.Join(folder, "absent"), "--kafka-sasl", "scram-sha-265",
	}
	want := []string{
		path + `:1: there is no setting "kafak"; did you mean kafka?`,
		path + ":2: redis: \"b\" must be HOST:PORT",
		path + ":3: partitions many: must be a whole number",
		path + ":4: kafka must be a value, or a list of values",
		path + ":6: log-level stands in line 5 already",
		"there is no setting AVAL_KAFKAA; did you mean AVAL_KAFKA?",
		"AVAL_TRACE_ENDPOINT collector:4318: must be a URL",
		"AVAL_DRAIN_TIMEOUT soon: must be a duration",
		"AVAL_REDIS_DB -1: must be at least 0",
		"AVAL_REDIS_TLS perhaps: must be true or false",
		`AVAL_LISTEN: "metrics" must be HOST:PORT`,
		"lodger is no stage; did you mean ledger?",
		"--namespace a b: must be at most 64 letters",
		"--keys " + folder + ": is a folder",
		"absent: no such file",
		"--kafka-sasl scram-sha-265: must be plain, scram-sha-256 or scram-sha-512; did you mean scram-sha-256?",
		"kafka-tls-cert is set, but kafka-tls is not",
		"kafka-tls-cert and kafka-tls-key go together",
		"AVAL_KAFKA_PASSWORD_FILE " + empty + ": is empty",
		"kafka-sasl is not set",
	}
	for _, command := range [][]string{{"run"}, {"config", "check", "-o", "ndjson"}} {
		code, stdout, stderr := runWith(t, variables, append(command, flags...)...)
		if code != exitUsage {
			t.Errorf("%v ended with %d", command, code)
		}
		said := stderr
		if command[0] == "config" {
			var messages strings.Builder
			for line := range strings.Lines(stdout) {
				var found struct{ Level, Message string }
				if err := json.Unmarshal([]byte(line), &found); err != nil || found.Level != "error" {
					t.Errorf("%v printed %q: %v", command, line, err)
				}
				messages.WriteString(found.Message + "\n")
			}
			said = messages.String()
		}
		for _, fault := range want {
			if !strings.Contains(said, fault) {
				t.Errorf("%v says nothing of %q", command, fault)
			}
		}
		if lines := strings.Count(strings.TrimSpace(said), "\n") + 1; lines != len(want) {
			t.Errorf("%v found %d faults, want %d:\n%s", command, lines, len(want), said)
		}
	}
}

// TestContradictions sets what cannot be at once.
func TestContradictions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	writeFile(t, file, []byte("swordfish"))
	cases := map[string]struct {
		variables []string
		want      string // empty: they agree
	}{
		"two passwords": {
			[]string{"AVAL_REDIS_PASSWORD=x", "AVAL_REDIS_PASSWORD_FILE=" + file},
			"AVAL_REDIS_PASSWORD and AVAL_REDIS_PASSWORD_FILE are both set",
		},
		"nothing to sign in with": {
			[]string{"AVAL_KAFKA_SASL=plain", "AVAL_KAFKA_USER=u"}, "the password is missing: set AVAL_KAFKA_PASSWORD",
		},
		"nobody to sign in":     {[]string{"AVAL_KAFKA_SASL=plain", "AVAL_KAFKA_PASSWORD=x"}, "kafka-user is missing"},
		"a password for nobody": {[]string{"AVAL_KAFKA_PASSWORD=x"}, "kafka-sasl is not set"},
		"a user without password": {
			[]string{"AVAL_REDIS_USER=u"}, "AVAL_REDIS_USER is set, and the password is missing",
		},
		"a password without user": {[]string{"AVAL_REDIS_PASSWORD=x"}, ""},
		"a cluster's database": {
			[]string{"AVAL_REDIS=a:1,b:1", "AVAL_REDIS_DB=3"}, "AVAL_REDIS_DB 3: a cluster has database 0 alone",
		},
		"no certificates": {
			[]string{"AVAL_KAFKA_TLS=true", "AVAL_KAFKA_TLS_CA=" + file}, "holds no certificate",
		},
		"no key": {
			[]string{"AVAL_REDIS_TLS=true", "AVAL_REDIS_TLS_CERT=" + file, "AVAL_REDIS_TLS_KEY=" + file},
			"redis-tls: client certificate " + file,
		},
		"a password in an address": {
			[]string{"AVAL_REDIS=redis://:swordfish@a:6379"}, `"***@a:6379" must be HOST:PORT`,
		},
		"an address twice": {[]string{"AVAL_KAFKA=a:1,a:1"}, "a:1 is named twice"},
		"no port":          {[]string{"AVAL_KAFKA=a:0"}, `port "0" must be a number from 1 to 65535`},
		"no file":          {[]string{"AVAL_CONFIG=/nowhere"}, "AVAL_CONFIG /nowhere: no such file"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := runWith(t, c.variables, "config", "check")
			want := exitUsage
			if c.want == "" {
				want = exitDecided
			}
			if code != want || !strings.Contains(stdout, c.want) {
				t.Errorf("config check ended with %d, want %q:\n%s%s", code, c.want, stdout, stderr)
			}
			if strings.Contains(stdout+stderr, "swordfish") {
				t.Errorf("it tells the password: %s%s", stdout, stderr)
			}
		})
	}
}

// TestUnwise works, and is told to be no good idea.
func TestUnwise(t *testing.T) {
	t.Parallel()
	path := config(t, "redis-password: swordfish\nredis: redis.test:6379\n")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := run(t, "config", "check", "--config", path)
	if code != exitDecided || !strings.Contains(stdout, "set redis-tls") ||
		!strings.Contains(stdout, "chmod 600 "+path) {
		t.Errorf("config check ended with %d and said %s", code, stdout)
	}
	if code, stdout, _ := run(t, "config", "check", "--config", path, "--redis-tls"); code != exitDecided ||
		strings.Contains(stdout, "set redis-tls") {
		t.Errorf("config check with TLS ended with %d and said %s", code, stdout)
	}
}

// TestNearest gives words that nobody knows.
func TestNearest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a command":           {[]string{"dmeo"}, "aval has no command dmeo; did you mean demo?"},
		"a command's command": {[]string{"config", "pritn"}, "aval config has no command pritn; did you mean print?"},
		"nothing alike":       {[]string{"config", "frobnicate"}, "there are check, print"},
		"a shell":             {[]string{"completion", "zhs"}, "did you mean zsh?"},
		"a flag": {
			[]string{"run", "--namespcae", "x"}, "aval run has no flag --namespcae; did you mean --namespace?",
		},
		"a flag cut off": {[]string{"run", "--kafka-tls-c", "x"}, "did you mean --kafka-tls"},
		"a letter":       {[]string{"run", "-q"}, "'q' in -q; see aval run --help"},
		"a stage":        {[]string{"run", "--stages", "ledgr"}, "ledgr is no stage; did you mean ledger?"},
		"a password's flag": {
			[]string{"run", "--kafka-password", "swordfish"},
			"--kafka-password is no flag, since others could see it: set AVAL_KAFKA_PASSWORD, or --kafka-password-file",
		},
		"an empty flag": {[]string{"run", "--kafka", ""}, "--kafka: is empty"},
		"a format":      {[]string{"config", "print", "-o", "xml"}, "must be table, json or ndjson"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, c.args...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("it ended with %d and said %s%s, want %q", code, stdout, stderr, c.want)
			}
			if strings.Contains(stderr, "swordfish") {
				t.Errorf("it tells the password: %s", stderr)
			}
		})
	}
}

// TestCompletion asks what a shell would ask.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"stages": {
			[]string{"run", "--stages", "ledger,re"}, []string{"ledger,register", "ledger,relay", "ledger,request"},
		},
		"formats":     {[]string{"config", "print", "-o", ""}, []string{"table", "json", "ndjson"}},
		"mechanisms":  {[]string{"run", "--kafka-sasl", ""}, access.Mechanisms()},
		"commands":    {[]string{"conf"}, []string{"config"}},
		"no secrets":  {[]string{"run", "--kafka-password"}, []string{"--kafka-password-file"}},
		"more levels": {[]string{"demo", "--log-level", ""}, []string{"debug", "info", "warn", "error"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stdout, _ := run(t, append([]string{"__complete"}, c.args...)...)
			var got []string
			for line := range strings.Lines(stdout) {
				if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); !strings.HasPrefix(word, ":") {
					got = append(got, word)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(got, want) {
				t.Errorf("it offers %q, want %q", got, want)
			}
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, _ := run(t, "completion", shell); code != exitDecided || len(stdout) < 1000 {
			t.Errorf("completion %s ended with %d after %d bytes", shell, code, len(stdout))
		}
	}
}

// TestManual writes the manual: each command has its page, on which its flags stand.
func TestManual(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "some", "man")
	if code, stdout, stderr := run(t, "man", "--dir", dir); code != exitDecided || stdout+stderr != "" {
		t.Fatalf("man ended with %d and said %s%s", code, stdout, stderr)
	}
	if page := string(readFile(t, filepath.Join(dir, "aval-run.1"))); !strings.Contains(page, `--drain-timeout`) {
		t.Errorf("the page of aval run lacks its flags: %s", page)
	}
	for _, page := range []string{"aval.1", "aval-config-print.1", "aval-dev.1"} {
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil {
			t.Error(err)
		}
	}
	for _, args := range [][]string{{"man"}, {"man", "--dir", "settings.go"}} {
		if code, _, stderr := run(t, args...); code != exitUsage || !strings.Contains(stderr, "--dir") {
			t.Errorf("%v ended with %d and said %s", args, code, stderr)
		}
	}
}
