package simulation_test

import (
	"maps"
	"strings"
	"testing"
	"time"
)

const (
	shrinkTime = 30 * time.Second
	traceMax   = 200 // lines
)

// report prints what is wrong with a world, made as small as it can be made in a short time.
func (l *lab) report(t *testing.T, p plan, w *world) {
	t.Helper()
	p = l.shrink(p, w)
	p.traced = true
	w = l.run(p)
	from := max(0, len(w.trace)-traceMax)
	t.Errorf("seed %d fails; run it again: make simulate SEED=%d ROUNDS=1\n"+
		"It still fails with %d of its orders and these faults alone: %v\n%s\nThe end of what happened then:\n%s",
		p.seed, p.seed, len(w.parties().orders), w.dice.fired, strings.Join(w.violations, "\n"),
		strings.Join(w.trace[from:], "\n"))
}

// shrink leaves out orders and faults as long as the world still fails.
func (l *lab) shrink(p plan, w *world) plan {
	deadline := time.Now().Add(shrinkTime)
	fails := func(q plan) bool {
		if time.Now().After(deadline) {
			return false
		}
		x := l.run(q)
		if len(x.violations) == 0 {
			return false
		}
		p, w = q, x
		return true
	}
	for orders := 1; orders < p.orders; orders++ {
		q := p
		if q.orders = orders; fails(q) {
			break
		}
	}
	for step := p.until / 2; step > 0; step /= 2 {
		for q := p; ; {
			if q.until = p.until - step; q.until < 0 || !fails(q) {
				break
			}
		}
	}
	for size := len(w.dice.fired); size > 0; size /= 2 {
		for from := 0; from < len(w.dice.fired); {
			q := p
			q.muted = maps.Clone(p.muted)
			if q.muted == nil {
				q.muted = map[fault]bool{}
			}
			for _, f := range w.dice.fired[from:min(from+size, len(w.dice.fired))] {
				q.muted[f] = true
			}
			if !fails(q) {
				from += size
			}
		}
	}
	return p
}
