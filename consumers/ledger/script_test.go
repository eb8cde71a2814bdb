package ledger_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// TestScripts runs the tables of testdata, which say at their heads how they are read: each command as a
// batch of its own, with everything that it changed; then all of them as one batch, which must come to the
// same.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.script")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts", err)
	}
	for _, server := range booktest.Servers(t) {
		for _, file := range files {
			t.Run(server.Name+"/"+filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				lines := readScript(t, file)
				runScript(t, lines, booktest.New(t, ledger.Book{}, server.Address), 1)
				runScript(t, lines, booktest.New(t, ledger.Book{}, server.Address), len(lines))
			})
		}
	}
}

type line struct {
	at      string // file and line
	order   order
	outcome string
	after   map[string]string
}

func runScript(t *testing.T, lines []line, shard *booktest.Shard, batch int) {
	t.Helper()
	before := map[string]string{}
	for part := range slices.Chunk(lines, batch) {
		var commands []booktest.Command
		for _, l := range part {
			commands = append(commands, l.order.command())
		}
		told := map[string]string{}
		for i, in := range shard.Decide(commands...) {
			if got := strings.TrimPrefix(word(in), "refused "); got != part[i].outcome {
				t.Errorf("%s: outcome %s, want %s", part[i].at, got, part[i].outcome)
			}
			maps.Copy(told, part[i].after)
		}
		tables := shard.Tables()
		if err := broken(tables); err != nil {
			t.Errorf("%s: %v", part[len(part)-1].at, err)
		}
		after := shown(t, tables)
		for _, name := range slices.Sorted(maps.Keys(told)) {
			if got := orNone(after[name]); got != told[name] {
				t.Errorf("%s: %s is %s, want %s", part[len(part)-1].at, name, got, told[name])
			}
		}
		for name := range after {
			if told[name] == "" && before[name] != after[name] {
				at := part[len(part)-1].at
				t.Errorf("%s: %s became %s, which the line does not say", at, name, after[name])
			}
		}
		before = after
	}
}

// shown are the balances as scripts write them.
func shown(t *testing.T, tables map[string]map[string]string) map[string]string {
	t.Helper()
	after := map[string]string{}
	for id, row := range tables[ledger.TableAccounts] {
		a, err := ledger.ParseAccount(row)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d/%d", a.Ledger, a.Frozen)
		switch a.Kind {
		case schemas.AccountKind_ACCOUNT_KIND_CREDIT:
			text = fmt.Sprintf("%d/%d/%d", a.Limit, a.Drawn, a.Held)
		case schemas.AccountKind_ACCOUNT_KIND_INTERNAL:
			text = strconv.FormatInt(a.Ledger, 10)
		case schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED:
		}
		if a.Status == ledger.Blocked {
			text += "!"
		}
		after[strings.TrimSuffix(strings.TrimPrefix(id, bank), "/BRL")] = text
	}
	for id, row := range tables[ledger.TableHolds] {
		h, err := ledger.ParseHold(row)
		if err != nil {
			t.Fatal(err)
		}
		after[id] = strconv.FormatInt(h.Remaining(), 10)
	}
	return after
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func readScript(t *testing.T, file string) []line {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	number := 0
	for row := range strings.Lines(string(text)) {
		number++
		row, _, _ = strings.Cut(row, "#")
		if strings.TrimSpace(row) == "" {
			continue
		}
		l, err := parseLine(row)
		if err != nil {
			t.Fatalf("%s:%d: %v", file, number, err)
		}
		l.at = fmt.Sprintf("%s:%d", filepath.Base(file), number)
		lines = append(lines, l)
	}
	return lines
}

func parseLine(row string) (line, error) {
	left, after, _ := strings.Cut(row, "|")
	left, outcome, ok := strings.Cut(left, "->")
	f := strings.Fields(left)
	if !ok || len(f) < 4 {
		return line{}, fmt.Errorf("%q is not: command id account amount [options] -> outcome | balances", row)
	}
	l := line{outcome: strings.TrimSpace(outcome), after: map[string]string{}}
	amount, err := parseAmount(f[3])
	if err != nil {
		return line{}, err
	}
	l.order = usual(f[0], f[1], f[2], amount)
	for _, option := range f[4:] {
		name, value, _ := strings.Cut(option, "=")
		if err := l.order.set(name, value); err != nil {
			return line{}, err
		}
	}
	for balance := range strings.FieldsSeq(after) {
		name, value, _ := strings.Cut(balance, "=")
		l.after[name] = strings.NewReplacer("MAX-1", max1, "MAX", max0).Replace(value)
	}
	return l, nil
}

const max0, max1 = "9007199254740991", "9007199254740990"

func parseAmount(text string) (int64, error) {
	switch text {
	case "-":
		return 0, nil
	case "MAX":
		return schemas.AmountMax, nil
	case "MAX-1":
		return schemas.AmountMax - 1, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

func (o *order) set(name, value string) (err error) {
	switch name {
	case "kind":
		o.kind = value
	case "of":
		o.holder = value
	case "in":
		o.currency = value
	case "hold":
		o.hold = value
	case "contra":
		o.contra = value
	case "about":
		o.content = value
	case "at":
		o.at, err = strconv.ParseInt(value, 10, 64)
	case "keep":
		o.keep, err = strconv.ParseInt(value, 10, 64)
	default:
		return fmt.Errorf("option %s is unknown", name)
	}
	return err
}
