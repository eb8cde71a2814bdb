package main_test

import (
	"strings"
	"testing"
)

// TestWrongUsage calls commands in ways that they do not have: what is wrong is named, and where to learn better.
func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a flag is missing": {
			[]string{"notice", "list"}, "aval notice list: --recipient is missing; see aval notice list --help",
		},
		"an argument too many": {
			[]string{"notice", "list", "maria"},
			`aval notice list takes flags alone, and is given "maria"; see aval notice list --help`,
		},
		"none of the words": {
			[]string{"bench", "tea"}, `invalid argument "tea" for "aval bench"; see aval bench --help`,
		},
		"a stage": {
			[]string{"run", "--stages", "leger"}, "leger is no stage; did you mean ledger?; there are invitation, ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, test.args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, output %q, message\n%s\nwant 2, none, and\n%s", code, stdout, stderr, test.want)
			}
		})
	}
}
