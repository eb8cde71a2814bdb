package book

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Bounds of a book's work.
const (
	// IdleAfter is how long a shard is idle before its owner looks whether Redis still knows it (rule 13).
	IdleAfter = 3 * time.Second
	// TakeoverAgeMax is after how long a takeover is renewed: well before the broker forgets a silent producer
	// (a day), and a transactional id (7 days) (rule 15).
	TakeoverAgeMax = 12 * time.Hour
	// EntryBytesMax bounds an entry, counted by the worst answer: below the journal's max.message.bytes.
	EntryBytesMax = 2 << 20
	// CommandsMax bounds the commands of one call of the script.
	CommandsMax = 1000
	// answerBytesMax is more than any one command's answer adds to the command in the journal: a few changes of
	// account, hold and record, each of two identifiers, four numbers and two digests, and the envelope; or why
	// nobody can read it, which is bounded.
	answerBytesMax = 2 << 10
)

// Runner runs a book's shards: those that Resume was called for, until Revoked.
type Runner struct {
	Book       Book
	Store      *Store
	Log        pipeline.Log
	Partitions int
	Owner      string // which process, for people
	Logger     *slog.Logger
	Meter      pipeline.Meter  // nil measures nothing
	Tracer     pipeline.Tracer // nil records no traces
	Now        func() time.Time

	mu     sync.Mutex
	owners map[int]*owner
	folds  chan struct{} // one for each shard that is folded
}

func (r *Runner) source() string { return "/aval/" + r.Book.Name() }

func (r *Runner) owner(shard int) *owner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[shard]
}

// Resume takes the shard over, unless this process still holds it, brings its state to the journal's end, and
// returns the command offset to go on from (rules 2 to 8, 11 and 12).
func (r *Runner) Resume(ctx context.Context, _ string, shard int, committed pipeline.Mark) (int64, error) {
	o := r.owner(shard)
	if o == nil || o.lost {
		taken, err := r.takeover(ctx, shard)
		if err != nil {
			return 0, fmt.Errorf("take over %s/%d: %w", r.Book.Name(), shard, err)
		}
		o = taken
		r.mu.Lock()
		if r.owners == nil {
			r.owners = map[int]*owner{}
		}
		r.owners[shard] = o
		r.mu.Unlock()
	}
	hint, _ := pipeline.ParsePosition(committed.Metadata)
	if o.readBack.Next > hint.Next {
		hint = o.readBack
	}
	if err := r.recover(ctx, o, hint); err != nil {
		return 0, fmt.Errorf("recover %s/%d: %w", r.Book.Name(), shard, r.note(o, err))
	}
	return o.at, nil
}

// Revoked forgets the shard: whoever gets it next takes it over.
func (r *Runner) Revoked(_ string, shard int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.owners, shard)
}

// Handle decides a batch: plan, decide, publish the journal's entry, commit. An error means "not now": either the
// batch comes again, or, after Restart, what Resume asks for.
func (r *Runner) Handle(ctx context.Context, b *pipeline.Batch) error {
	o := r.owner(b.Partition)
	if o == nil || o.lost || o.stale {
		b.Restart()
		return fmt.Errorf("%s/%d is not held", r.Book.Name(), b.Partition)
	}
	err := r.handle(ctx, o, b)
	if err != nil {
		if err = r.note(o, err); o.lost || o.stale {
			b.Restart()
		}
		return err
	}
	b.Commit(pipeline.Mark{Offset: o.at, Metadata: o.readBack.String()})
	return nil
}

// note remembers what an error means for the owner (rule 12).
func (r *Runner) note(o *owner, err error) error {
	switch {
	case errors.Is(err, errMismatch):
		o.stale = true
		r.count(pipeline.EventMismatch)
	case errors.Is(err, errFenced), errors.Is(err, pipeline.ErrFenced):
		o.lost = true
		r.count(pipeline.EventFenced)
	}
	return err
}

func (r *Runner) handle(ctx context.Context, o *owner, b *pipeline.Batch) error {
	if r.Now().Sub(o.since) > TakeoverAgeMax {
		o.lost = true
		return fmt.Errorf("the takeover of %s/%d is renewed", r.Book.Name(), o.shard)
	}
	if len(b.Records) == 0 {
		_, err := r.Store.Decide(ctx, o.place, o.at, nil)
		return err
	}
	records := b.Records
	for len(records) > 0 {
		if records[0].Offset < o.at { // decided: a step's, or a fetch began earlier, at a record batch
			records = records[1:]
			continue
		}
		if err := r.step(ctx, o, records[:fit(records)]); err != nil {
			return err
		}
	}
	return nil
}

// fit is how many of the records' worst answers fit into one entry (rule 10).
func fit(records []pipeline.Record) int {
	size := 0
	for i, record := range records {
		size += record.Size() + answerBytesMax
		if i > 0 && (size > EntryBytesMax || i >= CommandsMax) {
			return i
		}
	}
	return len(records)
}

