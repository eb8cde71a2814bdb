package kafka

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// fetchWaitShort is how long a poll waits while somebody is left out of it.
const fetchWaitShort = 10 * time.Millisecond

// cursor is a partition that is being read, and what waits to be taken from it.
type cursor struct {
	place
	stage  string        // who reads; empty of none
	signal chan struct{} // has room for one: something is there to take
	room   int           // bytes; nothing is fetched while more wait
	high   atomic.Int64  // the offset after the partition's last record, as of the last fetch

	// Guarded by the fetcher's mutex.
	next     int64 // what to fetch
	chunks   []chunk
	bytes    int
	fault    error
	polled   bool
	fresh    bool
	gone     bool
	attempts int
	due      time.Time
}

// poll is a request to a broker.
type poll struct {
	broker  int32
	address string
	wait    time.Duration
	asks    []ask
	at      map[place]int // of the asks
}

// ask is a partition of a poll, those who read it, and what was answered.
type ask struct {
	cursors  []*cursor
	answered bool
	high     int64 // the offset after the partition's last record
	chunks   []chunk
	end      int64 // where the next chunk would begin
	err      error
	here     bool // the error is about what stands at the end, not about the partition
}

func (p *poll) add(c *cursor) {
	i, ok := p.at[c.place]
	if !ok {
		i = len(p.asks)
		p.at[c.place] = i
		p.asks = append(p.asks, ask{})
	}
	p.asks[i].cursors = append(p.asks[i].cursors, c)
}

// choose says what to ask for. A request names a partition once: where its readers stand apart, it is one turn for
// the one that is furthest behind, the next for any of them. Whoever stands before what is asked for is left out, and
// does not wait for long.
func (p *poll) choose(turn int) (wants []want) {
	for i := range p.asks {
		a := &p.asks[i]
		from := a.cursors[turn/2%len(a.cursors)].next
		for _, c := range a.cursors {
			if turn%2 == 0 {
				from = min(from, c.next)
			}
		}
		room, all := 0, len(a.cursors)
		a.cursors = slices.DeleteFunc(a.cursors, func(c *cursor) bool { return c.next < from })
		for _, c := range a.cursors {
			c.polled, c.fresh = true, false
			room = max(room, c.room)
		}
		a.end = from
		if len(a.cursors) < all {
			p.wait = 0
		}
		wants = append(wants, want{place: a.cursors[0].place, from: from, bytes: room})
	}
	return wants
}

// read takes in what was answered. An answer's bytes are kept by whoever waits for a part of them.
func (p *poll) read(answers []got, size int, err error) {
	for i := range p.asks {
		p.asks[i].err = err
		if err == nil {
			p.asks[i].err = errWire // unless there is an answer
		}
	}
	for _, g := range answers {
		i, ok := p.at[g.place]
		if !ok {
			continue
		}
		a := &p.asks[i]
		if a.err = asError(g.code); a.err != nil {
			a.here = errors.Is(a.err, kafkago.OffsetOutOfRange)
			continue
		}
		if len(g.set)*2 < size { // not to hold the whole answer for a part of it
			g.set = bytes.Clone(g.set)
		}
		a.answered, a.high = true, g.high
		a.chunks, a.err = split(g.set)
		a.here = true
		if n := len(a.chunks); n > 0 {
			a.end = a.chunks[n-1].next
		}
	}
}
