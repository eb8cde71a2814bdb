package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/aval-systems/aval/pipeline"
)

const (
	nackFirst = 10 * time.Millisecond
	nackMost  = 2 * time.Second
	// nackMostSingle is short: whoever handles messages one by one waits within the handler, by its own
	// rules.
	nackMostSingle = 50 * time.Millisecond
)

// shard works on one partition: it resumes, hands out one batch at a time, and notes what was acknowledged.
type shard struct {
	s         *subscription
	log       *slog.Logger
	partition int
	ctx       context.Context //nolint:containedctx // it is the shard's life: when it ends, nothing more is handed out
	cancel    context.CancelFunc
	work      context.Context //nolint:containedctx // it is the life of what was handed out
	abort     context.CancelFunc
	before    <-chan struct{} // whoever worked on it before has stopped
	done      chan struct{}
	lost      atomic.Bool // the partition is not this process's any more
	signal    chan struct{}
	anew      chan struct{} // somebody else went on: resume

	mu    sync.Mutex
	mark  pipeline.Mark // the last one that is known to be committed, or to be
	ahead pipeline.Mark // the last one of those that came beside the batches since the partition was begun
	next  int64         // of the next batch
}

// What became of a batch.
type outcome int

const (
	acknowledged outcome = iota
	refused
	restarted
	ended
)

func newShard(s *subscription, partition int, mark pipeline.Mark) *shard {
	h := &shard{
		s: s, log: s.log.With("partition", partition), partition: partition, mark: mark, next: -1,
		done: make(chan struct{}), signal: make(chan struct{}, 1), anew: make(chan struct{}, 1),
	}
	h.ctx, h.cancel = context.WithCancel(s.ctx)
	h.work, h.abort = context.WithCancel(s.work)
	return h
}

func (h *shard) run() {
	defer h.s.stopped(h)
	defer close(h.done)
	defer h.abort()
	defer h.cancel()
	if h.before != nil {
		<-h.before // it stops within the StopTimeout
	}
	if h.ctx.Err() != nil {
		return
	}
	if h.s.config.Revoked != nil {
		defer h.s.config.Revoked(h.s.topic, h.partition)
	}
	for attempt := 0; ; attempt++ {
		from, ok := h.resume()
		if !ok {
			return
		}
		moved, err := h.consume(from)
		if moved {
			attempt = 0
		}
		if h.ctx.Err() != nil {
			return
		}
		if err != nil {
			h.misplaced(err)
		}
		if !sleep(h.ctx, backoff(attempt, nackFirst, nackMost)) {
			return
		}
	}
}

// resume finds out where to begin.
func (h *shard) resume() (int64, bool) {
	select {
	case <-h.anew:
	default:
	}
	h.mu.Lock()
	mark := h.mark
	h.ahead = pipeline.Mark{Offset: -1}
	h.mu.Unlock()
	waiter := h.s.waiter("resume", h.partition)
	defer h.s.c.config.Outages.End(waiter)
	for attempt := 0; ; attempt++ {
		from, err := h.where(mark)
		if h.ctx.Err() != nil {
			return 0, false
		}
		if err == nil {
			h.mu.Lock()
			h.next = from
			h.mu.Unlock()
			return from, true
		}
		if attempt >= attemptsQuiet {
			h.s.c.config.Outages.Begin(waiter, err)
		}
		if !sleep(h.ctx, backoff(attempt, nackFirst, nackMost)) {
			return 0, false
		}
	}
}

// where asks whoever uses the subscriber; without an answer it is the mark, or the first record.
func (h *shard) where(mark pipeline.Mark) (from int64, err error) {
	from = mark.Offset
	if h.s.config.Resume != nil {
		from, err = h.s.config.Resume(h.ctx, h.s.topic, h.partition, mark)
	}
	if err == nil && from < 0 {
		from, _, err = h.s.c.Bounds(h.ctx, h.s.topic, h.partition)
	}
	return from, err
}

