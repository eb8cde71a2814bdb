package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/schemas"
)

const (
	head = "order_id,seller_id,buyer_id,amount,currency,payment_type,order_status\n"
	good = "o1,s,b,1.00,BRL,boleto,delivered\n"
)

// TestFiles hands in files that are none: the fault is told with its place, and nothing was begun.
func TestFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	files := map[string]struct {
		text string
		want []string // of the message
	}{
		"a column is missing": {
			"order_id,seller_id,buyer_id,currency\no,s,b,BRL\n",
			[]string{"header, line 1", "column amount is missing"},
		},
		"all columns missing": {
			"a;b;c\n1;2;3\n",
			[]string{"column order_id is missing", "column currency is missing", `"a;b;c"`},
		},
		"a column stands twice": {
			strings.Replace(head, "order_status", "amount", 1) + good,
			[]string{"header, line 1", "column amount stands twice"},
		},
		"empty": {"", []string{"is empty"}},
		"not UTF-8": {
			head + good + "o2,s\xff,b,1.00,BRL,,\n" + good,
			[]string{"record 2, line 3", "not UTF-8"},
		},
		"header not UTF-8": {"\xff" + head + good, []string{"header, line 1", "not UTF-8"}},
		"an unclosed quote": {
			head + good + good + "o2,\"s,b,1.00,BRL,,\n" + good,
			[]string{"record 3, line 4", "never closed"},
		},
		"a huge record": {
			head + good + "o2," + strings.Repeat("x", 1<<20) + ",b,1.00,BRL,,\n" + good,
			[]string{"record 2, line 3", "1048576 bytes"},
		},
		"a huge quoted record": {
			head + "\"" + strings.Repeat("x\n", 1<<19) + "\"\n",
			[]string{"record 1, line 2", "1048576 bytes"},
		},
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, []byte(f.text), "1000")
			refused(t, j, append(f.want, j.path("orders.csv")))
			if _, err := os.Stat(j.path("data")); err == nil {
				t.Error("the servers were started before the file was looked at")
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		refused(t, job{dir: t.TempDir(), funds: "1000"}, []string{folder, "is a folder"}, "--orders", folder)
	})
	t.Run("servers away", func(t *testing.T) {
		t.Parallel()
		refused(t, newJob(t, []byte(head+"\""), "1000"), []string{"never closed"},
			"--kafka", "127.0.0.1:1", "--redis", "127.0.0.1:1")
	})
	t.Run("absent", func(t *testing.T) {
		t.Parallel()
		refused(t, job{dir: t.TempDir(), funds: "1000"}, []string{"orders.csv", "no such file"})
	})
}

// refused expects that a run ends with wrong usage, a message that says all that is wanted, and nothing written:
// neither a file, nor a record in the log.
func refused(t *testing.T, j job, want []string, more ...string) {
	t.Helper()
	before := []byte("what stood there\n")
	writeFile(t, j.path("report.csv"), before)
	data := j.path("data")
	if !slices.Contains(more, "--data-dir") && !slices.Contains(more, "--kafka") && !slices.Contains(more, "--redis") {
		more = append(more, "--data-dir", data)
	}
	code, stdout, stderr := run(t, j.args(more...)...)
	if code != exitUsage {
		t.Errorf("it ended with %d, want %d", code, exitUsage)
	}
	if stdout != "" {
		t.Errorf("it printed %q", tail(stdout, 500))
	}
	message := stderr[strings.LastIndex(strings.TrimSpace("\n"+stderr), "\naval: ")+1:]
	for _, text := range want {
		if !strings.Contains(message, text) {
			t.Errorf("it says nothing of %q:\n%s", text, tail(stderr, 2000))
		}
	}
	if after := readFile(t, j.path("report.csv")); string(after) != string(before) {
		t.Errorf("the report that stood there was touched: %q", tail(string(after), 500))
	}
	if _, err := os.Stat(j.path("certificates.ndjson")); err == nil {
		t.Error("certificates were written")
	}
	if _, err := os.Stat(data); err == nil {
		embeddedPlace(data).look(t, func(log *client) {
			if topics, err := log.Existing(t.Context(), schemas.TopicPreIssues); err != nil || topics == 0 {
				return
			}
			if begun := readBooks(t, log); begun.items() > 0 {
				t.Errorf("something was begun: the journals hold %d items", begun.items())
			}
		})
	}
}

