package invite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

const (
	// publishMax is how many records are published at a time: enough for full batches in many partitions, and few
	// enough that what is under way takes little memory.
	publishMax = 8 << 10
	// ahead is how many jobs may be read before they are published.
	ahead = 8
	// outstanding is how many jobs may be published before they are told: what waits for decisions.
	outstanding = 32
	// pieceRows is how many rows are in a job.
	pieceRows   = 2048
	keepLastMax = 3 * time.Second // that the last checkpoint may take after an interrupt
)

// job is a piece of the input on its way: read, then encoded, published, told.
type job struct {
	text   []byte
	pieces []piece
	taken  time.Time
	end    position // after the last row
	err    error    // why nothing comes after it
	again  bool     // it is told, and read again by the next run

	encoded chan struct{} // is closed when rows and records are there
	rows    []row
	records []pipeline.Record

	acked time.Time // when Kafka had it

	// What waits for decisions; it is the tracker's.
	open    int           // rows that are not decided
	decided chan struct{} // is closed when all rows are
	due     time.Time     // when they are looked up
	asked   int           // how often they were
}

// piece is where a row stands in its job's text.
type piece struct {
	line  int
	end   int    // in the text; the row begins where the one before ends
	fault string // why it is not read
}

// queues are the ways between the actors. Each bounds what is under way.
type queues struct {
	workers int
	encode  chan *job
	publish chan *job // in order
	tell    chan *job // in order
}

func newQueues(workers int) *queues {
	return &queues{
		workers: workers, encode: make(chan *job, ahead), publish: make(chan *job, ahead),
		tell: make(chan *job, outstanding),
	}
}

// put hands a job on, unless ctx ends.
func put(ctx context.Context, to chan<- *job, j *job) error {
	select {
	case to <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func get(ctx context.Context, from <-chan *job) (*job, error) {
	select {
	case j := <-from:
		return j, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read cuts the input into jobs. The last one says why there is no other.
func (r *run) read(ctx context.Context, q *queues) error {
	var j *job
	hand := func() error { return q.hand(ctx, &j) }
	r.split.before = hand
	for {
		row, err := r.cut()
		if err != nil {
			return r.readLast(ctx, hand, &j, err)
		}
		if j == nil {
			j = r.newJob()
		}
		j.add(row, r.split.row)
		if len(j.text) >= r.PieceBytes || len(j.pieces) == pieceRows {
			if err := hand(); err != nil {
				return err
			}
		}
	}
}

// cut returns the next row, unless it may be half a one.
func (r *run) cut() (raw, error) {
	before := r.split.row
	row, err := r.split.next()
	if err == nil && row.last {
		if err = r.input.changed(); err != nil {
			r.split.row = before
		}
	}
	return row, err
}

func (j *job) add(row raw, end position) {
	j.text = append(j.text, row.text...)
	p := piece{line: row.line, end: len(j.text)}
	if row.tooLong {
		p.fault = fmt.Sprintf("row is longer than %d bytes: shorten it", RowMax)
	}
	j.pieces, j.end = append(j.pieces, p), end
}

// hand hands a job over that has something, and begins anew.
func (q *queues) hand(ctx context.Context, j **job) error {
	full := *j
	if full == nil || len(full.pieces) == 0 && full.err == nil {
		return nil
	}
	*j = nil
	if err := put(ctx, q.encode, full); err != nil {
		return err
	}
	return put(ctx, q.publish, full)
}

// readLast hands the last jobs over: what was read, and why there is no more.
func (r *run) readLast(ctx context.Context, hand func() error, j **job, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := hand(); err != nil {
		return err
	}
	*j = r.newJob()
	(*j).err, (*j).end = r.why(err), r.split.row
	if stop := (*StopError)(nil); errors.As(err, &stop) {
		(*j).pieces, (*j).again = []piece{{line: stop.Line, fault: "line: " + stop.Problem}}, true
	}
	if err := hand(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (r *run) newJob() *job { return &job{taken: r.Now().UTC(), encoded: make(chan struct{})} }

// why says why there is nothing more to read.
func (r *run) why(err error) error {
	var stop *StopError
	var changed *ChangedError
	switch {
	case isEnd(err):
		if err := r.input.changed(); err != nil {
			return err
		}
		return io.EOF
	case errors.As(err, &changed):
		return err
	case errors.As(err, &stop):
		return fmt.Errorf("%s, %w: nothing from there on was handed in", r.name, err)
	default:
		return fmt.Errorf("read %s: %w", r.name, err)
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

// encode makes invitations and records of the rows of jobs.
func (r *run) encode(ctx context.Context, q *queues) error {
	for {
		j, err := get(ctx, q.encode)
		if err != nil {
			return err
		}
		j.rows = make([]row, 0, len(j.pieces))
		j.records = make([]pipeline.Record, 0, len(j.pieces))
		begin := 0
		for _, m := range j.pieces {
			out, record := row{line: m.line, outcome: Invalid, reason: m.fault}, pipeline.Record{}
			if m.fault == "" {
				out, record = r.rows.read(m.line, j.text[begin:m.end], j.taken)
			}
			if begin = m.end; out.outcome != Invalid {
				j.records = append(j.records, record)
			}
			j.rows = append(j.rows, out)
		}
		j.text, j.pieces = nil, nil
		close(j.encoded)
	}
}

// publish publishes the jobs in order, as many at a time as are there.
func (r *run) publish(ctx context.Context, q *queues) error {
	var next *job
	for {
		jobs, records, err := gather(ctx, q, &next)
		if err != nil {
			return err
		}
		if r.tracker != nil {
			r.tracker.expect(jobs)
		}
		if err := r.publishWhole(ctx, records); err != nil {
			return fmt.Errorf("hand in: %w", err)
		}
		now := r.Now()
		for i, j := range jobs {
			r.acked(j, now)
			if err := put(ctx, q.tell, j); err != nil {
				r.left = jobs[i:]
				return err
			}
		}
	}
}

// acked takes note that Kafka has a job.
func (r *run) acked(j *job, now time.Time) {
	j.records = nil
	if r.tracker != nil {
		r.tracker.mu.Lock()
		defer r.tracker.mu.Unlock()
	}
	j.acked = now
}

// publishWhole publishes what is under way also when ctx ends, for a time: what Kafka has should be told.
func (r *run) publishWhole(ctx context.Context, records []pipeline.Record) error {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(keepLastMax, cancel) })
	defer stop()
	return r.deps.Publisher.Publish(whole, records)
}

// gather waits for a job and takes with it those that are there too. One too many stays in next.
func gather(ctx context.Context, q *queues, next **job) (jobs []*job, records []pipeline.Record, err error) {
	j, err := q.first(ctx, next)
	for ; j != nil; j = q.more(next, len(records)) {
		jobs, records = append(jobs, j), append(records, j.records...)
	}
	return jobs, records, err
}

// first waits for the next job that is encoded.
func (q *queues) first(ctx context.Context, next **job) (j *job, err error) {
	if j, *next = *next, nil; j == nil {
		if j, err = get(ctx, q.publish); err != nil {
			return nil, err
		}
	}
	select {
	case <-j.encoded:
		return j, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// more returns one more job, if it is there, is encoded and fits.
func (q *queues) more(next **job, records int) *job {
	if *next == nil {
		select {
		case *next = <-q.publish:
		default:
			return nil
		}
	}
	j := *next
	select {
	case <-j.encoded:
	default:
		return nil
	}
	if records+len(j.records) > publishMax {
		return nil
	}
	*next = nil
	return j
}
