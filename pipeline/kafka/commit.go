package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"

	"github.com/aval-systems/aval/pipeline"
)

// commitPause is the least time between two commits of a member.
const commitPause = time.Second

// committer commits marks behind the work, and only those of partitions that the generation gives the member.
type committer struct {
	c     *Client
	group coordinatorKey
	topic string

	turn chan struct{} // held during a commit

	mu         sync.Mutex
	generation int32 // below zero while there is none
	member     string
	held       map[int]bool
	waiting    map[int]pipeline.Mark
	committed  map[int]pipeline.Mark
}

func newCommitter(c *Client, group, topic string) *committer {
	return &committer{
		c: c, group: coordinatorKey{key: c.wire(group), kind: groupKind}, topic: topic,
		turn: make(chan struct{}, 1), generation: -1,
		waiting: map[int]pipeline.Mark{}, committed: map[int]pipeline.Mark{},
	}
}

// begin starts a generation. What waits of partitions that it takes away is dropped.
func (m *committer) begin(generation int32, member string, held map[int]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation, m.member, m.held = generation, member, held
	gone := func(p int, _ pipeline.Mark) bool { return !held[p] }
	maps.DeleteFunc(m.waiting, gone)
	maps.DeleteFunc(m.committed, gone)
}

// end stops committing until the next generation.
func (m *committer) end(generation int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation == generation {
		m.generation = -1
	}
}

// note takes a mark to commit in time.
func (m *committer) note(partition int, mark pipeline.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.committed[partition] == mark {
		delete(m.waiting, partition)
		return
	}
	m.waiting[partition] = mark
}

func (m *committer) run(ctx context.Context) {
	ticker := time.NewTicker(commitPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.flush(ctx)
		}
	}
}

// finish commits what waits, over short faults too, until ctx ends.
func (m *committer) finish(ctx context.Context) {
	for m.flush(ctx) && sleep(ctx, retryFirst) {
		continue
	}
}

// drain commits what waits, over faults and rebalances, until ctx ends, and returns of how many partitions it could
// not.
func (m *committer) drain(ctx context.Context) (left int) {
	for attempt := 0; ; attempt++ {
		m.flush(ctx)
		m.mu.Lock()
		left = len(m.waiting)
		m.mu.Unlock()
		if left == 0 || !sleep(ctx, backoff(attempt, retryFirst, leavePause)) {
			return left
		}
	}
}

