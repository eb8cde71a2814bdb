// Package invite hands a file of invitations in, row by row, and tells what became of each.
//
//	reads   CSV or NDJSON; and, where it waits for decisions, certificates, refusals and pre-issues
//	effect  writes the report
//	emits   invitations
//
// Rows are sent in their order, many at a time, and told in the report once Kafka has them. A row's identifiers are
// derived from what it says, so that sending it again changes nothing; what was cut off goes on where the report ends.
// What is wrong with a row is told in the report, and its neighbours go on.
package invite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const topicInvitations = schemas.TopicInvitations

// Format is how the input writes invitations.
type Format string

// The formats.
const (
	FormatAuto   Format = "auto"   // by the file's name, else by its first byte
	FormatCSV    Format = "csv"    // a header of Columns, then an invitation a row
	FormatNDJSON Format = "ndjson" // a line is an object of the message Invitation, as ProtoJSON writes it
)

// Wait is what a row is waited for.
type Wait string

// What there is to wait for.
const (
	WaitNone    Wait = ""        // that Kafka has it
	WaitOffered Wait = "offered" // that it is refused, or is the buyer's to answer
	WaitFinal   Wait = "final"   // that it is refused, or issued
)

const (
	// TimeoutDefault is how long rows are waited for while none is decided.
	TimeoutDefault = time.Minute
	// PieceBytesDefault is how much of the input is worked on at a time, unless one row alone has more.
	PieceBytesDefault = 256 << 10
)

// Config is what a run needs to know.
type Config struct {
	Format  Format
	Version uint64 // of the directory, for the rows that give none
	Report  string // path of the report; empty for none
	Resume  bool   // go on where a run with the same report and input was cut
	Wait    Wait
	Timeout time.Duration // how long to wait while no decision comes; zero: TimeoutDefault
	// Headers stand on each record, besides the envelope's: whose run it is.
	Headers    []pipeline.Header
	PieceBytes int // of the input that are worked on at a time; zero: PieceBytesDefault
	Partitions int // of every keyed topic
	Now        func() time.Time
	Progress   Progress // nil for none
}

// Progress is told how far a run has come.
type Progress interface {
	// Stage begins a stage of so many steps; zero where nobody knows.
	Stage(name string, total int)
	// Add says that so many more steps are done.
	Add(n int)
	// Done ends the stage, completed or not.
	Done()
}

// Deps are the parts of the pipeline that a run uses.
type Deps struct {
	Publisher pipeline.Publisher
	Log       Log
	Marks     Marks
	// Recall returns what was decided before on invitations that are handed in again, as far as it is known: nobody
	// tells it anew. It may be nil.
	Recall func(ctx context.Context, invitations []string) ([]Known, error)
}

// Counts are rows by outcome.
type Counts struct {
	Rows      int `json:"rows"`
	Sent      int `json:"sent"` // Kafka has them: all but the invalid ones
	Invalid   int `json:"invalid"`
	Offered   int `json:"offered"`
	Issued    int `json:"issued"`
	Refused   int `json:"refused"`
	Undecided int `json:"undecided"`
}

func (c *Counts) add(o Outcome) {
	c.Rows++
	if o != Invalid {
		c.Sent++
	}
	switch o {
	case Invalid:
		c.Invalid++
	case Offered:
		c.Offered++
	case Issued:
		c.Issued++
	case Refused:
		c.Refused++
	case Undecided:
		c.Undecided++
	case Sent:
	}
}

// Summary is what a run did.
type Summary struct {
	Counts

	Resumed int           // rows of the counts that an earlier run had told already
	Took    time.Duration // of this run
	Faults  []Fault       // the first invalid rows
}

// Fault is an invalid row.
type Fault struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// faultsShown is how many invalid rows a summary names.
const faultsShown = 10

// InputError says that the input as a whole cannot be taken; nothing was handed in.
type InputError struct{ Err error }

// Error says why.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *InputError) Unwrap() error { return e.Err }

// Check says what is wrong with a file's header, before anybody is waited for. A stream cannot be read twice.
func Check(in *Input, c Config) error {
	if in.was == nil {
		return nil
	}
	r := &run{Config: c.withDefaults(), input: in, name: in.Name}
	err := r.begin()
	if !in.again() && err == nil {
		err = fmt.Errorf("read %s from its beginning again", in.Name)
	}
	return err
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, TimeoutDefault)
	c.PieceBytes = cmp.Or(c.PieceBytes, PieceBytesDefault)
	if c.Progress == nil {
		c.Progress = silent{}
	}
	return c
}

// Run hands the input in. With an error there is a summary of what was told until then.
func Run(ctx context.Context, in *Input, c Config, d Deps) (s Summary, err error) {
	began := c.Now()
	r := &run{Config: c.withDefaults(), deps: d, input: in, name: in.Name}
	if err := r.open(ctx); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, r.report.close()) }()
	err = r.work(ctx)
	s = r.summary
	s.Took = c.Now().Sub(began)
	return s, err
}

// run is a run at work.
type run struct {
	Config

	deps    Deps
	input   *Input
	name    string
	split   *splitter
	rows    *rows
	report  *report
	tracker *tracker // nil where nobody waits
	summary Summary
	point   checkpoint // up to which everything is told for good
	kept    time.Time  // when it was stored last
	held    *job       // that Kafka has, and whose decisions were waited for at the end
	left    []*job     // that Kafka has, and that could not be handed on before the end
}

