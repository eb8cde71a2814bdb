package invite_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

func TestRun(t *testing.T) {
	t.Parallel()
	const rows = 10000
	j := newJob(t, newWorld(), file(rows))
	j.c.Headers = []pipeline.Header{{Key: "traceparent", Value: []byte("x")}}
	s := j.must()
	if want := (invite.Counts{Rows: rows, Sent: rows}); s.Counts != want || s.Resumed != 0 || len(s.Faults) != 0 {
		t.Errorf("summary %+v, want %+v", s, want)
	}
	j.wantWhole(rows, invite.Sent)
	found := j.world.invitations(t)
	if len(found) != rows {
		t.Errorf("%d invitations were handed in, want %d", len(found), rows)
	}
	if x := found["r7"]; len(x) != 1 || x[0].GetDirectoryVersion() != 3 {
		t.Errorf("an invitation is %v", x)
	}
	for _, records := range j.world.topics[schemas.TopicInvitations] {
		if h := records[0].Headers; h[len(h)-1].Key != "traceparent" {
			t.Errorf("the headers are %v", h)
		}
	}
	before := j.told()
	again := j.must() // it came to its end: it is handed in anew
	if again.Counts != s.Counts || again.Resumed != 0 || len(j.told()) != len(before) {
		t.Errorf("the second time %+v", again)
	}
	for reference, x := range j.world.invitations(t) {
		if len(x) != 2 || x[0].GetId() != x[1].GetId() {
			t.Fatalf("%s was handed in as %v", reference, x)
		}
	}
}

// TestOrder has rows of one invitation come in the order of the file.
func TestOrder(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(header)
	for range 10000 {
		b.WriteString("AVALBRSP/1,s,r,b,1.00,BRL,QUAYUS33XXX\nAVALBRSP/1,s,r,b,2.00,BRL,QUAYUS33XXX\n")
	}
	j := newJob(t, newWorld(), b.String())
	j.must()
	for i, x := range j.world.invitations(t)["r"] {
		if x.GetAmount().GetMinorUnits() != int64(100*(i%2+1)) {
			t.Fatalf("invitation %d is that of another row: %v", i, x)
		}
	}
}

func TestNeighbours(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", invite.RowMax)
	for name, test := range map[string]struct {
		name string
		bad  string
		says string
	}{
		"a fault":        {"rows.csv", "AVALBRSP/1,s,bad,b,1.001,BRL,QUAYUS33XXX\n", "amount has 3 digits"},
		"a long row":     {"rows.csv", long + ",\n", "row is longer than 1048576 bytes: shorten it"},
		"bad UTF-8":      {"rows.csv", "AVALBRSP/1,s,\xff\xfe,b,1,BRL,QUAYUS33XXX\r\n", "reference has 2 bytes"},
		"too few":        {"rows.csv", "AVALBRSP/1,s,r\n", "row has 3 fields, the header names 7"},
		"no object":      {"rows.ndjson", "[1,2]\n", "line is an array, must be one object"},
		"half an object": {"rows.ndjson", "{\"seller\":\n", "unexpected"},
		"a long line":    {"rows.ndjson", "{\"seller\":\"" + long + "\"}\n", "row is longer than"},
		"an odd line":    {"rows.jsonl", "{\"seller\":\"\xff\"}\n", "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, text := line, header
			if !strings.HasSuffix(test.name, ".csv") {
				good, text = object, ""
			}
			j := newJob(t, newWorld(), "")
			j.name = test.name
			j.write("\xef\xbb\xbf" + text + good(0) + test.bad + "\r\n" + good(1) + strings.TrimSpace(good(2)))
			s := j.must()
			if want := (invite.Counts{Rows: 4, Sent: 3, Invalid: 1}); s.Counts != want {
				t.Errorf("summary %+v, want %+v", s.Counts, want)
			}
			told, at := j.told()[1], strings.Count(text, "\n")+2
			if len(s.Faults) != 1 || s.Faults[0].Line != at || !strings.Contains(told["reason"], test.says) ||
				told["outcome"] != "invalid" || told["invitation_id"] != "" {
				t.Errorf("it is told as %v and %v, want line %d: %s", told, s.Faults, at, test.says)
			}
			if found := j.world.invitations(t); len(found) != 3 {
				t.Errorf("%d neighbours were handed in", len(found))
			}
		})
	}
}

