package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

// journey are the commands of the README that lead from nothing to a certificate.
func journey(t *testing.T) string {
	t.Helper()
	_, text, ok := strings.Cut(string(readFile(t, "../../README.md")), "\n## On real servers\n")
	if !ok {
		t.Fatal("the README has no heading for real servers")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var commands strings.Builder
	for i, part := range strings.Split(text, "```") {
		if block, is := strings.CutPrefix(part, "sh\n"); is && i%2 == 1 {
			commands.WriteString(block)
		}
	}
	return commands.String()
}

// tellServers is a shell's command that prints what `make up` does: of real servers, by the script that started them.
func tellServers(t *testing.T, at localtest.Pair) string {
	t.Helper()
	run := os.Getenv("AVAL_TEST_RUN")
	if at.Name == "embedded" || run == "" {
		return "echo 'export AVAL_KAFKA=" + at.Kafka + " AVAL_REDIS=" + at.Redis + "'"
	}
	script, err := filepath.Abs("../../deploy/local/servers")
	if err != nil {
		t.Fatal(err)
	}
	return "'" + script + "' env --name '" + run + "'"
}

// TestReadme runs the README's commands as they stand there. Only what builds the program and what starts the servers
// was done before.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.Mkdir(filepath.Join(folder, "bin"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(os.Getenv(binaryVariable), filepath.Join(folder, "bin", "aval")); err != nil {
				t.Fatal(err)
			}
			prelude := `set -eu
make() {
	echo "make $*" >> made
	case "$*" in *up*) ` + tellServers(t, at) + ` ;; esac
}
`
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			shell := exec.CommandContext(ctx, "bash", "-c", prelude+journey(t)+"wait\necho the end\n")
			shell.Dir = folder
			shell.Env = append(environment(), "AVAL_NAMESPACE="+localtest.Namespace(t), "AVAL_PARTITIONS=3")
			if at.Name == "embedded" {
				shell.Env = append(shell.Env, "AVAL_DEV=true") // which forgets all with the process
			}
			shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the stages end with the shell
			shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
			shell.WaitDelay = time.Second
			text, err := shell.CombinedOutput()
			if err != nil {
				_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // what it began
				t.Fatalf("%v:\n%s", err, text)
			}
			made := string(readFile(t, filepath.Join(folder, "made")))
			if made != "make build\nmake -s up\nmake down\n" {
				t.Errorf("the README makes\n%s", made)
			}
			for _, want := range []string{
				"verdict            it verifies", "frozen", "signed with key", "msg=stopped", "the end\n",
			} {
				if !strings.Contains(string(text), want) {
					t.Errorf("it says\n%s\nwant %q", text, want)
				}
			}
		})
	}
}
