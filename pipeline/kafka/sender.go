package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/aval-systems/aval/pipeline"
)

const (
	produceTimeout  = 5 * time.Second // what the broker may wait for its replicas
	produceInFlight = 2               // requests to one broker
	produceBytes    = 8 << 20         // of one request, unless one batch alone has more
	acksAll         = -1
	// producePause lets records gather before more is sent: a request costs a broker as much as some hundred records.
	producePause = 4 * time.Millisecond
)

// delivery is a record batch on its way to a partition. Of a producer and partition one is out at a time.
type delivery struct {
	place
	set []byte // as the request carries it; it stays the same over every repeat
	// wanted says whether anybody still waits; what nobody waits for is not repeated.
	wanted func() bool
	// done is called once, with the offset of the first record, or with an error that no repeat mends.
	done func(base int64, err error)

	attempts int
	due      time.Time
}

// sender merges the batches that wait for one broker into one request. It repeats a batch, with the same
// bytes, until it is acknowledged or refused.
type sender struct {
	c       *Client
	results chan result
	kick    chan struct{}
	turns   atomic.Int64 // of its loop

	mu    sync.Mutex
	inbox []*delivery
	lines []*line // that have records, of which batches are made when they can be sent
	ended bool

	// The rest is the loop's own.
	waiting  []*delivery // in the order of submission
	requests map[int32]int
	stale    bool // the leaders that are known are not all right
	asking   bool
	asked    chan struct{}
	rest     time.Time // until when records gather
}

// result is what became of a request: the deliveries to repeat.
type result struct {
	broker int32
	repeat []*delivery
	moved  bool
}

func newSender(c *Client) *sender {
	return &sender{
		c: c, results: make(chan result), kick: make(chan struct{}, 1),
		requests: map[int32]int{}, asked: make(chan struct{}, 1),
	}
}

// submit hands deliveries over. After the client has ended they fail at once.
func (s *sender) submit(deliveries ...*delivery) {
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.inbox = append(s.inbox, deliveries...)
	}
	s.mu.Unlock()
	if ended {
		for _, d := range deliveries {
			d.done(-1, ErrClosed)
		}
		return
	}
	tell(s.kick)
}

// announce says that lines have something to send. After the client has ended it says no.
func (s *sender) announce(lines ...*line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.lines = append(s.lines, lines...)
	tell(s.kick)
	return true
}

func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			s.end()
			return
		case <-s.kick:
		case r := <-s.results:
			s.requests[r.broker]--
			s.waiting = append(s.waiting, r.repeat...)
			s.stale = s.stale || r.moved
		case <-s.asked:
			s.asking = false
		case <-timer.C:
		}
		if next, ok := s.dispatch(ctx); ok {
			timer.Reset(next)
		}
		s.turns.Add(1)
	}
}

// take moves what was submitted behind what waits already.
func (s *sender) take(last bool) {
	s.mu.Lock()
	lines := s.lines
	s.waiting = append(s.waiting, s.inbox...)
	s.inbox, s.lines, s.ended = nil, nil, last
	s.mu.Unlock()
	s.waiting = append(s.waiting, s.c.producer.pack(lines)...)
}

// empty says whether nothing was submitted.
func (s *sender) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inbox)+len(s.lines) == 0
}

// dispatch sends what can be sent and says when to look again, if time alone is a reason to.
func (s *sender) dispatch(ctx context.Context) (time.Duration, bool) {
	now := time.Now()
	var next alarm
	switch {
	case !s.rest.After(now):
		s.take(false)
	case !s.empty():
		next.set(s.rest)
	}
	groups := map[int32]*group{}
	rest := s.waiting[:0]
	for _, d := range s.waiting {
		if s.waits(d, now, groups, &next) {
			rest = append(rest, d)
		}
	}
	clear(s.waiting[len(rest):])
	s.waiting = rest
	for id, g := range groups {
		for _, batch := range g.requests {
			s.requests[id]++
			s.rest = now.Add(producePause)
			s.c.tasks.Go(func() { s.send(ctx, g, batch) })
		}
	}
	s.refresh(ctx)
	return next.wait()
}

// waits puts the delivery into a request to its leader, or says that it waits on.
func (s *sender) waits(d *delivery, now time.Time, groups map[int32]*group, next *alarm) bool {
	if d.due.After(now) {
		next.set(d.due)
		return true
	}
	id, address, err := s.c.cluster.leader(d.place)
	if err != nil {
		s.stale = true
		if !s.postpone(d, err) {
			return false
		}
		next.set(d.due)
		return true
	}
	g := groups[id]
	if g == nil {
		g = &group{broker: id, address: address}
		groups[id] = g
	}
	return !g.add(d, s.requests[id])
}

// group is what goes to one broker now.
type group struct {
	broker   int32
	address  string
	requests [][]*delivery
	size     int // of the last request
}

