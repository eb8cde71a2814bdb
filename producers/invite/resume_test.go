package invite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/invite"
)

var errDown = errors.New("the log is away")

// cut hands the file in until its n-th publish, which fails, with or without effect.
func (j *job) cut(n int, lands bool) invite.Summary {
	j.t.Helper()
	from := j.world.publishes
	j.world.before = func(at int, records []pipeline.Record) error {
		if at < from+n {
			return nil
		}
		if lands {
			j.world.add(records...)
		}
		return errDown
	}
	defer func() { j.world.before = nil }()
	s, err := j.run(j.t.Context())
	if !errors.Is(err, errDown) {
		j.t.Fatalf("it ended with %v", err)
	}
	return s
}

// big is a file of several publishes.
func big() (text string, rows int) {
	rows = 10000
	return file(rows), rows
}

func TestResume(t *testing.T) {
	t.Parallel()
	text, rows := big()
	for name, lands := range map[string]bool{"lost": false, "unanswered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newWorld(), text)
			first := j.cut(3, lands)
			if told := len(j.told()); first.Rows == 0 || first.Rows == rows || told != first.Rows {
				t.Fatalf("before the cut %+v, and %d in the report", first.Counts, told)
			}
			s := j.must()
			if want := (invite.Counts{Rows: rows, Sent: rows}); s.Counts != want || s.Resumed != first.Rows {
				t.Errorf("after it %+v, want %+v after %d", s, want, first.Rows)
			}
			j.wantWhole(rows, invite.Sent)
			twice := 0
			found := j.world.invitations(t)
			for _, x := range found {
				twice += len(x) - 1
			}
			if len(found) != rows || twice > 0 && !lands || twice == 0 && lands {
				t.Errorf("%d were handed in, %d of them twice", len(found), twice)
			}
		})
	}
}

// TestCuts cuts anywhere, as a killed process is: what stands in the report past the checkpoint does not count.
func TestCuts(t *testing.T) {
	t.Parallel()
	text, rows := big()
	j := newJob(t, newWorld(), text)
	random := rand.New(rand.NewPCG(7, 7))
	for resumed := -1; ; {
		before, err := os.ReadFile(j.c.Report + ".progress")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		s := j.cut(2, random.IntN(2) == 0)
		if s.Resumed <= resumed {
			t.Fatalf("it begins at row %d again", s.Resumed)
		}
		if resumed = s.Resumed; s.Rows > rows/2 {
			break
		}
		if len(before) > 0 && random.IntN(2) == 0 { // it was killed before it wrote down how far it had come
			resumed--
			if err := os.WriteFile(j.c.Report+".progress", before, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		report, err := os.OpenFile(j.c.Report, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(report, "half a r"); err != nil {
			t.Fatal(err)
		}
		if err := report.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j.must()
	j.wantWhole(rows, invite.Sent)
	if found := j.world.invitations(t); len(found) != rows {
		t.Errorf("%d were handed in, want %d", len(found), rows)
	}
}

// TestBeginAnew has nothing that an earlier run did taken for done where it may not be.
func TestBeginAnew(t *testing.T) {
	t.Parallel()
	text, rows := big()
	for name, change := range map[string]func(*testing.T, *job){
		"it is asked for": func(_ *testing.T, j *job) { j.c.Resume = false },
		"another input":   func(_ *testing.T, j *job) { j.write(strings.Replace(text, "1.00", "2.00", 1)) },
		"another way to wait": func(_ *testing.T, j *job) {
			j.c.Wait, j.c.Timeout = invite.WaitOffered, time.Millisecond
		},
		"another system": func(_ *testing.T, j *job) { j.world = newWorld() },
		"the report is gone": func(t *testing.T, j *job) {
			t.Helper()
			if err := os.Remove(j.c.Report); err != nil {
				t.Fatal(err)
			}
		},
		"the report was cut off": func(t *testing.T, j *job) {
			t.Helper()
			if err := os.Truncate(j.c.Report, 100); err != nil {
				t.Fatal(err)
			}
		},
		"the checkpoint is none": func(t *testing.T, j *job) {
			t.Helper()
			if err := os.WriteFile(j.c.Report+".progress", []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newWorld(), text)
			j.cut(3, false)
			change(t, j)
			if s := j.must(); s.Resumed != 0 || s.Rows != rows || s.Sent != rows {
				t.Errorf("it went on: %+v", s)
			}
			if told := j.told(); len(told) != rows {
				t.Errorf("the report has %d rows", len(told))
			}
		})
	}
}

// TestStreamResume gives a stream again: the same goes on, another one cannot be begun anew.
func TestStreamResume(t *testing.T) {
	t.Parallel()
	text, rows := big()
	j := newJob(t, newWorld(), text)
	j.cut(3, false)
	over := func(text string) (invite.Summary, error) {
		in, err := invite.Open(t.Context(), invite.Stdin, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return j.runOver(t.Context(), in)
	}
	var fault *invite.InputError
	if _, err := over(strings.Replace(text, "1.00", "2.00", 1)); !errors.As(err, &fault) ||
		!strings.Contains(err.Error(), "--resume=false") {
		t.Errorf("another stream ended with %v", err)
	}
	if s, err := over(text); err != nil || s.Resumed == 0 {
		t.Errorf("the same stream: %+v, %v", s, err)
	}
	j.wantWhole(rows, invite.Sent)
}

// TestInterrupt ends a run while a publish is under way: what the log has is told.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	text, rows := big()
	j := newJob(t, newWorld(), text)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j.world.before = func(n int, _ []pipeline.Record) error {
		if n == 3 {
			cancel()
			time.Sleep(10 * time.Millisecond) // whoever might give up has
		}
		return nil
	}
	s, err := j.run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it ended with %v", err)
	}
	found := j.world.invitations(t)
	if told := j.told(); len(told) != len(found) || s.Sent != len(found) || len(found) == rows {
		t.Errorf("the log has %d, the report %d, the summary %d", len(found), len(told), s.Sent)
	}
	if s := j.must(); s.Resumed != len(found) {
		t.Errorf("it went on at %d, want %d", s.Resumed, len(found))
	}
	j.wantWhole(rows, invite.Sent)
	for _, x := range j.world.invitations(t) {
		if len(x) != 1 {
			t.Fatalf("%v was handed in again", x)
		}
	}
}

// TestChange has the file written to, or cut off, while it is read: what is not known to be whole is not handed in.
func TestChange(t *testing.T) {
	t.Parallel()
	text, rows := big()
	half := text + "AVALBRSP/1,s,half,b,1.00,BRL,QUAYUS33X"
	for name, test := range map[string]struct {
		begin, then string
		says        string
		sent        int // at least
	}{
		"it grows":                     {text, text + line(rows), "grew from", rows},
		"its last line grows":          {half, half + "XX\n", "grew from", rows},
		"it is cut off":                {text, text[:len(text)*3/4], "shrank from", 1},
		"it is cut off at half a line": {text, text[:len(text)-30], "shrank from", 1},
		"it is emptied":                {text, "", "shrank from", 1},
		"it is written again":          {text, text, "was written at", rows},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newWorld(), test.begin)
			j.world.before = func(n int, _ []pipeline.Record) error {
				if n == 1 {
					time.Sleep(15 * time.Millisecond) // file systems count time in steps
					file, err := os.OpenFile(j.path(), os.O_RDWR, 0)
					if err != nil {
						return err
					}
					if _, err := file.WriteString(test.then); err != nil {
						return err
					}
					return errors.Join(file.Truncate(int64(len(test.then))), file.Close())
				}
				return nil
			}
			s, err := j.run(t.Context())
			var changed *invite.ChangedError
			if !errors.As(err, &changed) || !strings.Contains(err.Error(), j.path()+" "+test.says) {
				t.Fatalf("it ended with %v, want %q", err, test.says)
			}
			found := j.world.invitations(t)
			if len(found["half"]) > 0 || s.Sent < test.sent || s.Invalid != 0 {
				t.Errorf("%+v were handed in, half a line among them: %v", s.Counts, found["half"])
			}
			if told := j.told(); len(told) != len(found) {
				t.Errorf("the log has %d, the report %d", len(found), len(told))
			}
			if !strings.HasPrefix(test.then, test.begin) {
				return
			}
			j.world.before = nil
			after := j.must()
			want := strings.Count(test.then, "\n") - 1
			if after.Rows != want || after.Resumed != s.Rows || len(j.world.invitations(t)) != want {
				t.Errorf("afterwards %+v, want %d", after, want)
			}
		})
	}
}

