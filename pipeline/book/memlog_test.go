package book_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/aval-systems/aval/pipeline"
)

// memLog is a broker of one partition a topic, which fails as the real one does: a batch whose writer is gone may
// land later or never, and the fence holds from the new owner's first batch on; or, if leaky, not at all.
type memLog struct {
	mu      sync.Mutex
	random  *rand.Rand
	topics  map[string][]pipeline.Record
	claims  map[string]int // the latest epoch of each transactional id
	fences  map[string]int // the latest epoch that wrote to each topic
	delayed []delayed      // what may land later
	odds    float64        // of each fault
	leaky   float64        // of a fence that does not hold
	before  func()         // is called before each append: a process may sleep there
	missed  func()         // is called when a batch may land later
}

type delayed struct {
	topic   string
	epoch   int
	records []pipeline.Record
}

var errDown = errors.New("the connection is gone")

func newMemLog(random *rand.Rand) *memLog {
	return &memLog{
		random: random, topics: map[string][]pipeline.Record{}, claims: map[string]int{}, fences: map[string]int{},
	}
}

func (l *memLog) add(topic string, records []pipeline.Record) int64 {
	base := int64(len(l.topics[topic]))
	for i, r := range records {
		r.Topic, r.Partition, r.Offset = topic, 0, base+int64(i)
		l.topics[topic] = append(l.topics[topic], r)
	}
	return base
}

// land lets a batch arrive that nobody waits for any more.
func (l *memLog) land() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.delayed) == 0 {
		return
	}
	i := len(l.delayed) - 1
	if l.random.IntN(2) == 0 {
		i = l.random.IntN(len(l.delayed))
	}
	d := l.delayed[i]
	l.delayed = append(l.delayed[:i], l.delayed[i+1:]...)
	if d.epoch >= l.fences[d.topic] || l.random.Float64() < l.leaky {
		l.add(d.topic, d.records)
	}
}

func (l *memLog) Bounds(_ context.Context, topic string, _ int) (first, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, int64(len(l.topics[topic])), nil
}

func (l *memLog) Read(
	_ context.Context, topic string, _ int, from, end int64, visit func([]pipeline.Record) error,
) error {
	l.mu.Lock()
	records := l.topics[topic]
	fails := l.random.Float64() < l.odds
	l.mu.Unlock()
	if fails {
		return errDown
	}
	if from >= end {
		return nil
	}
	return visit(records[from:min(end, int64(len(records)))])
}

func (l *memLog) Claim(_ context.Context, id, topic string, _ int) (pipeline.Appender, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claims[id]++
	return &memAppender{log: l, topic: topic, epoch: l.claims[id]}, nil
}

type memAppender struct {
	log   *memLog
	topic string
	epoch int
}

func (a *memAppender) Append(_ context.Context, records []pipeline.Record) (int64, error) {
	l := a.log
	l.before()
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.epoch < l.fences[a.topic] && l.random.Float64() >= l.leaky {
		return 0, fmt.Errorf("append: %w", pipeline.ErrFenced)
	}
	if l.random.Float64() < l.odds {
		l.delayed = append(l.delayed, delayed{topic: a.topic, epoch: a.epoch, records: records})
		l.missed()
		return 0, context.Canceled
	}
	l.fences[a.topic] = max(l.fences[a.topic], a.epoch)
	base := l.add(a.topic, records)
	if l.random.Float64() < l.odds {
		return 0, context.Canceled // it arrived, and nobody was told
	}
	return base, nil
}
