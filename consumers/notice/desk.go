package notice

import (
	"context"
	"sync"
	"time"
)

const (
	// deskJobs and deskBytes bound what is in memory; the rest waits in the topics.
	deskJobs  = 8192
	deskBytes = 64 << 20
)

// desk hands out deliveries: to each receiver in turn, so that one that is slow or dead delays no other.
type desk struct {
	first time.Duration // bounds a receiver's first rest

	mu        sync.Mutex
	receivers map[string]*receiver
	ready     []*receiver // that are callable, each once
	late      []*job      // that are put off without a call
	jobs      int
	bytes     int
	wake      chan struct{} // has room for one: something is there to do
	roomy     chan struct{} // has room for one: there may be room
}

func newDesk(first time.Duration) *desk {
	return &desk{
		first: first, receivers: map[string]*receiver{},
		wake: make(chan struct{}, 1), roomy: make(chan struct{}, 1),
	}
}

// reserve takes room for a delivery, if there is some.
func (d *desk) reserve(size int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.jobs >= deskJobs || d.bytes+size > deskBytes {
		return false
	}
	d.jobs++
	d.bytes += size
	return true
}

// await takes room, or gives up when ctx or stopping ends.
func (d *desk) await(ctx context.Context, stopping <-chan struct{}, size int) bool {
	for !d.reserve(size) {
		select {
		case <-d.roomy:
		case <-stopping:
			return false
		case <-ctx.Done():
			return false
		}
	}
	signal(d.roomy) // whoever waits beside may have room too
	return true
}

// release gives room back.
func (d *desk) release(size int) {
	d.mu.Lock()
	d.jobs--
	d.bytes -= size
	d.mu.Unlock()
	signal(d.roomy)
}

// add takes a delivery for which room was reserved. Where its receiver rests, or has too much before it, it is put
// off.
func (d *desk) add(j *job, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := j.notice.GetRecipient().GetId()
	r := d.receivers[id]
	if r == nil {
		r = &receiver{id: id}
		d.receivers[id] = r
	}
	if r.resting(now) || len(r.queue) >= receiverQueue {
		d.late = append(d.late, j)
	} else {
		r.queue = append(r.queue, j)
		d.list(r)
	}
	signal(d.wake)
}

// list puts the receiver among those that are ready, where it is. The mutex is held.
func (d *desk) list(r *receiver) {
	if !r.listed && r.callable() {
		r.listed = true
		d.ready = append(d.ready, r)
	}
}

// next waits for something to do; it is nil when ctx has ended. Without a receiver the delivery is to be put off.
func (d *desk) next(ctx context.Context) (*job, *receiver) {
	for ctx.Err() == nil {
		if j, r := d.pick(); j != nil {
			return j, r
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
		}
	}
	return nil, nil
}

// pick takes what is to be done next, and wakes another worker where there is more.
func (d *desk) pick() (j *job, r *receiver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.more()
	if len(d.late) > 0 {
		j, d.late = d.late[0], d.late[1:]
		return j, nil
	}
	for len(d.ready) > 0 {
		r, d.ready = d.ready[0], d.ready[1:]
		if r.listed = false; r.callable() { // it may have begun to rest meanwhile
			j, r.queue = r.queue[0], r.queue[1:]
			r.busy++
			d.list(r)
			return j, r
		}
	}
	return nil, nil
}

// more wakes a worker where there is something to do. The mutex is held.
func (d *desk) more() {
	if len(d.late) > 0 || len(d.ready) > 0 {
		signal(d.wake)
	}
}

// turn is what an answer changes of a receiver: it begins to fail, it has ended failing, it wants no more.
type turn struct{ broke, mended, left bool }

// answered takes note of how a receiver answered a call that pick has handed out. What waits for one that rests is
// put off.
func (d *desk) answered(r *receiver, a answer, now time.Time) (t turn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.busy--
	switch a.verdict {
	case delivered:
		t.mended = r.succeeded() || r.gone
		r.gone = false
	case gone:
		r.succeeded()
		t.left = !r.gone
		r.gone = true
	case failed:
		t.broke = r.failed(now, a, d.first)
	case unneeded, stopped:
	}
	if r.resting(now) {
		d.late = append(d.late, r.queue...)
		r.queue = nil
	}
	d.list(r)
	d.more()
	return t
}

// rest is how long a recipient's receiver is still left alone.
func (d *desk) rest(id string, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.receivers[id]; r != nil && r.resting(now) {
		return r.until.Sub(now)
	}
	return 0
}

// forget drops receivers that are none any more.
func (d *desk) forget(known func(id string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, r := range d.receivers {
		if r.busy == 0 && len(r.queue) == 0 && !known(id) {
			delete(d.receivers, id)
		}
	}
}

// signal leaves a token where there is none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