// open finds out how the input is to be read, where from, and whether the report can be written.
func (r *run) open(ctx context.Context) error {
	at, found := loadCheckpoint(r.Report)
	found = found && r.Resume && at.Wait == r.Wait
	if found {
		_, end, err := r.deps.Log.Bounds(ctx, topicInvitations, min(at.Log.Partition, r.Partitions-1))
		if err != nil {
			return fmt.Errorf("look where the log ends: %w", err)
		}
		found = end >= at.Log.End
	}
	if err := r.begin(); err != nil {
		return err
	}
	if found {
		var err error
		if found, err = r.goOn(at); err != nil {
			return err
		}
	}
	var from *checkpoint
	if r.point = (checkpoint{Format: r.Format, Wait: r.Wait, Input: r.split.at}); found {
		from, r.point = &at, at
		r.summary.Counts, r.summary.Resumed = at.Counts, at.Counts.Rows
	}
	var err error
	if r.report, err = beginReport(r.Report, from); err != nil {
		return err
	}
	r.point.Report = r.report.flushed
	return nil
}

// goOn reads up to where an earlier run was cut. An input that is another one is begun anew.
func (r *run) goOn(at checkpoint) (bool, error) {
	same, err := r.split.skipTo(at.Input)
	switch {
	case err != nil:
		return false, fmt.Errorf("read %s: %w", r.name, err)
	case same && at.Format == r.Format:
		return true, nil
	case !r.input.again():
		return false, &InputError{fmt.Errorf("%s does not begin as it did when the run of the report %s was cut: "+
			"give the same, or begin anew (--resume=false), which is safe", r.name, r.Report)}
	}
	return false, r.begin()
}

// begin begins to read: the format, and of CSV the header.
func (r *run) begin() error {
	r.split = newSplitter(r.input.in, true)
	r.split.bytes = r.PieceBytes
	format, err := r.format()
	if err != nil {
		return err
	}
	r.Format, r.split.csv = format, format == FormatCSV
	r.rows = &rows{version: r.Version, headers: r.Headers}
	if format == FormatNDJSON {
		return nil
	}
	header, err := r.split.next()
	var stop *StopError
	switch {
	case isEnd(err):
		return &InputError{fmt.Errorf("%s is empty: its first line must name its columns, such as %s", r.name,
			strings.Join(needed(), ","))}
	case errors.As(err, &stop):
		return &InputError{fmt.Errorf("%s: %w", r.name, err)}
	case err != nil:
		return fmt.Errorf("read %s: %w", r.name, err)
	case header.tooLong:
		return &InputError{fmt.Errorf("%s: its first line has more than %d bytes: it must name the columns, such as %s",
			r.name, RowMax, strings.Join(needed(), ","))}
	}
	if r.rows.columns, err = setters(fields(string(header.text), nil)); err != nil {
		return &InputError{fmt.Errorf("%s, line %d: %w", r.name, header.line, oneLine(err))}
	}
	return nil
}

// format is the one that is asked for, or what the input looks like.
func (r *run) format() (Format, error) {
	if r.Format == FormatCSV || r.Format == FormatNDJSON {
		return r.Format, nil
	}
	switch strings.ToLower(filepath.Ext(r.input.Name)) {
	case ".csv":
		return FormatCSV, nil
	case ".ndjson", ".jsonl", ".json":
		return FormatNDJSON, nil
	}
	first, err := r.split.first()
	if err != nil && !isEnd(err) {
		return "", fmt.Errorf("read %s: %w", r.name, err)
	}
	if first == '{' || first == '[' {
		return FormatNDJSON, nil
	}
	return FormatCSV, nil
}

// needed are the columns that a header must name.
func needed() []string {
	var names []string
	for _, c := range Columns() {
		if c.Needed {
			names = append(names, c.Name)
		}
	}
	return names
}

// oneLine writes joined errors after another.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// work reads, encodes, publishes and tells, each beside the others, and follows what is decided.
func (r *run) work(ctx context.Context) error {
	q := newQueues(runtime.GOMAXPROCS(0))
	ended := errors.New("everything was told")
	actors := []func(context.Context) error{
		func(ctx context.Context) error { return r.read(ctx, q) },
		func(ctx context.Context) error { return r.publish(ctx, q) },
		func(ctx context.Context) error { return cmp.Or(r.tell(ctx, q), ended) },
	}
	for range q.workers {
		actors = append(actors, func(ctx context.Context) error { return r.encode(ctx, q) })
	}
	if r.Wait != WaitNone {
		f, err := r.follow(ctx)
		if err != nil {
			return err
		}
		actors = append(actors, f...)
	}
	r.Progress.Stage("hand in "+r.name+", KiB", int(r.input.Size>>10))
	defer r.Progress.Done()
	err := pipeline.Run(ctx, actors...)
	if errors.Is(err, ended) {
		err = nil
	} else if err == nil {
		err = context.Cause(ctx)
	}
	r.point.Done = err == nil
	return errors.Join(err, r.finish(ctx, q))
}

// silent shows no progress.
type silent struct{}

// Stage shows nothing.
func (silent) Stage(string, int) {}

// Add shows nothing.
func (silent) Add(int) {}

// Done shows nothing.
func (silent) Done() {}

// Formats are the words for a format.
func Formats() []string {
	words := []string{string(FormatAuto), string(FormatCSV), string(FormatNDJSON)}
	return slices.Clip(words)
}