// step is the one order of effects: plan, decide, publish. The caller commits.
func (r *Runner) step(ctx context.Context, o *owner, records []pipeline.Record) error {
	started := time.Now()
	plans, commands := r.plan(records)
	to := records[len(records)-1].Offset + 1
	began := time.Now()
	answer, err := r.Store.Decide(ctx, o.place, to, commands)
	r.called(pipeline.CallDecide, len(commands), began, err)
	if err != nil {
		return err
	}
	if answer.Last && answer.To != to {
		if plans, err = r.planned(ctx, o, answer.To); err != nil {
			return err
		}
	}
	entry, err := r.record(o, plans, answer)
	if err != nil {
		return err
	}
	began = time.Now()
	base, err := o.appender.Append(ctx, entry)
	r.called(pipeline.CallAppend, len(entry), began, err)
	if err != nil {
		o.lost = true // refused, or nobody knows: the next owner of the shard reads what became of it
		return fmt.Errorf("publish entry of %s/%d: %w", r.Book.Name(), o.shard, err)
	}
	if base != o.end {
		o.lost = true // whether the entry counts says the journal alone
		return fmt.Errorf("the entry of %s/%d stands at offset %d, not at %d: somebody else writes to the journal",
			r.Book.Name(), o.shard, base, o.end)
	}
	o.at, o.digest, o.end, o.spread = answer.To, answer.Digest, base+int64(len(entry)), answer.spread
	r.trace(o, started, plans, entry)
	o.spread, err = r.Store.split(ctx, o.place, len(commands))
	return err
}

// planned plans the commands that an earlier answer covers, which need not be those of the batch.
func (r *Runner) planned(ctx context.Context, o *owner, to int64) ([]plan, error) {
	var records []pipeline.Record
	collect := func(more []pipeline.Record) error {
		records = append(records, more...)
		return nil
	}
	if err := r.Log.Read(ctx, r.Book.Commands(), o.shard, o.at, to, collect); err != nil {
		return nil, fmt.Errorf("read the commands of the last answer: %w", err)
	}
	plans, _ := r.plan(records)
	return plans, nil
}

// plan is a command as it was read.
type plan struct {
	record     pipeline.Record
	in         pipeline.In
	unreadable string // why nobody can read it
}

// plan reads the commands and makes the script's fields of them. Every record gets both.
func (r *Runner) plan(records []pipeline.Record) ([]plan, [][]string) {
	plans := make([]plan, len(records))
	commands := make([][]string, len(records))
	width := Width(r.Book)
	for i, record := range records {
		p := &plans[i]
		p.record = record
		fields, err := r.planOne(p)
		if err != nil {
			p.unreadable = err.Error()
			fields = []string{Unreadable}
		}
		for len(fields) < width {
			fields = append(fields, "")
		}
		commands[i] = fields
	}
	return plans, commands
}

func (r *Runner) planOne(p *plan) (fields []string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("reading it panicked: %v", cause)
		}
	}()
	if p.in, err = pipeline.DecodeView(&p.record); err != nil {
		return nil, err
	}
	if fields, err = r.Book.Plan(p.in); err != nil {
		return nil, err
	}
	for _, field := range fields {
		if len(field) > FieldMax {
			return nil, fmt.Errorf("a field of the command has %d bytes, must have at most %d", len(field), FieldMax)
		}
	}
	return fields, pipeline.CheckKey(p.in, r.Partitions)
}

// record makes the entry of an answer: one record for each command.
func (r *Runner) record(o *owner, plans []plan, answer Answer) ([]pipeline.Record, error) {
	decisions, err := pipeline.ParseAnswer(answer.Text)
	if err != nil {
		return nil, fmt.Errorf("%s/%d at %d: %w", r.Book.Name(), o.shard, o.at, err)
	}
	r.measure(decisions)
	if len(decisions) != len(plans) {
		return nil, &LogError{Problem: fmt.Sprintf("%s/%d at %d: %d answers to %d commands: the command topic changed",
			r.Book.Name(), o.shard, o.at, len(decisions), len(plans))}
	}
	entry := make([]pipeline.Record, len(plans))
	for i, p := range plans {
		decisions[i].Offset = p.record.Offset
		if entry[i], err = r.item(p, decisions[i]); err != nil {
			return nil, err
		}
	}
	header := pipeline.EntryHeaderValue(pipeline.Entry{
		Epoch: o.epoch, From: o.at, To: answer.To, Digest: answer.Digest,
	}, len(entry))
	entry[0].Headers = append(entry[0].Headers, pipeline.Header{Key: pipeline.EntryHeader, Value: header})
	return entry, nil
}

func (r *Runner) item(p plan, d *schemas.Decision) (pipeline.Record, error) {
	partition, offset := strconv.Itoa(p.record.Partition), strconv.FormatInt(p.record.Offset, 10)
	m := schemas.Message{Attributes: schemas.Attributes{
		ID:     schemas.DeriveID(r.Book.Journal(), partition, offset),
		Source: r.source(), Cause: p.in.ID, Time: p.in.Time,
	}}
	m.Trace = schemas.TraceOf(p.record.Headers).Follow(m.ID)
	if p.unreadable != "" {
		m.Time = time.Unix(0, 0).UTC()
		m.Body = r.Book.Unreadable(pipeline.UnreadableOf(p.record, p.unreadable), d)
	} else {
		m.Body = r.Book.Item(p.in, d)
	}
	record, err := pipeline.Encode(r.Book.Journal(), m)
	if err == nil && p.unreadable == "" {
		record.Key = []byte(schemas.KeyOf(p.in.Body)) // the shard is the partition; the key is for those who look
	}
	return record, err
}

// Work is the book's work under the name of its stage, for pipeline.Route.
func (r *Runner) Work(stage string) pipeline.Work {
	return pipeline.Work{
		Name: stage, Topic: r.Book.Commands(),
		Config: pipeline.SubscriberConfig{Group: stage, Resume: r.Resume, Revoked: r.Revoked, Idle: IdleAfter},
		Handle: r.Handle,
	}
}
