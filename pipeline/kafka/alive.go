package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// aliveLook is how often it is looked whether a loop has come round.
const aliveLook = 2 * time.Millisecond

// Alive says whether the loops of the client go round: each is woken, and must come round before ctx ends. Whether a
// broker answers is not asked.
func (c *Client) Alive(ctx context.Context) error {
	return errors.Join(
		c.round(ctx, &c.sender.turns, c.sender.kick, "the sender"),
		c.round(ctx, &c.fetcher.turns, c.fetcher.kick, "the fetcher"))
}

// round wakes a loop and waits until it has come round. One that has not begun, or has ended, need not.
func (c *Client) round(ctx context.Context, turns *atomic.Int64, kick chan struct{}, what string) error {
	before := turns.Load()
	if before == 0 {
		return nil
	}
	tell(kick)
	for turns.Load() == before && c.ctx.Err() == nil {
		if ctx.Err() != nil || !sleep(ctx, aliveLook) {
			return fmt.Errorf("%s stands still", what)
		}
	}
	return nil
}

// Membership is how a subscription stands in its group.
type Membership struct {
	Stage, Group, Topic string
	Joined              bool // it is a member, or was one just now
	Partitions          int  // that it was given
	Resuming            int  // of them, that it has not begun to work on yet
}

// Memberships returns how all subscriptions stand, by group and topic.
func (c *Client) Memberships() []Membership {
	var all []Membership
	for _, s := range c.subscriptions() {
		all = append(all, s.membership())
	}
	slices.SortFunc(all, func(a, b Membership) int {
		return strings.Compare(a.Group+" "+a.Topic, b.Group+" "+b.Topic)
	})
	return all
}

func (c *Client) subscriptions() []*subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*subscription, 0, len(c.open))
	for s := range c.open {
		all = append(all, s)
	}
	return all
}

func (s *subscription) membership() Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := Membership{
		Stage: stageOf(s.config.Group, s.topic), Group: s.config.Group, Topic: s.topic, Partitions: s.given,
	}
	m.Joined = s.generation >= 0 && (s.active || time.Since(s.ended) < s.c.config.SessionTimeout+rebalanceTimeout)
	begun := 0
	for _, h := range s.shards {
		if h.begun() {
			begun++
		}
	}
	m.Resuming = max(s.given-begun, 0)
	return m
}

// begun says whether the shard knows where to begin.
func (h *shard) begun() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next >= 0
}