// TestFlags contradicts the rules of the flags.
func TestFlags(t *testing.T) {
	t.Parallel()
	absent := filepath.Join(t.TempDir(), "absent", "file")
	cases := map[string]struct {
		more []string
		want []string
	}{
		"an unknown progress": {[]string{"--progress", "loud"}, []string{`"loud"`, "auto, plain, json or none"}},
		"an unknown output":   {[]string{"-o", "xml"}, []string{`"xml"`, "table or json"}},
		"kafka alone":         {[]string{"--kafka", "127.0.0.1:1"}, []string{"--kafka and --redis go together"}},
		"redis alone":         {[]string{"--redis", "127.0.0.1:1"}, []string{"--kafka and --redis go together"}},
		"attach alone":        {[]string{"--attach"}, []string{"--attach needs --kafka and --redis"}},
		"two places": {
			[]string{"--kafka", "127.0.0.1:1", "--redis", "127.0.0.1:1", "--data-dir", "d"},
			[]string{"--data-dir"},
		},
		"an unknown flag":       {[]string{"--fnuds", "5"}, []string{"--fnuds"}},
		"an argument":           {[]string{"orders.csv"}, []string{"orders.csv"}},
		"funds that are none":   {[]string{"--funds", "many"}, []string{"--funds"}},
		"funds below zero":      {[]string{"--funds=-1"}, []string{"--funds"}},
		"funds too fine":        {[]string{"--funds", "10.001"}, []string{"--funds", "BRL"}},
		"a report in no folder": {[]string{"--report", absent}, []string{"--report", absent, "no such folder"}},
		"certificates in no folder": {
			[]string{"--certificates", absent},
			[]string{"--certificates", absent, "no such folder"},
		},
		"keys that are absent":     {[]string{"--keys", absent}, []string{"--keys", absent}},
		"a namespace that is none": {[]string{"--namespace", "a b"}, []string{"--namespace a b"}},
		"partitions below zero":    {[]string{"--partitions", "-1"}, []string{"--partitions"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, newJob(t, []byte(head+good), "1000"), c.want, c.more...)
		})
	}
	t.Run("no command", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"dmeo"}, {"run", "--kafka", "here"}, {"run", "--kafka", ""}} {
			if code, _, stderr := run(t, args...); code != exitUsage || !strings.Contains(stderr, "aval: ") {
				t.Errorf("aval %q ended with %d and said %q", args, code, stderr)
			}
		}
		away := []string{"run", "--kafka", "127.0.0.1:1", "--redis", "127.0.0.1:1"}
		code, _, stderr := run(t, append(away, "--stages", "ledger,lodger")...)
		if code != exitUsage || !strings.Contains(stderr, "lodger is no stage; did you mean ledger?") {
			t.Errorf("stages that are none: %d, %q", code, stderr)
		}
	})
}

// TestInvalidRows hands in every kind of row that is no order, between orders: each is told which field breaks
// which rule, and its neighbours go on.
func TestInvalidRows(t *testing.T) {
	t.Parallel()
	rows := []struct{ row, field, rule string }{
		{",s,b,1.00,BRL", "order_id", "empty"},
		{"o,,b,1.00,BRL", "seller_id", "empty"},
		{"o,s,,1.00,BRL", "buyer_id", "empty"},
		{"o,s,b,,BRL", "amount", "empty"},
		{"o,s,b", "amount", "empty"},
		{"o,s,b,0,BRL", "amount", "zero"},
		{"o,s,b,0.00,BRL", "amount", "zero"},
		{"o,s,b,-5.00,BRL", "amount", "digits"},
		{"o,s,b,+5.00,BRL", "amount", "digits"},
		{"o,s,b,1.234,BRL", "amount", "2"},
		{"o,s,b,1.0,JPY", "amount", "JPY"},
		{"o,s,b,1.0001,KWD", "amount", "3"},
		{"o,s,b,1e3,BRL", "amount", "digits"},
		{"o,s,b,\"1,000.00\",BRL", "amount", "digits"},
		{"o,s,b,NaN,BRL", "amount", "digits"},
		{"o,s,b,١٢٣,BRL", "amount", "digits"},
		{"o,s,b,１２,BRL", "amount", "digits"},
		{"o,s,b, 1.00,BRL", "amount", "digits"},
		{"o,s,b,1.,BRL", "amount", "digits"},
		{"o,s,b,.5,BRL", "amount", "digits"},
		{"o,s,b,90071992547409.92,BRL", "amount", "90071992547409.91"},
		{"o,s,b,12345678901234567,BRL", "amount", "16"},
		{"o,s,b,1.00,XYZ", "currency", `"XYZ"`},
		{"o,s,b,1.00,brl", "currency", `"brl"`},
		{"o,s,b,1.00,", "currency", "empty"},
	}
	var text strings.Builder
	text.WriteString("order_id,seller_id,buyer_id,amount,currency\n")
	for i, r := range rows {
		fmt.Fprintf(&text, "%s\nn%d,s,b,90.00,BRL\n", r.row, i)
	}
	j := newJob(t, []byte(text.String()), "2250") // for all neighbours, exactly
	e := j.judge(t, start(t, j.args()...))
	told := splitCSV(string(e.report))[1:]
	for i, r := range rows {
		reason := told[2*i][9]
		if told[2*i][8] != "invalid" || !strings.Contains(reason, r.field+": ") || !strings.Contains(reason, r.rule) {
			t.Errorf("%q was answered %s (%s), want invalid, %s and %q", r.row, told[2*i][8], reason, r.field, r.rule)
		}
		if told[2*i+1][8] != "issued" {
			t.Errorf("the neighbour of %q was answered %q", r.row, told[2*i+1][8:])
		}
	}
}