func object(i int) string {
	return `{"receiving_account":"AVALBRSP/1","seller":"s","reference":"r` + string(rune('0'+i)) + `","buyer":"b",` +
		`"amount":{"minor_units":"100","currency":"BRL"},"issuing":{"bank":"QUAYUS33XXX"}}` + "\r\n"
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		name   string
		format invite.Format
		text   string
		sent   int
		says   string // of what cannot be taken
	}{
		"by the first byte: JSON": {"rows", "", " \n" + object(0), 1, ""},
		"by the first byte: CSV":  {"rows", "", file(2), 2, ""},
		"as it is said":           {"rows.csv", invite.FormatNDJSON, object(0), 1, ""},
		"against its name":        {"rows.csv", "", object(0), 0, "did you mean"},
		"an array":                {"rows", "", "[" + object(0) + "]", 0, ""},
		"empty":                   {"rows.csv", "", "", 0, "is empty: its first line must name its columns"},
		"empty, JSON":             {"rows.ndjson", "", "", 0, ""},
		"a header alone":          {"rows.csv", "", header, 0, ""},
		"blanks":                  {"rows.csv", "", "\r\n\n\n", 0, "is empty"},
		"many blanks":             {"rows", "", strings.Repeat("\n", 1<<20), 0, "is empty"},
		"a long header":           {"rows.csv", "", strings.Repeat("x", invite.RowMax+1), 0, "its first line has"},
		"an open header":          {"rows.csv", "", "\"seller\n", 0, "line 1: a quote begins here that is never"},
		"an unknown column":       {"rows.csv", "", "\nsellr\n", 0, `rows.csv, line 2: column "sellr" is unknown`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newWorld(), "")
			j.name, j.c.Format = test.name, test.format
			j.write(test.text)
			in, err := invite.Open(t.Context(), j.path(), nil)
			if err != nil {
				t.Fatal(err)
			}
			checked := invite.Check(in, j.c)
			s, err := j.runOver(t.Context(), in)
			if checked != nil && (err == nil || checked.Error() != err.Error()) || checked == nil && err != nil {
				t.Errorf("the check said %v, the run %v", checked, err)
			}
			var fault *invite.InputError
			if errors.As(err, &fault) != (test.says != "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("it ended with %v, want %q", err, test.says)
			}
			if s.Sent != test.sent || len(j.world.invitations(t)) != test.sent {
				t.Errorf("%+v were handed in, want %d", s.Counts, test.sent)
			}
			if _, err := os.Stat(j.c.Report); test.says != "" && err == nil {
				t.Error("the report was begun for what cannot be taken")
			}
		})
	}
}

// TestOpenQuote stops where nobody can tell what a row is, and tells so; once mended, the rest is handed in.
func TestOpenQuote(t *testing.T) {
	t.Parallel()
	bad := "AVALBRSP/1,\"s,r2,b,1.00,BRL,QUAYUS33XXX\n"
	j := newJob(t, newWorld(), file(2)+bad+line(3))
	for range 2 {
		s, err := j.run(t.Context())
		var stop *invite.StopError
		if !errors.As(err, &stop) || stop.Line != 4 || !strings.Contains(err.Error(), "rows.csv, line 4: a quote") {
			t.Fatalf("it ended with %v", err)
		}
		told := j.told()
		if s.Sent != 2 || len(told) != 3 || told[2]["line"] != "4" || told[2]["outcome"] != "invalid" {
			t.Errorf("%+v, and the report ends with %v", s, told[2])
		}
	}
	j.write(file(4))
	if s := j.must(); s.Resumed != 2 {
		t.Errorf("once mended %+v", s)
	}
	j.wantWhole(4, invite.Sent)
}

// TestReportFault has no room for the report: before anything is handed in, or in the middle.
func TestReportFault(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"a full disk": "/dev/full", "a folder": t.TempDir(),
		"no folder": filepath.Join(t.TempDir(), "absent", "report.csv"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newWorld(), file(10))
			j.c.Report = path
			if _, err := j.run(t.Context()); err == nil || !strings.Contains(err.Error(), "write report "+path) {
				t.Errorf("it ended with %v", err)
			}
			if found := j.world.invitations(t); len(found) != 0 {
				t.Errorf("%d were handed in without a report", len(found))
			}
		})
	}
}

// TestStream hands in what comes over a pipe as it comes, not when there is more of it.
func TestStream(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	j := newJob(t, newWorld(), "")
	input, err := invite.Open(t.Context(), invite.Stdin, in)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := j.runOver(t.Context(), input)
		ended <- err
	}()
	if _, err := io.WriteString(out, header+line(0)+"AVALBRSP/1,s"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(j.world.invitations(t)) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a row that is whole waits for the next")
		}
	}
	if _, err := io.WriteString(out, ",r1,b,1.00,BRL,QUAYUS33XXX"); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	j.wantWhole(2, invite.Sent)
}

// TestSilentStream interrupts a run that waits for its input.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() //nolint:errcheck // nothing was written
	defer in.Close()  //nolint:errcheck // nothing was read
	j := newJob(t, newWorld(), "")
	j.c.Format = invite.FormatNDJSON
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	input, err := invite.Open(ctx, invite.Stdin, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.runOver(ctx, input); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
}
