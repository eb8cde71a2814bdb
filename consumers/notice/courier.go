package notice

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	// GiveUpAfterDefault is how long a webhook is tried.
	GiveUpAfterDefault = 24 * time.Hour
	// GiveUpAfterMax leaves the topic of retries time to keep them.
	GiveUpAfterMax = 14 * 24 * time.Hour

	// RefreshDefault is how long a new version of the directory or of the keys may go unnoticed.
	RefreshDefault = 500 * time.Millisecond

	// callers are at work at a time: many more than one dead receiver can hold up.
	callers = 512
	// lingerTime is how long calls that are under way may go on when the process should stop.
	lingerTime = 4 * time.Second
)

// Config says how notices travel, where the directory is read, and how webhooks are called. The rest may be left
// zero.
type Config struct {
	Follower *pipeline.Follower
	Log      pipeline.Log
	Now      func() time.Time

	// KeyFile holds the keys that sign: see LoadKeys. It is read again when it changes. Empty: no webhook can be
	// signed, and none is sent.
	KeyFile string
	// GiveUpAfter is how long a webhook is tried. Zero: GiveUpAfterDefault.
	GiveUpAfter time.Duration
	// Timeout bounds one call. Zero: TimeoutDefault.
	Timeout time.Duration
	// RetryFirst bounds the wait before the second try. Zero: RetryFirstDefault.
	RetryFirst time.Duration
	// Refresh is how long a new version of the directory or of KeyFile may go unnoticed. Zero: RefreshDefault.
	Refresh time.Duration
	// Private lets webhooks be of this machine and of private networks.
	Private bool
	// RootCAs verify receivers. Nil: the system's do.
	RootCAs *x509.CertPool
}

// Courier delivers notices: see Works.
type Courier struct {
	Config

	inbox   pipeline.Work // notices for which the inbox does
	letters pipeline.Work // retries that nobody can read
	logger  *slog.Logger
	meter   pipeline.Meter
	parties *parties
	desk    *desk
	caller  *caller

	mu      sync.Mutex
	windows map[place]*window
	ending  <-chan struct{} // of the context under which the callers work; nil before they do

	outage  atomic.Bool  // what became of tries cannot be published
	givenUp atomic.Int64 // notices that were given up and not told of
	told    time.Time    // when they were told of
}

type place struct {
	topic     string
	partition int
}

// job is a notice on its way to a webhook.
type job struct {
	in     pipeline.In // the notice, or its retry
	size   int
	id     string // the notice's
	notice *schemas.Notice
	tries  int       // that were before
	first  time.Time // when it was to be delivered first
	window *window
}

// New returns a courier. What it is given stays the caller's.
func New(c Config) *Courier {
	c.GiveUpAfter = min(cmp.Or(c.GiveUpAfter, GiveUpAfterDefault), GiveUpAfterMax)
	c.RetryFirst = cmp.Or(c.RetryFirst, RetryFirstDefault)
	logger := c.Follower.Logger
	return &Courier{
		Config: c, inbox: c.Follower.Stage(Stage())[0], letters: c.Follower.Stage(unreadable())[0],
		logger: logger, meter: pipeline.MeterOr(c.Follower.Meter), parties: newParties(c),
		desk: newDesk(c.RetryFirst), caller: newCaller(c), windows: map[place]*window{},
	}
}

// unreadable is a stage that takes no retry.
func unreadable() pipeline.Stage {
	return pipeline.Stage{
		Name: stageName, Reads: []string{schemas.TopicNoticeRetries},
		Follow: func(in pipeline.In) ([]pipeline.Out, error) {
			panic(fmt.Sprintf("topic %s holds a %T", in.Topic, in.Body)) // a dead letter
		},
	}
}

// Works are the stage, ready to be routed: the notices, and those that wait for another try.
func (c *Courier) Works() []pipeline.Work {
	notices, retries := c.inbox, c.letters
	notices.Handle, notices.Beside, notices.Config.Revoked = c.take, c.run, c.revoked
	retries.Handle, retries.Single, retries.Waits, retries.Config.Revoked = c.retake, true, true, c.revoked
	return []pipeline.Work{notices, retries}
}

// run calls receivers until ctx ends, and then lets calls that are under way come to their end.
func (c *Courier) run(ctx context.Context) error {
	defer c.caller.close()
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lingerTime, cancel) })
	defer stop()
	c.mu.Lock()
	c.ending = ctx.Done()
	c.mu.Unlock()
	actors := []func(context.Context) error{
		func(ctx context.Context) error { return c.parties.run(ctx, c.refreshed) },
	}
	for range callers {
		actors = append(actors, func(ctx context.Context) error { return c.work(ctx, late) })
	}
	return pipeline.Run(ctx, actors...)
}

// refreshed drops what stands for parties that are none any more, and tells how many notices were given up.
func (c *Courier) refreshed(ctx context.Context) {
	c.desk.forget(func(id string) bool {
		_, ok := c.parties.of(id)
		return ok
	})
	c.tellGivenUp(ctx)
}

// revoked ends the work on a partition. When the process stops, it waits for the calls under way: what they did is
// still committed.
func (c *Courier) revoked(topic string, partition int) {
	c.mu.Lock()
	w := c.windows[place{topic, partition}]
	delete(c.windows, place{topic, partition})
	ending := c.ending
	c.mu.Unlock()
	if w == nil {
		return
	}
	quiet := w.close()
	select {
	case <-ending:
	default:
		return // another process goes on with it
	}
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
	}
}

// enter hands the jobs of a batch to the callers; room for them was reserved. The acknowledgement commits what is
// done before them.
func (c *Courier) enter(b *pipeline.Batch, jobs []*job) {
	w := c.window(b)
	offsets := make([]int64, len(jobs))
	for i, j := range jobs {
		j.window, offsets[i] = w, j.in.Offset
	}
	b.Commit(w.take(offsets, b.Next, b.Later))
	now := c.Now()
	for _, j := range jobs {
		c.desk.add(j, now)
	}
}

// window is that of the batch's partition: another one where the partition was begun anew.
func (c *Courier) window(b *pipeline.Batch) *window {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := place{b.Topic, b.Partition}
	w := c.windows[at]
	if w != nil && len(b.Records) > 0 && !w.follows(b.Records[0].Offset) {
		w.close()
		w = nil
	}
	if w == nil {
		w = newWindow()
		c.windows[at] = w
	}
	return w
}
