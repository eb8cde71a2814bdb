package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aval-systems/aval/schemas"
)

// IsJournal says whether the topic is a book's journal, which is read through Journal.
type IsJournal func(topic string) bool

// Follower runs stages and sinks over their topics.
type Follower struct {
	Publisher  Publisher
	Partitions int
	IsJournal  IsJournal
	Logger     *slog.Logger
	Meter      Meter  // nil measures nothing
	Tracer     Tracer // nil records no traces
}

// Stage is the work of a stage: fetch a batch, decode, follow, publish, commit.
func (f *Follower) Stage(s Stage) []Work {
	var works []Work
	for _, topic := range s.Reads {
		r := f.reader(topic)
		r.concerns = s.Concerns
		config := SubscriberConfig{Group: GroupOf(s.Name, topic)}
		if r.journal { // of another topic a reader knows nothing but where it is
			config.Resume, config.Revoked = r.resume, r.revoked
		}
		works = append(works, Work{
			Name: s.Name, Topic: topic, Config: config,
			Handle: func(ctx context.Context, b *Batch) error { return f.follow(ctx, s, r, b) },
		})
	}
	return works
}

// Sink is the work of a sink, which keeps its own positions.
func (f *Follower) Sink(s Sink) []Work {
	var works []Work
	for _, topic := range s.Reads() {
		r := f.reader(topic)
		resume := func(ctx context.Context, topic string, partition int, _ Mark) (int64, error) {
			mark, err := s.Resume(ctx, topic, partition)
			if err != nil {
				return 0, err
			}
			return r.resume(ctx, topic, partition, mark)
		}
		works = append(works, Work{
			Name: s.Name(), Topic: topic,
			Config: SubscriberConfig{Group: GroupOf(s.Name(), topic), Resume: resume, Revoked: r.revoked},
			Handle: func(ctx context.Context, b *Batch) error {
				started := time.Now()
				next, ins, letters := r.read(s.Name(), b)
				if err := f.Publisher.Publish(ctx, letters); err != nil {
					return err
				}
				began := time.Now()
				err := s.Store(ctx, b.Topic, b.Partition, ins, next.mark(b))
				f.called(CallStore, s.Name(), len(ins), began, err)
				if err != nil {
					if errors.Is(err, ErrResume) {
						b.Restart()
					}
					return err
				}
				f.tell(ctx, s.Name(), b, letters)
				f.trace(s.Name(), b, started, ins, nil)
				r.done(b, next)
				return nil
			},
		})
	}
	return works
}

// GroupOf is the consumer group of a consumer's topic: one for each, as their partitions are shared out apart, and
// named so that a further topic changes none.
func GroupOf(name, topic string) string { return name + "." + topic }

func (f *Follower) follow(ctx context.Context, s Stage, r *reader, b *Batch) error {
	started := time.Now()
	next, ins, records := r.read(s.Name, b)
	for _, in := range ins {
		follows, err := Follows(s, in)
		if err != nil {
			return fmt.Errorf("follow %s/%d/%d: %w", in.Topic, in.Partition, in.Offset, err)
		}
		records = append(records, follows...)
	}
	if len(records) > 0 {
		began := time.Now()
		err := f.Publisher.Publish(ctx, records)
		f.called(CallPublish, s.Name, len(records), began, err)
		if err != nil {
			return fmt.Errorf("publish what follows: %w", &ServerError{Server: ServerKafka, Err: err})
		}
	}
	f.tell(ctx, s.Name, b, records)
	f.trace(s.Name, b, started, ins, records)
	r.done(b, next)
	return nil
}

func (f *Follower) called(call Call, stage string, items int, began time.Time, err error) {
	MeterOr(f.Meter).Called(Called{Call: call, Who: stage, Items: items, Took: time.Since(began), Failed: err != nil})
}

// tell logs how many dead letters a batch left. An operator finds them, and why, in their topic.
func (f *Follower) tell(ctx context.Context, stage string, b *Batch, records []Record) {
	letters := 0
	for _, r := range records {
		if r.Topic == schemas.TopicDeadLetters {
			letters++
		}
	}
	if letters > 0 {
		MeterOr(f.Meter).Counted(EventDeadLetter, stage, b.Topic, letters)
		f.Logger.WarnContext(ctx, "dead letters", "stage", stage, "topic", b.Topic, "partition", b.Partition,
			"count", letters, "before", b.Next)
	}
}

