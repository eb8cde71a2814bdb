package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

const (
	heartbeatInterval = 500 * time.Millisecond // a rebalance is noticed at a heartbeat
	rebalanceTimeout  = 10 * time.Second
	joinBackoff       = 250 * time.Millisecond
	groupTimeout      = 7 * time.Second // with the above, more than a broker waits for a member that is gone
)

// subscription is a member of a group for one topic. Its shards outlive the group's generations: a partition
// that is assigned again to the process that holds it just goes on.
type subscription struct {
	c       *Client
	log     *slog.Logger
	config  pipeline.SubscriberConfig
	topic   string
	single  bool
	ctx     context.Context //nolint:containedctx // it is the subscription's life: when it ends, it drains
	cancel  context.CancelFunc
	work    context.Context //nolint:containedctx // it is the life of what was handed out
	abort   context.CancelFunc
	out     chan *message.Message
	done    chan struct{}
	commits *committer

	mu         sync.Mutex
	shards     map[int]*shard
	stopping   map[int]*shard // the last one of a partition that was given up, until it has stopped
	generation int32
	given      int       // how many partitions the last generation gives
	member     string    // of the last generation
	name       string    // by which the broker knows this member; empty: it has yet to give one
	lastName   string    // the last one that was not empty
	closing    bool      // nothing is started any more
	active     bool      // the generation has not ended
	ended      time.Time // when it did
	conns      map[net.Conn]struct{}
	dialing    context.Context //nolint:containedctx // when it ends, connections are made no more
	undial     context.CancelFunc
	running    sync.WaitGroup
}

func (c *Client) subscribe(
	ctx context.Context, config pipeline.SubscriberConfig, topic string, single bool,
) (*subscription, error) {
	s := &subscription{
		c: c, config: config, topic: topic, single: single,
		log: c.log.With("group", config.Group, "topic", topic),
		out: make(chan *message.Message), done: make(chan struct{}),
		shards: map[int]*shard{}, stopping: map[int]*shard{}, generation: -1, ended: time.Now(),
		conns: map[net.Conn]struct{}{},
	}
	s.commits = newCommitter(c, config.Group, topic)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.work, s.abort = context.WithCancel(context.WithoutCancel(ctx))
	s.dialing, s.undial = context.WithCancel(context.WithoutCancel(ctx))
	c.open[s] = struct{}{}
	c.tasks.Go(s.run)
	return s, nil
}

// run is the subscription's life.
func (s *subscription) run() {
	defer close(s.done)
	defer func() {
		s.c.mu.Lock()
		delete(s.c.open, s)
		s.c.mu.Unlock()
	}()
	defer close(s.out)
	defer s.undial()
	defer s.abort()
	defer s.cancel()
	group, err := s.join()
	if err != nil {
		return // the context has ended
	}
	s.running.Go(func() { s.commits.run(s.ctx) })
	follow, stop := context.WithCancel(context.WithoutCancel(s.ctx))
	defer stop()
	var following sync.WaitGroup
	following.Go(func() { s.follow(follow, group) })
	<-s.ctx.Done()
	deadline := time.Now().Add(s.config.Drain)
	s.drain(follow, deadline)
	stop()
	following.Wait()
	s.leave(group, deadline)
}

// stageOf is whose the group is: its name is the stage's, or begins with it and ends with the topic's.
func stageOf(group, topic string) string { return strings.TrimSuffix(group, "."+topic) }

func (s *subscription) waiter(doing string, partition int) pipeline.Waiter {
	return pipeline.Waiter{
		Stage: stageOf(s.config.Group, s.topic), Doing: doing, Topic: s.topic, Partition: partition,
	}
}

// join waits for the topic and begins to join the group.
func (s *subscription) join() (*kafkago.ConsumerGroup, error) {
	waiter := s.waiter("find the topic", -1)
	defer s.c.config.Outages.End(waiter)
	for {
		_, err := s.c.Partitions(s.ctx, s.topic)
		if err == nil {
			break
		}
		if s.ctx.Err() != nil || s.c.ctx.Err() != nil {
			return nil, err
		}
		s.c.waits(waiter, err)
	}
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: s.c.wire(s.config.Group), Brokers: s.c.config.Brokers, Topics: []string{s.c.wire(s.topic)},
		Dialer: &kafkago.Dialer{
			ClientID: s.c.config.ClientID, Timeout: signedTimeout, DialFunc: s.dial,
		},
		Logger:            kafkago.LoggerFunc(s.listen),
		GroupBalancers:    []kafkago.GroupBalancer{balancer{held: s.held}},
		HeartbeatInterval: min(heartbeatInterval, s.c.config.SessionTimeout/3),
		SessionTimeout:    s.c.config.SessionTimeout,
		RebalanceTimeout:  rebalanceTimeout, JoinGroupBackoff: joinBackoff, Timeout: groupTimeout,
	})
	if err != nil { // it is this package's own configuration
		s.log.ErrorContext(s.ctx, "a group cannot be joined", "error", err)
	}
	return group, err
}