// TestFullDisk runs out of room for the report in the middle of it: it ends with a whole row, and is gone on with.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	text, rows := big()
	j := newJob(t, newWorld(), text)
	disk := t.TempDir()
	if err := syscall.Mount("aval-test", disk, "tmpfs", 0, "size=128k"); err != nil {
		if os.Getuid() != 0 && os.Getenv("CI") == "" {
			t.Skipf("only root may mount a small disk: %v", err)
		}
		t.Fatalf("a small disk cannot be mounted: run the tests as root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, 0) })
	j.c.Report = filepath.Join(disk, "report.csv")
	_, err := j.run(t.Context())
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "write report "+j.c.Report) ||
		!strings.Contains(err.Error(), "make room, and run again, which is safe") {
		t.Fatalf("it ended with %v", err)
	}
	told, found := j.told(), j.world.invitations(t)
	if len(told) == 0 || len(told) > len(found) {
		t.Errorf("the report has %d rows, the log %d", len(told), len(found))
	}
	if err := syscall.Mount("", disk, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	j.must()
	j.wantWhole(rows, invite.Sent)
}

// TestReportEnds has somebody read the report as it is written, and leave.
func TestReportEnds(t *testing.T) {
	t.Parallel()
	text, rows := big()
	j := newJob(t, newWorld(), text)
	if err := syscall.Mkfifo(j.c.Report, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(j.c.Report, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	j.world.before = func(n int, _ []pipeline.Record) error {
		if n == 2 {
			return reader.Close()
		}
		return nil
	}
	_, err = j.run(t.Context())
	if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "write report "+j.c.Report) ||
		!strings.Contains(err.Error(), "the rows from line") {
		t.Fatalf("it ended with %v", err)
	}
	if found := len(j.world.invitations(t)); found == 0 || found == rows {
		t.Errorf("%d were handed in", found)
	}
}
