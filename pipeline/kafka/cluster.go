package kafka

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// refreshPause is the least time between two questions of who leads: a cluster that elects does not get on
// faster by being asked more often.
const refreshPause = 50 * time.Millisecond

// cluster knows which broker leads a partition and which coordinates a group or a transactional id.
type cluster struct {
	c *Client

	turn chan struct{} // held while the brokers are asked

	mu           sync.Mutex
	version      uint64 // grows with every answer
	asked        time.Time
	addresses    map[int32]string
	controller   int32
	topics       map[string]topicState
	coordinators map[coordinatorKey]string
	limits       map[string]int // max.message.bytes, by topic without the namespace
}

// topicState is what is known of a topic; leader is below zero where there is none.
type topicState struct {
	err      error
	leaders  []int32
	replicas int // of the partition that has the fewest
}

type coordinatorKey struct {
	key  string
	kind int8 // 0: of a group, 1: of a transactional id
}

const (
	groupKind       = 0
	transactionKind = 1
)

func newCluster(c *Client) *cluster {
	return &cluster{
		c: c, turn: make(chan struct{}, 1), controller: -1, addresses: map[int32]string{},
		topics: map[string]topicState{}, coordinators: map[coordinatorKey]string{},
		limits: map[string]int{},
	}
}

// topic returns what is known of a topic, asking if nothing is.
func (k *cluster) topic(ctx context.Context, name string) (topicState, error) {
	k.mu.Lock()
	state, ok := k.topics[name]
	version := k.version
	if !ok {
		k.topics[name] = topicState{err: asError(3)}
	}
	k.mu.Unlock()
	if ok && state.err == nil && len(state.leaders) > 0 {
		return state, nil
	}
	if err := k.refresh(ctx, version); err != nil {
		return topicState{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	state = k.topics[name]
	return state, state.err
}

// leader returns the broker that leads the partition and its address, from what is known: it does not ask.
func (k *cluster) leader(p place) (int32, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	state, ok := k.topics[p.topic]
	if !ok {
		k.topics[p.topic] = topicState{err: asError(3)} // the next question asks for it too
		return 0, "", fmt.Errorf("%w of %s/%d", errNoLeader, p.topic, p.partition)
	}
	if state.err != nil {
		return 0, "", state.err
	}
	if int(p.partition) >= len(state.leaders) || p.partition < 0 {
		return 0, "", fmt.Errorf("%s/%d: the topic has %d partitions: %w", p.topic, p.partition,
			len(state.leaders), asError(3))
	}
	id := state.leaders[p.partition]
	address, ok := k.addresses[id]
	if !ok {
		return 0, "", fmt.Errorf("%w of %s/%d", errNoLeader, p.topic, p.partition)
	}
	return id, address, nil
}

// state returns what is known of a topic.
func (k *cluster) state(name string) topicState {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.topics[name]
}

// brokersFresh is for how long it is known which brokers there are.
const brokersFresh = time.Second

// brokers returns the addresses of the brokers that are there, by their ids.
func (k *cluster) brokers(ctx context.Context) (map[int32]string, error) {
	k.mu.Lock()
	version, old := k.version, len(k.addresses) == 0 || time.Since(k.asked) > brokersFresh
	k.mu.Unlock()
	if old {
		if err := k.refresh(ctx, version); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.addresses), nil
}

// want makes the next question ask for the topics too.
func (k *cluster) want(specs []TopicSpec, wire func(string) string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, spec := range specs {
		if _, ok := k.topics[wire(spec.Name)]; !ok {
			k.topics[wire(spec.Name)] = topicState{err: asError(3)}
		}
	}
}

// forgetLimit makes the next look at a topic's limit ask again.
func (k *cluster) forgetLimit(topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.limits, topic)
}

// known returns the version of what is known, to say with refresh that it is not enough.
func (k *cluster) known() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.version
}

