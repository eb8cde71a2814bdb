package kafka

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

const (
	fetchWait = 250 * time.Millisecond // a long poll
	// fetchPause lets records gather before a broker is asked again, unless an answer brought much: a request costs
	// the broker as much as some hundred records, and a batch each of its readers as much as some dozen.
	fetchPause = 12 * time.Millisecond
	fetchMuch  = 1 << 20
)

var errOutOfRange = errors.New("the offset is not there")

// fetcher reads for the whole process: one long poll for each leader, over all partitions that anybody reads and has
// room for. What several read of a partition is fetched once, and decoded once.
type fetcher struct {
	c     *Client
	kick  chan struct{}
	turns atomic.Int64 // of its loop

	mu      sync.Mutex
	cursors []*cursor
	turn    int // where the next request begins: brokers fill their answers in the order of the request
	polls   map[int32]int
	rest    map[int32]time.Time
	asking  bool
}

func newFetcher(c *Client) *fetcher {
	return &fetcher{c: c, kick: make(chan struct{}, 1), polls: map[int32]int{}, rest: map[int32]time.Time{}}
}

// add begins to read a partition for a stage, or for none. The signal may be shared by cursors.
func (f *fetcher) add(at place, stage string, from int64, room int, signal chan struct{}) *cursor {
	c := &cursor{place: at, stage: stage, signal: signal, room: room, next: from, fresh: true}
	f.mu.Lock()
	// Cursors of a topic stand together: a request names a topic once.
	i := len(f.cursors)
	for j, other := range f.cursors {
		if other.topic == at.topic {
			i = j + 1
		}
	}
	f.cursors = slices.Insert(f.cursors, i, c)
	f.mu.Unlock()
	f.wake()
	return c
}

// remove ends reading; what was not taken is dropped.
func (f *fetcher) remove(c *cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.c.config.Outages.End(f.waiter(c))
	c.gone, c.chunks, c.bytes = true, nil, 0
	if i := slices.Index(f.cursors, c); i >= 0 {
		f.cursors = slices.Delete(f.cursors, i, i+1)
	}
}

// take returns whole record batches that wait, of that many bytes about and at least one if there is one, or
// why there will be none.
func (f *fetcher) take(c *cursor, most int) ([]chunk, error) {
	f.mu.Lock()
	size, n := 0, 0
	for n < len(c.chunks) && (n == 0 || size+len(c.chunks[n].raw) <= most) {
		size += len(c.chunks[n].raw)
		n++
	}
	taken := c.chunks[:n:n]
	if c.chunks = c.chunks[n:]; len(c.chunks) == 0 {
		c.chunks = nil
	}
	full := c.bytes >= c.room
	c.bytes -= size
	roomy := full && c.bytes < c.room
	var err error
	if n == 0 {
		err = c.fault
	}
	f.mu.Unlock()
	if roomy {
		f.wake()
	}
	return taken, err
}

func (f *fetcher) wake() { tell(f.kick) }

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	var polls sync.WaitGroup
	defer polls.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.kick:
		case <-timer.C:
		}
		if wait, ok := f.dispatch(ctx, &polls); ok {
			timer.Reset(wait)
		}
		f.turns.Add(1)
	}
}

// dispatch begins the polls that are due, and says when time alone will make another so.
func (f *fetcher) dispatch(ctx context.Context, polls *sync.WaitGroup) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var next alarm
	ready := map[int32]*poll{}
	for i := range f.cursors {
		c := f.cursors[(i+f.turn)%len(f.cursors)]
		if c.polled || c.fault != nil {
			continue
		}
		if c.due.After(now) || !f.enlist(ctx, c, ready, polls) {
			next.set(c.due)
		}
	}
	for id, p := range ready {
		switch rest := f.rest[id]; {
		case len(p.asks) == 0:
		case rest.After(now):
			next.set(rest)
		default:
			f.begin(ctx, p, polls)
		}
	}
	f.turn++
	return next.wait()
}