// consume hands out batches until the shard ends or has to resume anew. It says whether one was acknowledged.
func (h *shard) consume(from int64) (moved bool, err error) {
	at, stage := h.s.c.place(h.s.topic, h.partition), stageOf(h.s.config.Group, h.s.topic)
	cursor := h.s.c.fetcher.add(at, stage, from, h.s.config.BatchBytes, h.signal)
	defer h.s.c.fetcher.remove(cursor)
	refusals := 0
	for {
		batch, err := h.await(cursor, from)
		if err != nil {
			return moved, err
		}
		switch h.hand(batch, &refusals, &moved) {
		case acknowledged, refused:
		case restarted, ended:
			return moved, nil
		}
		from = batch.Next
		h.mu.Lock()
		h.next = from
		h.mu.Unlock()
	}
}

var errAnew = errors.New("another member went on")

// await returns the next records, whole record batches of them, or none where nothing came for the idle time.
func (h *shard) await(cursor *cursor, from int64) (pipeline.Batch, error) {
	var idle <-chan time.Time
	if h.s.config.Idle > 0 {
		timer := time.NewTimer(h.s.config.Idle)
		defer timer.Stop()
		idle = timer.C
	}
	for {
		batch, err := h.take(cursor, from)
		if err != nil || len(batch.Records) > 0 {
			return batch, err
		}
		if batch.Next > from { // what was there holds no record for us
			from = batch.Next
			continue
		}
		select {
		case <-h.signal:
		case <-idle:
			return batch, nil
		case <-h.anew:
			return batch, errAnew
		case <-h.ctx.Done():
			return batch, h.ctx.Err()
		}
	}
}

// take returns the records that wait and the offset after them, which stays where it is if nothing waits.
func (h *shard) take(cursor *cursor, from int64) (pipeline.Batch, error) {
	batch := pipeline.Batch{Topic: h.s.topic, Partition: h.partition, Next: from, High: cursor.high.Load()}
	chunks, err := h.s.c.fetcher.take(cursor, h.s.config.BatchBytes)
	if err != nil {
		return batch, h.s.c.outOfRange(h.ctx, h.s.topic, h.partition, from)
	}
	if len(chunks) == 0 {
		return batch, nil
	}
	if batch.Records, err = decode(chunks, h.s.topic, h.partition, from); err != nil {
		return batch, err
	}
	last := chunks[len(chunks)-1]
	batch.Next, batch.Oldest, batch.Newest = last.next, chunks[0].written(), last.written()
	for _, c := range chunks {
		batch.Bytes += len(c.raw)
	}
	return batch, nil
}

// hand hands the records out: together, or one by one.
func (h *shard) hand(batch pipeline.Batch, refusals *int, moved *bool) outcome {
	if !h.s.single || len(batch.Records) == 0 {
		return h.offer(batch, refusals, moved)
	}
	one := batch
	for i, record := range batch.Records {
		one.Records, one.Next = batch.Records[i:i+1:i+1], record.Offset+1
		if o := h.offer(one, refusals, moved); o != acknowledged {
			return o
		}
		one.Bytes = 0 // they were counted
	}
	return acknowledged
}

// offer offers a batch until it is acknowledged, or the shard ends or resumes anew. An idle sign is not
// repeated.
func (h *shard) offer(batch pipeline.Batch, refusals *int, moved *bool) outcome {
	for {
		offered := batch // what a handler says of it is for one time
		offered.Stopping = h.ctx.Done()
		o := h.once(&offered)
		switch o {
		case acknowledged:
			*refusals = 0
			*moved = *moved || len(batch.Records) > 0
			return o
		case restarted, ended:
			return o
		case refused:
		}
		most := nackMost
		if h.s.single {
			most = nackMostSingle
		}
		if !sleep(h.ctx, backoff(*refusals, nackFirst, most)) {
			return ended
		}
		*refusals++
		if len(batch.Records) == 0 {
			return o
		}
	}
}

