package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// Work is one topic that a stage, a book or a sink reads.
type Work struct {
	Name   string // of the stage, the book or the sink
	Topic  string
	Config SubscriberConfig
	// Handle does a batch. Without an error the batch is acknowledged, which commits it; with one it comes again.
	Handle func(ctx context.Context, b *Batch) error
	// Single asks for batches of one message: for slow, independent work.
	Single bool
	// Waits says that batches are held until their time has come, however long that is: then a long one is no fault.
	Waits bool
	// Beside runs beside the handlers, for a work that does more than its batches. It ends with its context. It may be
	// nil.
	Beside func(ctx context.Context) error
}

// Router runs works.
type Router struct {
	Consumer Consumer
	Logger   *slog.Logger
	Meter    Meter    // nil measures nothing
	Outages  *Outages // nil: the router has its own
	// Drain is how long the works may take to end when they should. Zero: DrainDefault.
	Drain time.Duration
}

// drainSlack is what the router may take beyond the time that it gives its works.
const drainSlack = time.Second

// Run runs the works in one Watermill router until ctx ends. Then it drains: what is at work comes to its end and is
// committed, and the groups are left. What takes longer than it may is left behind, which is an error: it is done
// again by whoever goes on.
func (r Router) Run(ctx context.Context, works ...Work) error {
	drain := cmp.Or(r.Drain, DrainDefault)
	router, err := r.router(drain, works)
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	actors := []func(context.Context) error{router.Run}
	for _, w := range works {
		if w.Beside != nil {
			actors = append(actors, w.Beside)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, actors...) }()
	var late <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case <-stop:
			timer := time.NewTimer(drain + drainSlack)
			defer timer.Stop()
			stop, late = nil, timer.C
		case <-late:
			return fmt.Errorf("the stages did not stop within %v: what they were at comes again", drain)
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("route: %w", err)
			}
			return nil
		}
	}
}

func (r Router) router(drain time.Duration, works []Work) (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: drain}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	router.AddMiddleware(middleware.Recoverer)
	if r.Outages == nil {
		r.Outages = &Outages{Logger: r.Logger, Meter: r.Meter}
	}
	for _, w := range works {
		h := &handler{work: w, meter: MeterOr(r.Meter), outages: r.Outages}
		w.Config.Revoked, w.Config.Drain = h.revoked, drain
		subscriber := r.Consumer.Subscriber(w.Config)
		if w.Single {
			subscriber = r.Consumer.MessageSubscriber(w.Config)
		}
		router.AddConsumerHandler(w.Name+" "+w.Topic, w.Topic, subscriber, h.handle)
	}
	return router, nil
}

// handler takes a work's envelopes apart, and tells who waits.
type handler struct {
	work    Work
	meter   Meter
	outages *Outages
}

func (h *handler) handle(m *message.Message) error {
	ctx := m.Context()
	b := BatchOf(ctx)
	if b == nil {
		return errors.New("the message carries no batch")
	}
	began := time.Now()
	h.taken(b, began)
	err := h.work.Handle(ctx, b)
	if err != nil && (ctx.Err() != nil || b.stops()) {
		return err // stopping is no outage
	}
	h.handled(b, time.Since(began), err)
	if err != nil {
		h.outages.Begin(h.waiter(b.Topic, b.Partition), err)
	} else {
		h.outages.End(h.waiter(b.Topic, b.Partition))
	}
	return err
}

// taken measures what a batch finds undone.
func (h *handler) taken(b *Batch, now time.Time) {
	if h.work.Waits {
		now = time.Time{}
	}
	if len(b.Records) > 0 {
		h.stands(b, b.Records[0].Offset, b.Oldest, now)
	}
}

// handled measures what a batch was, and what it leaves undone.
func (h *handler) handled(b *Batch, took time.Duration, err error) {
	if len(b.Records) > 0 {
		h.meter.Worked(Worked{
			Stage: h.work.Name, Topic: b.Topic, Records: len(b.Records), Bytes: b.Bytes, Took: took, Again: err != nil,
		})
	}
	none := time.Time{}
	switch {
	case err != nil && len(b.Records) > 0:
		h.stands(b, b.Records[0].Offset, b.Oldest, none)
	case err != nil:
	case b.Next < b.High:
		h.stands(b, b.Next, b.Newest, none)
	default:
		h.stands(b, b.Next, none, none)
	}
}

func (h *handler) stands(b *Batch, next int64, oldest, since time.Time) {
	h.meter.Stands(Standing{
		Stage: h.work.Name, Topic: b.Topic, Partition: b.Partition, Next: next, High: max(b.High, next), Oldest: oldest,
		Since: since,
	})
}

// revoked ends the measures of a partition.
func (h *handler) revoked(topic string, partition int) {
	if h.work.Config.Revoked != nil {
		h.work.Config.Revoked(topic, partition)
	}
	h.outages.End(h.waiter(topic, partition))
	h.meter.Stands(Standing{Stage: h.work.Name, Topic: topic, Partition: partition, Left: true})
}

func (h *handler) waiter(topic string, partition int) Waiter {
	return Waiter{Stage: h.work.Name, Doing: "handle", Topic: topic, Partition: partition}
}
