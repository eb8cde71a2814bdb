package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress is told how far a run has come. A run tells one stage at a time.
type Progress interface {
	// Stage begins a stage of so many steps; zero where nobody knows.
	Stage(name string, total int)
	// Add says that so many more steps are done.
	Add(n int)
	// Done ends the stage, completed or not.
	Done()
}

// Words for how progress is shown.
const (
	ProgressAuto  = "auto"  // a bar on a terminal, else lines
	ProgressPlain = "plain" // lines
	ProgressJSON  = "json"  // lines of JSON
	ProgressNone  = "none"
)

// NewProgress returns what shows progress so.
func NewProgress(word string, w io.Writer, terminal bool) (Progress, error) {
	switch word {
	case ProgressAuto:
		if terminal {
			return &bar{out: w}, nil
		}
		return &lines{print: plain(w)}, nil
	case ProgressPlain:
		return &lines{print: plain(w)}, nil
	case ProgressJSON:
		return &lines{print: jsonLines(w)}, nil
	case ProgressNone:
		return Silent{}, nil
	}
	return nil, UsageError{Err: fmt.Errorf("--progress %q, must be auto, plain, json or none", word)}
}

// lateAfter is how long a stage takes that is worth being shown.
const lateAfter = time.Second

// Late shows what p does, of stages that take long enough to be waited for.
func Late(p Progress, now func() time.Time) Progress { return &late{of: p, now: now} }

type late struct {
	of    Progress
	now   func() time.Time
	name  string
	began time.Time
	total int
	done  int
	shown bool
}

func (l *late) Stage(name string, total int) {
	l.name, l.total, l.began, l.done, l.shown = name, total, l.now(), 0, false
}

func (l *late) Add(n int) {
	if l.done += n; !l.shown {
		if l.now().Sub(l.began) < lateAfter {
			return
		}
		l.shown, n = true, l.done
		l.of.Stage(l.name, l.total)
	}
	l.of.Add(n)
}

func (l *late) Done() {
	if l.shown {
		l.of.Done()
	}
}

// Silent shows nothing.
type Silent struct{}

var _ Progress = Silent{}

// Stage shows nothing.
func (Silent) Stage(string, int) {}

// Add shows nothing.
func (Silent) Add(int) {}

// Done shows nothing.
func (Silent) Done() {}

// bar is a progress bar for people.
type bar struct {
	out   io.Writer
	shown *progressbar.ProgressBar
}

var _ Progress = (*bar)(nil)

func (b *bar) Stage(name string, total int) {
	if total == 0 {
		total = -1 // a spinner
	}
	b.shown = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription(name),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(false),
		progressbar.OptionThrottle(barEvery), progressbar.OptionSpinnerCustom([]string{" "}))
	_ = b.shown.RenderBlank() // a bar that cannot be shown must not stop the work
}

func (b *bar) Add(n int) { _ = b.shown.Add(n) }

func (b *bar) Done() {
	_ = b.shown.Exit()
	_, _ = fmt.Fprintln(b.out)
}

// lines tells of a stage when it begins, at every tenth part, and when it ends.
type lines struct {
	print func(name string, done, total int, ended bool)

	name              string
	done, total, next int
}

var _ Progress = (*lines)(nil)

const (
	parts    = 10
	barEvery = 100 * time.Millisecond
)

func (l *lines) Stage(name string, total int) {
	l.name, l.done, l.total, l.next = name, 0, total, 1
	l.print(name, 0, total, false)
}

func (l *lines) Add(n int) {
	l.done += n
	if l.total == 0 || l.done*parts < l.next*l.total || l.done >= l.total {
		return
	}
	l.next = l.done*parts/l.total + 1
	l.print(l.name, l.done, l.total, false)
}

func (l *lines) Done() { l.print(l.name, l.done, l.total, true) }

func plain(w io.Writer) func(string, int, int, bool) {
	return func(name string, done, total int, ended bool) {
		count := ""
		if total > 0 {
			count = fmt.Sprintf(" %d/%d", done, total)
		}
		end := ""
		if ended {
			end = " done"
		}
		_, _ = fmt.Fprintf(w, "%s%s%s\n", name, count, end)
	}
}

func jsonLines(w io.Writer) func(string, int, int, bool) {
	out := json.NewEncoder(w)
	return func(name string, done, total int, ended bool) {
		_ = out.Encode(struct {
			Stage string `json:"stage"`
			Done  int    `json:"done"`
			Total int    `json:"total"`
			Ended bool   `json:"ended"`
		}{name, done, total, ended})
	}
}