// once sends a batch and waits for its answer. What was sent may come to its end when the subscription ends: it has
// a share of the time that it may take.
func (h *shard) once(batch *pipeline.Batch) outcome {
	if h.ctx.Err() != nil {
		return ended
	}
	batch.OnLater(h.later)
	ctx, cancel := context.WithCancel(pipeline.WithBatch(h.work, batch))
	defer cancel()
	m := h.envelope(batch)
	m.SetContext(ctx)
	select {
	case h.s.out <- m:
	case <-h.ctx.Done():
		return ended
	}
	select {
	case <-m.Acked():
		return h.accept(batch)
	case <-m.Nacked():
		return h.refuse(batch)
	case <-h.work.Done(): // so has the message's context
	}
	timer := time.NewTimer(h.s.stopTimeout())
	defer timer.Stop()
	select {
	case <-m.Acked():
		h.accept(batch)
	case <-m.Nacked():
	case <-timer.C:
		h.log.ErrorContext(h.ctx, "a handler does not give up its batch; it is not waited for any longer",
			"message", m.UUID)
	}
	return ended
}

func (h *shard) envelope(batch *pipeline.Batch) *message.Message {
	if h.s.single && len(batch.Records) == 1 {
		return messageOf(batch.Records[0])
	}
	if len(batch.Records) == 0 {
		return message.NewMessage(fmt.Sprintf("%s/%d/%d-idle", batch.Topic, batch.Partition, batch.Next), nil)
	}
	first, last := batch.Records[0].Offset, batch.Records[len(batch.Records)-1].Offset
	return message.NewMessage(fmt.Sprintf("%s/%d/%d-%d", batch.Topic, batch.Partition, first, last), nil)
}

func (h *shard) accept(batch *pipeline.Batch) outcome {
	if h.lost.Load() {
		return ended
	}
	mark := batch.Mark()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ahead.Offset > mark.Offset {
		mark = h.ahead
	}
	h.commit(mark)
	return acknowledged
}

// later commits a mark that comes beside the batches: see pipeline.Batch.
func (h *shard) later(mark pipeline.Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost.Load() || mark.Offset <= max(h.mark.Offset, h.ahead.Offset) {
		return
	}
	h.ahead = mark
	h.commit(mark)
}

// commit notes a mark. The mutex is held.
func (h *shard) commit(mark pipeline.Mark) {
	h.mark = mark
	h.s.commits.note(h.partition, mark)
}

func (h *shard) refuse(batch *pipeline.Batch) outcome {
	if batch.Restarts() {
		return restarted
	}
	return refused
}

// overtaken makes the shard resume where somebody else committed more than it did.
func (h *shard) overtaken(mark pipeline.Mark) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next < 0 || mark.Offset <= max(h.next, h.mark.Offset) {
		return
	}
	h.mark = mark
	tell(h.anew)
}

// misplaced says what is wrong with where the shard stands, before it resumes. Without a Resume that knows
// better, a partition that lost records goes on at the first that it keeps, and that is an error in the log.
func (h *shard) misplaced(err error) {
	if errors.Is(err, errAnew) {
		return
	}
	lost, ok := errors.AsType[*RangeError](err)
	if !ok {
		h.log.ErrorContext(h.ctx, "a partition cannot be read", "error", err)
		return
	}
	if h.s.config.Resume != nil {
		h.log.ErrorContext(h.ctx,
			"a partition should resume at an offset that it does not keep; it waits", "offset", lost.Offset,
			"first", lost.First, "end", lost.End)
		return
	}
	h.log.ErrorContext(h.ctx,
		"records were lost: a partition does not keep what the group has not read yet; "+
			"it goes on at the first record that is there", "offset", lost.Offset,
		"first", lost.First, "end", lost.End)
	h.mu.Lock()
	h.mark = pipeline.Mark{Offset: lost.First}
	h.mu.Unlock()
}
