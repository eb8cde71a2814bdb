package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// publishBytes bounds a record batch that Publish makes, where the topic does not do so earlier.
const publishBytes = 1 << 20

// nobody is the identity of a producer that has none.
func nobody() identity { return identity{id: -1, epoch: -1} }

// producer writes for the whole process under one identity, so that a repeat after a lost acknowledgement
// makes no duplicate. Records of concurrent callers share batches; of each partition one batch is out at a
// time.
type producer struct {
	c     *Client
	queue *budget

	mu        sync.Mutex
	identity  identity
	asking    bool
	parts     map[place]*line
	unstarted []*line // that wait for the identity
}

// line is a partition's queue.
type line struct {
	place
	topic    string // without the namespace
	waiting  []item
	busy     bool     // a batch is out or being made
	identity identity // whose sequence the next one is
	sequence int32
	limit    int
	confused int // times in a row that the broker did not know the sequence
}

// item is a record and the call that waits for it.
type item struct {
	record pipeline.Record
	call   *call
	size   int
}

func newProducer(c *Client) *producer {
	return &producer{c: c, queue: newBudget(c.config.QueueBytes), identity: nobody(), parts: map[place]*line{}}
}

// Publish writes the records: see pipeline.Publisher. Those of one partition are written in their order, one
// after the other with those of other callers. A record that its topic cannot take is a *SizeError.
func (c *Client) Publish(ctx context.Context, records []pipeline.Record) error {
	if len(records) == 0 {
		return ctx.Err()
	}
	routed, err := c.producer.route(ctx, records)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	calls := &call{ctx: ctx, done: make(chan struct{}), left: len(records)}
	if err := c.producer.enqueue(ctx, routed, calls); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	select {
	case <-calls.done:
		if calls.err != nil {
			return fmt.Errorf("publish: %w", calls.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	}
}

// routed is a record with its place.
type routed struct {
	line   *line
	record *pipeline.Record
	size   int
}

// route finds the partition of each record and refuses those that are too large.
func (p *producer) route(ctx context.Context, records []pipeline.Record) ([]routed, error) {
	type topic struct{ partitions, limit int }
	topics := map[string]topic{}
	out := make([]routed, len(records))
	for i := range records {
		r := &records[i]
		t, ok := topics[r.Topic]
		if !ok {
			var err error
			if t.partitions, err = p.c.Partitions(ctx, r.Topic); err != nil {
				return nil, err
			}
			if t.limit, err = p.c.limit(ctx, r.Topic); err != nil {
				return nil, err
			}
			topics[r.Topic] = t
		}
		partition := r.Partition
		if partition < 0 {
			partition = schemas.PartitionOf(r.Key, t.partitions)
		}
		if partition >= t.partitions {
			return nil, fmt.Errorf("partition %d of %s: it has %d", partition, r.Topic, t.partitions)
		}
		size := recordBytes(0, r)
		if size+headerBytes > t.limit {
			return nil, &SizeError{Topic: r.Topic, Size: size + headerBytes, Limit: t.limit}
		}
		out[i] = routed{line: p.line(r.Topic, partition, t.limit), record: r, size: size + recordSlack}
	}
	return out, nil
}

// recordSlack is what a record's place in its batch may add to its size there.
const recordSlack = 8

func (p *producer) line(topic string, partition, limit int) *line {
	at := p.c.place(topic, partition)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.parts[at]
	if l == nil {
		l = &line{place: at, topic: topic, identity: nobody()}
		p.parts[at] = l
	}
	l.limit = limit
	return l
}

// enqueue puts the records into their lines, some at a time: as there is room.
func (p *producer) enqueue(ctx context.Context, records []routed, to *call) error {
	for len(records) > 0 {
		size, n := 0, 0
		for n < len(records) && (n == 0 || size+records[n].size <= p.queue.size/8) {
			size += records[n].size
			n++
		}
		if err := p.queue.acquire(ctx, p.c.ctx, size); err != nil {
			to.fail(err) // what stands in line already is dropped there
			return err
		}
		p.mu.Lock()
		var lines []*line
		for _, r := range records[:n] {
			r.line.waiting = append(r.line.waiting, item{record: *r.record, call: to, size: r.size})
			if !r.line.busy {
				r.line.busy = true
				lines = append(lines, r.line)
			}
		}
		p.mu.Unlock()
		p.start(lines...)
		records = records[n:]
	}
	return nil
}

// start has the next batch of each line sent, which is busy already.
func (p *producer) start(lines ...*line) {
	p.mu.Lock()
	who := p.identity
	if who == nobody() {
		p.unstarted = append(p.unstarted, lines...)
		ask := !p.asking
		p.asking = p.asking || ask
		p.mu.Unlock()
		if ask && !p.c.task(p.introduce) {
			p.refuse(ErrClosed)
		}
		return
	}
	p.mu.Unlock()
	if !p.c.sender.announce(lines...) {
		p.c.sender.submit(p.pack(lines)...)
	}
}

// pack makes the next batch of each line.
func (p *producer) pack(lines []*line) (deliveries []*delivery) {
	p.mu.Lock()
	who := p.identity
	p.mu.Unlock()
	if who == nobody() && len(lines) > 0 { // it was given up meanwhile
		p.start(lines...)
		return nil
	}
	for _, l := range lines {
		if d := p.next(l, who); d != nil {
			deliveries = append(deliveries, d)
		}
	}
	return deliveries
}

// next makes the line's next batch, or frees the line where nothing waits.
func (p *producer) next(l *line, who identity) *delivery {
	p.mu.Lock()
	if l.identity != who {
		l.identity, l.sequence = who, 0
	}
	var items, dropped []item
	size, n := headerBytes, 0
	var last *call // whose records stand together
	over := false
	for ; n < len(l.waiting); n++ {
		i := l.waiting[n]
		if i.call != last {
			last, over = i.call, i.call.over()
		}
		if over {
			dropped = append(dropped, i)
			continue
		}
		if len(items) > 0 && size+i.size > min(l.limit, publishBytes) {
			break
		}
		size += i.size
		items = append(items, i)
	}
	clear(l.waiting[:n])
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil
	}
	l.busy = len(items) > 0
	sequence := l.sequence
	p.mu.Unlock()
	p.release(dropped)
	if len(items) == 0 {
		return nil
	}
	return p.deliver(l, items, who, sequence)
}

// deliver makes a delivery of the items; whatever becomes of it comes to settle.
func (p *producer) deliver(l *line, items []item, who identity, sequence int32) *delivery {
	records := make([]pipeline.Record, len(items))
	for i := range items {
		records[i] = items[i].record
	}
	return &delivery{
		place: l.place,
		set:   encodeBatch(who, sequence, time.Now().UnixMilli(), records),
		wanted: func() bool {
			return slices.ContainsFunc(items, func(i item) bool { return !i.call.over() })
		},
		done: func(_ int64, err error) { p.settle(l, items, who, err) },
	}
}

// settle takes note of what became of a line's batch, and goes on with the next.
func (p *producer) settle(l *line, items []item, who identity, err error) {
	switch {
	case err == nil || errors.Is(err, kafkago.DuplicateSequenceNumber):
		p.mu.Lock()
		l.sequence, l.confused = advance(l.sequence, len(items)), 0
		p.mu.Unlock()
		p.finish(items, nil)
	case confused(err):
		p.c.log.Warn("the broker does not know this producer's sequence; it begins anew, and may write twice",
			"topic", l.topic, "partition", l.partition, "error", err)
		p.leave(who)
		p.again(l, items)
		return
	case tooLarge(err) && len(items) > 1:
		p.c.cluster.forgetLimit(l.topic)
		half := len(items) / 2
		p.mu.Lock()
		l.limit = batchLimit(items[:half])
		sequence := l.sequence
		l.waiting = append(append([]item{}, items[half:]...), l.waiting...)
		p.mu.Unlock()
		p.c.sender.submit(p.deliver(l, items[:half], who, sequence)) // nothing was written: the same sequence
		return
	default:
		if tooLarge(err) {
			p.c.cluster.forgetLimit(l.topic)
			err = &SizeError{Topic: l.topic, Size: headerBytes + items[0].size, Limit: l.limit}
		} else {
			p.leave(who) // it may be written or not: the sequence is lost
			err = fmt.Errorf("%s/%d: %w", l.topic, l.partition, err)
		}
		p.finish(items, err)
	}
	p.start(l)
}

// batchLimit is the limit that makes the line's next batches as small as these items are.
func batchLimit(items []item) int {
	size := headerBytes
	for _, i := range items {
		size += i.size
	}
	return size
}

func tooLarge(err error) bool {
	return errors.Is(err, kafkago.MessageSizeTooLarge) || errors.Is(err, kafkago.RecordListTooLarge)
}

// confused says that the broker and this producer disagree on what was written last.
func confused(err error) bool {
	for _, code := range []error{
		kafkago.OutOfOrderSequenceNumber, kafkago.InvalidProducerEpoch, kafkago.InvalidProducerIDMapping,
		kafkago.UnknownProducerId, kafkago.ProducerFenced,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// again puts the items back to the head of their line, and sends them after a while.
func (p *producer) again(l *line, items []item) {
	p.mu.Lock()
	l.waiting = append(items, l.waiting...)
	wait := backoff(l.confused, retryFirst, retryMost)
	l.confused++
	p.mu.Unlock()
	if !p.c.task(func(ctx context.Context) { sleep(ctx, wait); p.start(l) }) {
		p.start(l)
	}
}

// finish tells the calls what became of their records.
func (p *producer) finish(items []item, err error) {
	for i := 0; i < len(items); {
		from := items[i].call
		n := i
		for n < len(items) && items[n].call == from {
			n++
		}
		if err != nil {
			from.fail(err)
		} else {
			from.wrote(n - i)
		}
		i = n
	}
	p.release(items)
}

func (p *producer) release(items []item) {
	size := 0
	for i := range items {
		size += items[i].size
	}
	p.queue.release(size)
}

// leave gives the identity up, unless that has happened: no line's sequence is sure under it.
func (p *producer) leave(who identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.identity == who {
		p.identity = nobody()
	}
}

// introduce asks for an identity and starts the lines that wait for it.
func (p *producer) introduce(ctx context.Context) {
	who, err := p.c.initProducer(ctx, "")
	if err != nil {
		p.refuse(err)
		return
	}
	p.mu.Lock()
	p.identity, p.asking = who, false
	lines := p.unstarted
	p.unstarted = nil
	p.mu.Unlock()
	p.start(lines...)
}

// refuse fails what waits for an identity.
func (p *producer) refuse(err error) {
	p.mu.Lock()
	p.asking = false
	var items []item
	for _, l := range p.unstarted {
		items = append(items, l.waiting...)
		l.waiting, l.busy = nil, false
	}
	p.unstarted = nil
	p.mu.Unlock()
	p.finish(items, err)
}