// flush commits what waits. What fails waits on; flush says whether to try again soon may help.
func (m *committer) flush(ctx context.Context) (again bool) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return false
	}
	generation, member, marks := m.due()
	if len(marks) == 0 {
		return false
	}
	began := time.Now()
	codes, err := m.send(ctx, generation, member, marks)
	m.c.config.Meter.Called(pipeline.Called{
		Call: pipeline.CallCommit, Who: m.c.plain(m.group.key), Items: len(marks), Took: time.Since(began),
		Failed: err != nil,
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, mark := range marks {
		failure := err
		if err == nil {
			failure = codes[p]
		}
		again = m.settle(ctx, p, mark, failure) || again
	}
	return again
}

// due returns what may be committed now, and as whom.
func (m *committer) due() (generation int32, member string, marks map[int]pipeline.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation < 0 {
		return m.generation, m.member, nil
	}
	marks = maps.Clone(m.waiting)
	maps.DeleteFunc(marks, func(p int, _ pipeline.Mark) bool { return !m.held[p] })
	return m.generation, m.member, marks
}

// settle takes note of what became of a mark, and says whether to try again soon may help. The mutex is held.
func (m *committer) settle(ctx context.Context, partition int, mark pipeline.Mark, failure error) (again bool) {
	switch {
	case failure == nil:
		m.committed[partition] = mark
	case ctx.Err() != nil, retriable(failure), rebalancing(failure): // no fault: it waits for the next turn
		return !rebalancing(failure)
	default:
		m.c.log.ErrorContext(ctx, "a mark cannot be committed", "group", m.c.plain(m.group.key),
			"topic", m.topic, "partition", partition, "offset", mark.Offset, "error", failure)
	}
	if m.waiting[partition] == mark {
		delete(m.waiting, partition)
	}
	return false
}

// rebalancing says that the generation is not the group's any more.
func rebalancing(err error) bool {
	return errors.Is(err, kafkago.IllegalGeneration) || errors.Is(err, kafkago.UnknownMemberId) ||
		errors.Is(err, kafkago.RebalanceInProgress)
}

func (m *committer) send(
	ctx context.Context, generation int32, member string, marks map[int]pipeline.Mark,
) (map[int]error, error) {
	topic := offsetcommit.RequestTopic{Name: m.c.wire(m.topic)}
	for _, p := range slices.Sorted(maps.Keys(marks)) {
		topic.Partitions = append(topic.Partitions, offsetcommit.RequestPartition{
			PartitionIndex:  int32(p), //nolint:gosec // partitions are few
			CommittedOffset: marks[p].Offset, CommittedLeaderEpoch: -1, CommittedMetadata: marks[p].Metadata,
		})
	}
	answer, err := m.c.cluster.askCoordinator(ctx, m.group, &offsetcommit.Request{
		GroupID: m.group.key, GenerationID: generation, MemberID: member, RetentionTimeMs: -1,
		Topics: []offsetcommit.RequestTopic{topic},
	})
	if err != nil {
		return nil, err
	}
	response, ok := answer.(*offsetcommit.Response)
	if !ok || len(response.Topics) != 1 {
		return nil, errWire
	}
	codes := map[int]error{}
	for p := range marks {
		codes[p] = errWire
	}
	for _, p := range response.Topics[0].Partitions {
		err := asError(p.ErrorCode)
		codes[int(p.PartitionIndex)] = err
		if err != nil && moved(err) {
			m.c.cluster.forget(m.group)
		}
	}
	return codes, nil
}

// leave tells the coordinator that the member is gone, and says whether it heard.
func (m *committer) leave(ctx context.Context, member string) bool {
	ctx, cancel := context.WithTimeout(ctx, leaveAnswer)
	defer cancel()
	_, err := m.c.cluster.askCoordinator(ctx, m.group, &leavegroup.Request{
		GroupID: m.group.key, MemberID: member, Members: []leavegroup.RequestMember{{MemberID: member}},
	})
	if err != nil {
		m.c.log.DebugContext(ctx, "a group could not be left", "group", m.c.plain(m.group.key), "error", err)
	}
	return err == nil
}

// fetch returns the committed marks of the partitions; the offset of one that has none is below zero.
func (m *committer) fetch(ctx context.Context, partitions []int) (marks map[int]pipeline.Mark, err error) {
	what := "read committed marks of " + m.c.plain(m.group.key)
	err = m.c.retry(ctx, what, func(ctx context.Context) (err error) {
		marks, err = m.ask(ctx, partitions)
		return err
	})
	return marks, err
}

// ask asks the coordinator once for the committed marks.
func (m *committer) ask(ctx context.Context, partitions []int) (map[int]pipeline.Mark, error) {
	topic := offsetfetch.RequestTopic{Name: m.c.wire(m.topic)}
	for _, p := range partitions {
		topic.PartitionIndexes = append(topic.PartitionIndexes, int32(p)) //nolint:gosec // few
	}
	answer, err := m.c.cluster.askCoordinator(ctx, m.group, &offsetfetch.Request{
		GroupID: m.group.key, Topics: []offsetfetch.RequestTopic{topic},
	})
	if err != nil {
		return nil, err
	}
	response, ok := answer.(*offsetfetch.Response)
	if !ok {
		return nil, errWire
	}
	marks := map[int]pipeline.Mark{}
	err = asError(response.ErrorCode)
	for _, t := range response.Topics {
		for _, p := range t.Partitions {
			err = errors.Join(err, asError(p.ErrorCode))
			marks[int(p.PartitionIndex)] = pipeline.Mark{Offset: p.CommittedOffset, Metadata: p.Metadata}
		}
	}
	if err != nil && moved(err) {
		m.c.cluster.forget(m.group)
	}
	if err == nil && len(marks) < len(partitions) {
		err = fmt.Errorf("%w: it lacks partitions", errWire)
	}
	return marks, err
}