// enlist puts the cursor into its leader's poll, if there is one and the cursor has room. It says whether there
// is a leader; where there is none, the cursor has failed. The mutex is held.
func (f *fetcher) enlist(
	ctx context.Context, c *cursor, ready map[int32]*poll, polls *sync.WaitGroup,
) bool {
	id, address, err := f.c.cluster.leader(c.place)
	if err != nil {
		f.failed(ctx, c, err, polls)
		return false
	}
	p := ready[id]
	if p == nil {
		p = &poll{broker: id, address: address, wait: fetchWait, at: map[place]int{}}
		ready[id] = p
	}
	switch {
	case c.bytes >= c.room:
		p.wait = fetchWaitShort
	case f.polls[id] == 0 || f.polls[id] == 1 && c.fresh: // who is new does not wait for the others' poll
		p.add(c)
	}
	return true
}

// begin starts a poll. The mutex is held.
func (f *fetcher) begin(ctx context.Context, p *poll, polls *sync.WaitGroup) {
	f.polls[p.broker]++
	wants := p.choose(f.turn)
	polls.Go(func() {
		began := time.Now()
		answers, size, err := f.c.fetch(ctx, p.address, p.wait, wants)
		f.measure(began, answers, err)
		f.end(ctx, p, answers, size, err, polls)
		f.wake()
	})
}

// measure tells of an answer that brought something, or of none.
func (f *fetcher) measure(began time.Time, answers []got, err error) {
	full := 0
	for i := range answers {
		if len(answers[i].set) > 0 {
			full++
		}
	}
	if full > 0 || err != nil {
		f.c.config.Meter.Called(pipeline.Called{
			Call: pipeline.CallFetch, Items: full, Took: time.Since(began), Failed: err != nil,
		})
	}
}

// end takes in what a poll brought.
func (f *fetcher) end(
	ctx context.Context, p *poll, answers []got, size int, err error, polls *sync.WaitGroup,
) {
	p.read(answers, size, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls[p.broker]--
	if err == nil && size < fetchMuch {
		f.rest[p.broker] = time.Now().Add(fetchPause)
	}
	for i := range p.asks {
		for _, c := range p.asks[i].cursors {
			if c.polled = false; !c.gone && ctx.Err() == nil {
				f.fill(ctx, c, &p.asks[i], polls)
			}
		}
	}
}

// fill puts what was fetched behind what waits. A fault is of those alone who stand where it is. The mutex is held.
func (f *fetcher) fill(ctx context.Context, c *cursor, a *ask, polls *sync.WaitGroup) {
	was := len(c.chunks)
	for _, k := range a.chunks {
		if k.next > c.next {
			c.chunks = append(c.chunks, k)
			c.bytes += len(k.raw)
			c.next = k.next
		}
	}
	if len(c.chunks) > was {
		tell(c.signal)
	}
	if a.err != nil && (c.next <= a.end || !a.here) {
		f.failed(ctx, c, a.err, polls)
		return
	}
	if !a.answered {
		return
	}
	c.high.Store(a.high)
	if c.attempts > attemptsQuiet {
		f.c.config.Outages.End(f.waiter(c))
	}
	c.attempts = 0
}

func (f *fetcher) waiter(c *cursor) pipeline.Waiter {
	return pipeline.Waiter{
		Stage: c.stage, Doing: "read", Topic: f.c.plain(c.topic), Partition: int(c.partition),
	}
}

// attemptsQuiet is how often something is tried before it counts as an outage: for about a second, and it is told
// after one more. A broker that has just been told of a topic, or of its leadership, needs one.
const attemptsQuiet = 7

// failed makes the cursor wait, and whoever reads it know what does not pass. The mutex is held.
func (f *fetcher) failed(ctx context.Context, c *cursor, err error, polls *sync.WaitGroup) {
	if errors.Is(err, kafkago.OffsetOutOfRange) {
		c.fault = errOutOfRange
		tell(c.signal)
		return
	}
	c.due = time.Now().Add(backoff(c.attempts, retryFirst, retryMost))
	if c.attempts++; c.attempts == attemptsQuiet+1 {
		f.c.waits(f.waiter(c), err)
	}
	if !moved(err) || f.asking {
		return
	}
	f.asking = true
	version := f.c.cluster.known()
	polls.Go(func() {
		if err := f.c.cluster.refresh(ctx, version); err != nil {
			sleep(ctx, refreshPause)
		}
		f.mu.Lock()
		f.asking = false
		f.mu.Unlock()
		f.wake()
	})
}

func tell(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