// Follows returns the records that follow from a message: the same for the same message, byte for byte. A stage
// that panics, or that makes what cannot be written, has found a message that it cannot take: a dead letter
// follows, and its neighbours go on.
func Follows(s Stage, in In) (records []Record, err error) {
	bury := func(format string, args ...any) []Record {
		return []Record{DeadLetter(s.Name, in.original(), fmt.Sprintf("stage "+s.Name+" "+format, args...))}
	}
	defer func() {
		if cause := recover(); cause != nil {
			records, err = bury("panicked: %v", cause), nil
		}
	}()
	outs, err := s.Follow(in)
	if err != nil || len(outs) == 0 {
		return nil, err
	}
	cause, source := PlaceOf(in).header(), "/aval/"+s.Name
	records = make([]Record, 0, len(outs))
	for _, out := range outs {
		record, err := Encode(out.Topic, schemas.Message{
			Attributes: schemas.Attributes{
				ID: out.ID, Source: source, Cause: in.ID, Time: in.Time, Trace: in.Trace.Follow(out.ID),
			},
			Body: out.Body,
		})
		if err != nil {
			return bury("made what cannot be written: %v", err), nil
		}
		record.Headers = append(record.Headers, cause)
		records = append(records, record)
	}
	return records, nil
}

// reader reads one topic, whose partitions it may hold several of.
type reader struct {
	topic      string
	journal    bool
	partitions int
	concerns   func(Record) bool // nil: all

	mu    sync.Mutex
	state map[int]*state
}

// state is what a reader knows of a partition.
type state struct {
	journal Journal
	silent  int64 // below it, nothing is handed on: it was done before

	of *state // that this one comes after
}

func (f *Follower) reader(topic string) *reader {
	return &reader{
		topic: topic, journal: f.IsJournal(topic), partitions: f.Partitions, state: map[int]*state{},
	}
}

// resume is where to begin. A reader of a journal whose position is not known begins at the journal's
// beginning, and hands nothing on that lies below what was committed (rule 4 of the protocol of a book).
func (r *reader) resume(_ context.Context, _ string, partition int, committed Mark) (int64, error) {
	s := &state{}
	offset := committed.Offset // below zero: the first one that is kept
	if r.journal {
		position, ok := ParsePosition(committed.Metadata)
		if ok && position.Next == committed.Offset {
			s.journal.Position = position
		} else {
			s.silent, offset = max(offset, 0), 0
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state[partition] = s
	return offset, nil
}

func (r *reader) revoked(_ string, partition int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.state, partition)
}

// read decodes a batch: what it says, and the dead letters of what nobody can read. The reader itself moves on
// only when the batch is done.
func (r *reader) read(stage string, b *Batch) (next state, ins []In, letters []Record) {
	r.mu.Lock()
	if held := r.state[b.Partition]; held != nil {
		next = *held
		next.of = held
	}
	r.mu.Unlock()
	if r.journal {
		for _, e := range next.journal.Read(b.Records) {
			for i := range e.Records {
				if e.Records[i].Offset < next.silent {
					continue
				}
				ins, letters = r.decode(stage, &e.Records[i], ins, letters)
			}
		}
		return next, ins, letters
	}
	for i := range b.Records {
		ins, letters = r.decode(stage, &b.Records[i], ins, letters)
	}
	return next, ins, letters
}

func (r *reader) decode(stage string, record *Record, ins []In, letters []Record) ([]In, []Record) {
	partitions := r.partitions
	if r.journal {
		partitions = 0
	}
	in, letter, ok := Take(Stage{Name: stage, Concerns: r.concerns}, record, partitions)
	if letter != nil {
		letters = append(letters, *letter)
	}
	if ok {
		ins = append(ins, in)
	}
	return ins, letters
}

// Take reads a record of a stage's input, as DecodeView does: what it says, or the dead letter of what nobody can read,
// or neither where nothing may follow. Of a journal, where the partition is the shard whatever the key, partitions is
// zero.
func Take(s Stage, record *Record, partitions int) (in In, letter *Record, ok bool) {
	if s.Concerns != nil && !s.Concerns(*record) {
		return In{}, nil, false
	}
	in, err := DecodeView(record)
	if err == nil && partitions > 0 {
		err = CheckKey(in, partitions)
	}
	if err != nil {
		dead := DeadLetter(s.Name, *record, err.Error())
		return In{}, &dead, false
	}
	return in, nil, true
}

func (s state) mark(b *Batch) Mark {
	if s.journal.Next == 0 {
		return b.Mark()
	}
	return s.journal.Mark()
}

// done moves the reader on, unless the partition was revoked or begun anew meanwhile.
func (r *reader) done(b *Batch, next state) {
	if !r.journal {
		return
	}
	b.Commit(next.journal.Mark())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state[b.Partition] == next.of {
		next.of = nil
		r.state[b.Partition] = &next
	}
}
