package pipeline

import (
	"cmp"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Waiter is somebody in the process who waits for what does not work now.
type Waiter struct {
	Stage     string // empty of the transport, which waits for all
	Doing     string
	Topic     string
	Partition int // below zero of all
}

// Outages know who in the process waits, and for what, and tell an operator: one line when an outage begins and one
// when it ends, however many stages and partitions wait for the same. What is over within gatherFor is not told.
type Outages struct {
	// Logger gets the lines.
	Logger *slog.Logger
	// Meter counts the outages. Nil: nobody does.
	Meter Meter
	// Server says which server an error is about, where it can tell. It may be nil. An error may also say so itself:
	// a *ServerError.
	Server func(error) string

	some    atomic.Bool // whether anybody waits: mostly nobody does, which costs nothing
	mu      sync.Mutex
	waiting map[Waiter]*outage
	open    map[string]*outage
}

// gatherFor is how long it takes to say that something does not work: meanwhile those gather who wait for the same.
const gatherFor = time.Second

// ServerError says which server did not do what it was asked for.
type ServerError struct {
	Server string // kafka or redis
	Err    error
}

// Servers that a process waits for.
const (
	ServerKafka = "kafka"
	ServerRedis = "redis"
)

func (e *ServerError) Error() string { return e.Err.Error() }

// Unwrap returns what the server did.
func (e *ServerError) Unwrap() error { return e.Err }

// Outage is what somebody waits for.
type Outage struct {
	Cause      string // a server, or the stage whose own fault it is
	Since      time.Time
	Stages     []string // sorted
	Partitions int
	Error      string // of the first one who waits
}

// outage is one that is under way.
type outage struct {
	key    string
	cause  string
	since  time.Time
	first  Waiter
	err    error
	now    map[Waiter]struct{} // who waits
	all    map[Waiter]struct{} // who waited at any time
	said   bool
	gather *time.Timer
}

// Begin notes that somebody waits, and why. Who waits already goes on waiting for the same.
func (o *Outages) Begin(w Waiter, err error) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting[w] != nil {
		return
	}
	if o.waiting == nil {
		o.waiting, o.open = map[Waiter]*outage{}, map[string]*outage{}
	}
	key, cause := o.classify(w, err)
	x := o.open[key]
	if x == nil {
		x = &outage{
			key: key, cause: cause, since: time.Now(), first: w, err: err,
			now: map[Waiter]struct{}{}, all: map[Waiter]struct{}{},
		}
		x.gather = time.AfterFunc(gatherFor, func() { o.say(x) })
		o.open[key] = x
	}
	o.waiting[w] = x
	o.some.Store(true)
	x.now[w], x.all[w] = struct{}{}, struct{}{}
}

// classify says what is waited for: the same for all that wait for the same.
func (o *Outages) classify(w Waiter, err error) (key, cause string) {
	if known, ok := errors.AsType[*ServerError](err); ok {
		return known.Server, known.Server
	}
	if o.Server != nil {
		if server := o.Server(err); server != "" {
			return server, server
		}
	}
	cause = cmp.Or(w.Stage, "transport")
	return cause + " " + strings.Map(withoutDigits, err.Error()), cause
}

// withoutDigits makes errors one that differ by a number: a partition's, an offset's.
func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// say tells that an outage has begun, unless it is over.
func (o *Outages) say(x *outage) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open[x.key] != x {
		return
	}
	x.said = true
	MeterOr(o.Meter).Counted(EventOutage, "", x.cause, 1)
	stages, partitions := count(x.now)
	o.Logger.Warn("waiting", "cause", x.cause, "stages", len(stages), "partitions", partitions,
		"doing", x.first.Doing, "error", x.err)
}

// End notes that somebody waits no more.
func (o *Outages) End(w Waiter) {
	if o == nil || !o.some.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.waiting[w]
	if x == nil {
		return
	}
	delete(o.waiting, w)
	o.some.Store(len(o.waiting) > 0)
	if delete(x.now, w); len(x.now) > 0 {
		return
	}
	delete(o.open, x.key)
	x.gather.Stop()
	if !x.said {
		return
	}
	stages, partitions := count(x.all)
	o.Logger.Info("going on", "cause", x.cause, "stages", len(stages), "partitions", partitions,
		"waited", time.Since(x.since).Round(time.Millisecond))
}

// Now returns what is waited for at the moment, the oldest first.
func (o *Outages) Now() []Outage {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Outage
	for _, x := range o.open {
		stages, partitions := count(x.now)
		all = append(all, Outage{
			Cause: x.cause, Since: x.since, Stages: stages, Partitions: partitions, Error: x.err.Error(),
		})
	}
	slices.SortFunc(all, func(a, b Outage) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Cause, b.Cause))
	})
	return all
}

// count returns the stages that wait, and how many partitions they do for.
func count(waiters map[Waiter]struct{}) (stages []string, partitions int) {
	names := map[string]struct{}{}
	places := map[Waiter]struct{}{}
	for w := range waiters {
		if w.Stage != "" {
			names[w.Stage] = struct{}{}
		}
		if w.Topic != "" && w.Partition >= 0 {
			places[Waiter{Topic: w.Topic, Partition: w.Partition}] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names)), len(places)
}