// follow goes from generation to generation until ctx ends.
func (s *subscription) follow(ctx context.Context, group *kafkago.ConsumerGroup) {
	lost := s.c.config.SessionTimeout + rebalanceTimeout
	waiter := s.waiter("join the group", -1)
	defer s.c.config.Outages.End(waiter)
	for ctx.Err() == nil {
		next, cancel := context.WithTimeout(ctx, lost)
		generation, err := group.Next(next)
		cancel()
		switch {
		case err == nil:
			s.c.config.Outages.End(waiter)
			s.assign(generation)
		case ctx.Err() != nil:
			return
		default:
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kafkago.RebalanceInProgress) {
				s.c.waits(waiter, err)
			}
			s.abandon(lost)
		}
	}
}

// abandon stops all shards when the process was no member for so long that others must have them.
func (s *subscription) abandon(lost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active || time.Since(s.ended) < lost || len(s.shards) == 0 {
		return
	}
	s.log.WarnContext(s.ctx, "this process is no member of the group any more; its partitions are given up")
	for p := range s.shards {
		s.stop(p)
	}
}

// assign brings the shards in line with a generation.
func (s *subscription) assign(generation *kafkago.Generation) {
	partitions := map[int]bool{}
	for _, a := range generation.Assignments[s.c.wire(s.topic)] {
		partitions[a.ID] = true
	}
	ask := s.adopt(generation, partitions)
	s.commits.begin(generation.ID, generation.MemberID, partitions)

	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	generation.Start(func(over context.Context) {
		<-over.Done()
		cancel()
		s.over(generation.ID)
	})
	if len(ask) > 0 && s.ctx.Err() == nil {
		s.resume(ctx, ask)
	}
}

// adopt stops the shards of other partitions than these, and returns the partitions whose marks must be looked
// up.
func (s *subscription) adopt(generation *kafkago.Generation, partitions map[int]bool) (ask []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Unless generation follows generation, another member may have had a partition in between.
	steady := generation.ID == s.generation+1 && generation.MemberID == s.member
	s.generation, s.member, s.active = generation.ID, generation.MemberID, true
	s.given = len(partitions)
	for p := range s.shards {
		if !partitions[p] {
			s.stop(p)
		}
	}
	for p := range partitions {
		if s.shards[p] == nil || !steady {
			ask = append(ask, p)
		}
	}
	return ask
}

// resume starts the partitions at their committed marks; those that are worked on learn of the marks. It gives
// up when ctx ends, with the generation.
func (s *subscription) resume(ctx context.Context, partitions []int) {
	marks, err := s.commits.fetch(ctx, partitions)
	if err != nil {
		if ctx.Err() == nil {
			s.log.ErrorContext(s.ctx,
				"committed marks cannot be read; the partitions wait for the next generation", "error", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, mark := range marks {
		if held := s.shards[p]; held != nil {
			held.overtaken(mark)
		} else if !s.closing {
			s.start(p, mark)
		}
	}
}

// over commits what is done before the group goes on: the generation's number is good until all have joined
// again.
func (s *subscription) over(generation int32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Second)
	defer cancel()
	s.commits.finish(ctx)
	s.commits.end(generation)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.active, s.ended = false, time.Now()
	}
}

// start begins to work on a partition, after whoever did before has stopped. The mutex is held.
func (s *subscription) start(partition int, mark pipeline.Mark) {
	h := newShard(s, partition, mark)
	if before := s.stopping[partition]; before != nil {
		h.before = before.done
	}
	s.shards[partition] = h
	s.running.Go(h.run)
}

// stop ends the work on a partition; nothing more of it is committed. The mutex is held.
func (s *subscription) stop(partition int) {
	h := s.shards[partition]
	delete(s.shards, partition)
	s.stopping[partition] = h
	h.lost.Store(true)
	h.cancel()
	h.abort()
}

// stopped forgets a shard that has stopped.
func (s *subscription) stopped(h *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping[h.partition] == h {
		delete(s.stopping, h.partition)
	}
}

// held returns the partitions that the process works on, for the next generation's balance.
func (s *subscription) held() (generation int32, partitions []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.shards {
		partitions = append(partitions, p)
	}
	return s.generation, partitions
}