// add takes the delivery into the last request, or into one more where that may be.
func (g *group) add(d *delivery, inFlight int) bool {
	last := len(g.requests) - 1
	same := func(other *delivery) bool { return other.place == d.place } // a request names a partition once
	if last >= 0 && g.size+len(d.set) <= produceBytes && !slices.ContainsFunc(g.requests[last], same) {
		g.requests[last] = append(g.requests[last], d)
		g.size += len(d.set)
		return true
	}
	if inFlight+len(g.requests) >= produceInFlight {
		return false
	}
	g.requests = append(g.requests, []*delivery{d})
	g.size = len(d.set)
	return true
}

// refresh asks who leads, beside the loop.
func (s *sender) refresh(ctx context.Context) {
	if !s.stale || s.asking {
		return
	}
	s.stale, s.asking = false, true
	version := s.c.cluster.known()
	s.c.tasks.Go(func() {
		if err := s.c.cluster.refresh(ctx, version); err != nil && ctx.Err() == nil {
			sleep(ctx, refreshPause)
		}
		s.asked <- struct{}{}
	})
}

// send makes one request and tells everybody whom its answer concerns.
func (s *sender) send(ctx context.Context, g *group, batch []*delivery) {
	began := time.Now()
	answer, err := s.c.brokers.roundTrip(ctx, g.address, produceTimeout, produceRequest(batch))
	s.c.config.Meter.Called(pipeline.Called{
		Call: pipeline.CallProduce, Items: len(batch), Took: time.Since(began), Failed: err != nil,
	})
	r := result{broker: g.broker}
	var codes map[place]produce.ResponsePartition
	if err == nil {
		codes, err = produceAnswer(answer)
	}
	for _, d := range batch {
		base, failure := verdict(d, codes, err)
		switch {
		case failure == nil:
			s.written(d)
			d.done(base, nil)
		case ctx.Err() != nil:
			d.done(-1, ErrClosed)
		case !retriable(failure):
			s.settled(d)
			d.done(base, failure)
		default:
			r.moved = r.moved || moved(failure)
			if s.postpone(d, failure) {
				r.repeat = append(r.repeat, d)
			}
		}
	}
	select {
	case s.results <- r:
	case <-ctx.Done():
		for _, d := range r.repeat {
			d.done(-1, ErrClosed)
		}
	}
}

// verdict returns what an answer says of the delivery; err is why there is none.
func verdict(d *delivery, codes map[place]produce.ResponsePartition, err error) (base int64, failure error) {
	if err != nil {
		return -1, err
	}
	p, ok := codes[d.place]
	if !ok {
		return -1, fmt.Errorf("%w: it lacks %s/%d", errWire, d.topic, d.partition)
	}
	failure = asError(p.ErrorCode)
	if failure != nil && p.ErrorMessage != "" {
		failure = fmt.Errorf("%w (%s)", failure, p.ErrorMessage)
	}
	return p.BaseOffset, failure
}

// postpone makes the delivery wait for its next try, unless nobody waits for it any more: then it has ended.
func (s *sender) postpone(d *delivery, err error) bool {
	d.due = time.Now().Add(backoff(d.attempts, retryFirst, retryMost))
	d.attempts++
	return !s.abandoned(d, err)
}

// abandoned ends a delivery that nobody waits for any more. It says once of any other that it waits.
func (s *sender) abandoned(d *delivery, err error) bool {
	if !d.wanted() {
		s.settled(d)
		d.done(-1, err)
		return true
	}
	if d.attempts > attemptsQuiet {
		s.c.waits(s.waiter(d), err)
	}
	return false
}

func (s *sender) written(d *delivery) {
	records := int(int32(binary.BigEndian.Uint32(d.set[prefixBytes+countAt:]))) //nolint:gosec // it was made here
	s.c.config.Meter.Wrote(s.c.plain(d.topic), records, len(d.set))
	s.settled(d)
}

// settled notes that nobody waits for the delivery any more.
func (s *sender) settled(d *delivery) {
	if d.attempts > attemptsQuiet {
		s.c.config.Outages.End(s.waiter(d))
	}
}

func (s *sender) waiter(d *delivery) pipeline.Waiter {
	return pipeline.Waiter{Doing: "publish", Topic: s.c.plain(d.topic), Partition: int(d.partition)}
}

// end tells everybody who still waits that nothing more is sent.
func (s *sender) end() {
	s.take(true)
	for _, d := range s.waiting {
		d.done(-1, ErrClosed)
	}
	s.waiting = nil
}

func produceRequest(batch []*delivery) *rawproduce.Request {
	request := &rawproduce.Request{Acks: acksAll, Timeout: int32(produceTimeout / time.Millisecond)}
	at := map[string]int{}
	for _, d := range batch {
		i, ok := at[d.topic]
		if !ok {
			i = len(request.Topics)
			at[d.topic] = i
			request.Topics = append(request.Topics, rawproduce.RequestTopic{Topic: d.topic})
		}
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, rawproduce.RequestPartition{
			Partition: d.partition, RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(d.set)},
		})
	}
	return request
}

func produceAnswer(answer protocol.Message) (map[place]produce.ResponsePartition, error) {
	response, ok := answer.(*produce.Response)
	if !ok {
		return nil, errWire
	}
	codes := map[place]produce.ResponsePartition{}
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			codes[place{topic: t.Topic, partition: p.Partition}] = p
		}
	}
	return codes, nil
}