// TestAccountsStay runs again with other funds: accounts that were opened have what they have.
func TestAccountsStay(t *testing.T) {
	t.Parallel()
	for _, at := range places(t) {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, []byte(head+good), "1000")
			first := j.judge(t, start(t, j.args(at.flags...)...))
			var before books
			at.look(t, func(log *client) { before = readBooks(t, log) })
			j.funds = "1001"
			code, stdout, stderr := run(t, j.args(at.flags...)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, "funds") {
				t.Errorf("other funds: it ended with %d and said %s", code, tail(stderr, 2000))
			}
			if after := readFile(t, j.path("report.csv")); string(after) != string(first.report) {
				t.Error("the report was touched")
			}
			at.look(t, func(log *client) { before.gainedNothing(t, readBooks(t, log)) })
			j.funds = "1000.00" // the same in other words
			same(t, first, j.judge(t, start(t, j.args(at.flags...)...)))
		})
	}
}

// TestDataDirInUse starts a second program on a folder that the first one uses.
func TestDataDirInUse(t *testing.T) {
	t.Parallel()
	j := newJob(t, crowd(3, 2000), crowdFunds)
	data := j.path("data")
	first := start(t, j.args("--data-dir", data)...)
	first.awaitLog(t, "decide orders", 1)
	first.signal(t, syscall.SIGSTOP) // or it would be done before the second one has waited for the lock
	other := newJob(t, []byte(head+good), "1000")
	code, stdout, stderr := run(t, other.args("--data-dir", data)...)
	first.signal(t, syscall.SIGCONT)
	using := fmt.Sprintf("in use by process %d", first.cmd.Process.Pid)
	if code != exitUsage || stdout != "" || !strings.Contains(stderr, using) || !strings.Contains(stderr, data) {
		t.Errorf("it ended with %d and said %q, want %q", code, stderr, using)
	}
	if _, err := os.Stat(other.path("report.csv")); err == nil {
		t.Error("a report was written")
	}
	j.judge(t, first)
}

// TestPartitionsStay gives a namespace another number of partitions than it began with.
func TestPartitionsStay(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			namespace := localtest.Namespace(t)
			servers := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace}
			j := newJob(t, []byte(head+good), "1000")
			first := j.judge(t, start(t, j.args(append(servers, "--partitions", "3")...)...))
			log := connect(t, pair.Kafka, namespace)
			before := readBooks(t, log)
			other := newJob(t, []byte(head+good), "1000")
			refused(t, other, []string{"--partitions 5", "3"}, append(servers, "--partitions", "5")...)
			code, _, stderr := run(t, append([]string{"run", "--partitions", "5"}, servers...)...)
			if code != exitUsage || !strings.Contains(stderr, "--partitions 5") {
				t.Errorf("aval run ended with %d and said %q", code, stderr)
			}
			now := readBooks(t, log)
			if before.items() != now.items() {
				t.Errorf("the journals had %d items and have %d", before.items(), now.items())
			}
			same(t, first, j.judge(t, start(t, j.args(servers...)...)))
		})
	}
}