// refresh asks the brokers, unless somebody else did since the version.
func (k *cluster) refresh(ctx context.Context, since uint64) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	k.mu.Lock()
	names := make([]string, 0, len(k.topics))
	for name := range k.topics {
		names = append(names, name)
	}
	done, pause := k.version > since, refreshPause-time.Since(k.asked)
	k.mu.Unlock()
	if done {
		return nil
	}
	if pause > 0 && !sleep(ctx, pause) {
		return ctx.Err()
	}
	answer, err := k.ask(ctx, &metadata.Request{TopicNames: names})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = time.Now()
	if err != nil {
		return err
	}
	response, ok := answer.(*metadata.Response)
	if !ok {
		return errWire
	}
	k.learn(response)
	return nil
}

func (k *cluster) learn(response *metadata.Response) {
	k.version++
	clear(k.addresses)
	for _, b := range response.Brokers {
		k.addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	k.controller = response.ControllerID
	for _, t := range response.Topics {
		state := topicState{err: asError(t.ErrorCode), leaders: make([]int32, len(t.Partitions))}
		for i := range state.leaders {
			state.leaders[i] = -1
		}
		for i, p := range t.Partitions {
			if n := len(p.ReplicaNodes); i == 0 || n < state.replicas {
				state.replicas = n
			}
			if int(p.PartitionIndex) < len(state.leaders) && p.PartitionIndex >= 0 && p.ErrorCode != 5 {
				state.leaders[p.PartitionIndex] = p.LeaderID
			}
		}
		k.topics[t.Name] = state
	}
}

// ask sends a request to any broker: to those that are known, then to those that were given.
func (k *cluster) ask(ctx context.Context, request protocol.Message) (protocol.Message, error) {
	k.mu.Lock()
	addresses := make([]string, 0, len(k.addresses)+len(k.c.config.Brokers))
	for _, address := range k.addresses {
		addresses = append(addresses, address)
	}
	k.mu.Unlock()
	addresses = append(addresses, k.c.config.Brokers...)
	known := len(addresses) - len(k.c.config.Brokers)
	rand.Shuffle(known, func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	var first error
	tried := map[string]bool{}
	for _, address := range addresses {
		if tried[address] {
			continue
		}
		tried[address] = true
		answer, err := k.c.brokers.roundTrip(ctx, address, 0, request)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		if first == nil || surer(err, first) {
			first = err
		}
	}
	return nil, first
}

// askController sends a request to the controller, as far as it is known.
func (k *cluster) askController(
	ctx context.Context, wait time.Duration, request protocol.Message,
) (protocol.Message, error) {
	if err := k.refresh(ctx, k.known()); err != nil {
		return nil, err
	}
	k.mu.Lock()
	address, ok := k.addresses[k.controller]
	k.mu.Unlock()
	if !ok {
		return k.ask(ctx, request)
	}
	return k.c.brokers.roundTrip(ctx, address, wait, request)
}

// askCoordinator sends a request to the coordinator of a group or a transactional id. Whoever finds an error
// in the answer that says it moved calls forget.
func (k *cluster) askCoordinator(
	ctx context.Context, of coordinatorKey, request protocol.Message,
) (protocol.Message, error) {
	k.mu.Lock()
	address, ok := k.coordinators[of]
	k.mu.Unlock()
	if !ok {
		answer, err := k.ask(ctx, &findcoordinator.Request{Key: of.key, KeyType: of.kind})
		if err != nil {
			return nil, err
		}
		response, ok := answer.(*findcoordinator.Response)
		if !ok {
			return nil, errWire
		}
		if err := asError(response.ErrorCode); err != nil {
			return nil, fmt.Errorf("find the coordinator of %s: %w", of.key, err)
		}
		address = net.JoinHostPort(response.Host, strconv.Itoa(int(response.Port)))
		k.mu.Lock()
		k.coordinators[of] = address
		k.mu.Unlock()
	}
	answer, err := k.c.brokers.roundTrip(ctx, address, 0, request)
	if err != nil {
		k.forget(of)
	}
	return answer, err
}

// forget drops what is known of a coordinator.
func (k *cluster) forget(of coordinatorKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.coordinators, of)
}
