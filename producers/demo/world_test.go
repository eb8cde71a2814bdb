package demo_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

const partitions = 3

var errDown = errors.New("the log is away")

// world is a log in memory with everybody behind it: the real stages, and models of both books. Whoever
// follows it turns it: a step at a time, in an order that a seed gives.
type world struct {
	mu      sync.Mutex
	rand    *rand.Rand
	odds    float64 // of a publish that fails, with or without effect
	cut     int     // publishes until the process is killed; 0 for never
	kill    context.CancelFunc
	topics  map[string][][]pipeline.Record
	stages  []stage
	ledger  ledgerModel
	offers  preIssueModel
	private ed25519.PrivateKey
}

// stage is a stage or a book, and how far it has come in each partition.
type stage struct {
	pipeline.Stage

	next map[string][]int64
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{
		rand: rand.New(rand.NewPCG(seed, 1)), topics: map[string][][]pipeline.Record{},
		ledger: newLedgerModel(), offers: newPreIssueModel(),
		private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	}
	for _, topic := range schemas.Topics() {
		w.topics[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(partitions))
		if topic.Kind == schemas.KindJournal {
			for p := range partitions {
				w.append(takeover(t, topic.Name, p))
			}
		}
	}
	signer, err := certificate.NewKeys(map[string]ed25519.PrivateKey{"key-1": w.private})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []pipeline.Stage{
		certificate.Invitation(), certificate.Routing(w), certificate.Relay(), certificate.Funding(w),
		certificate.Certificate(signer), notice.Stage(),
		{Name: "ledger", Reads: []string{schemas.TopicMovements}},
		{Name: "request", Reads: []string{schemas.TopicIssuanceRequests}},
	} {
		next := map[string][]int64{}
		for _, topic := range s.Reads {
			next[topic] = make([]int64, partitions)
		}
		w.stages = append(w.stages, stage{Stage: s, next: next})
	}
	return w
}

func takeover(t *testing.T, topic string, partition int) pipeline.Record {
	t.Helper()
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: "takeover", Source: "/aval/test", Time: time.Unix(0, 0)},
		Body:       &schemas.Takeover{History: "h", Partitions: partitions, Owner: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Partition = partition
	r.Headers = append(r.Headers, pipeline.Header{Key: pipeline.TakeoverHeader, Value: []byte("h")})
	return r
}

func (w *world) keys() map[string][]*schemas.PublicKey {
	public, _ := w.private.Public().(ed25519.PublicKey)
	return map[string][]*schemas.PublicKey{
		demo.IssuingBank:   {{Id: "key-1", Ed25519: public}},
		demo.ReceivingBank: {{Id: "key-2", Ed25519: public}},
	}
}

func (w *world) append(r pipeline.Record) {
	topic := w.topics[r.Topic]
	if r.Partition < 0 {
		r.Partition = schemas.PartitionOf(r.Key, len(topic))
	}
	r.Offset = int64(len(topic[r.Partition]))
	topic[r.Partition] = append(topic[r.Partition], r)
}

// Publish implements pipeline.Publisher. It fails in both ways in which a network fails.
func (w *world) Publish(ctx context.Context, records []pipeline.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut--; w.cut == 0 {
		records = records[:w.rand.IntN(len(records)+1)]
		defer w.kill()
	}
	if w.rand.Float64() < w.odds {
		return errDown
	}
	for _, r := range records {
		w.append(r)
	}
	if w.rand.Float64() < w.odds {
		return errDown
	}
	return ctx.Err()
}

// Bounds implements demo.Log.
func (w *world) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, int64(len(w.topics[topic][partition])), nil
}

// Read implements demo.Log.
func (w *world) Read(_ context.Context, topic string, partition int, from, end int64,
	visit func([]pipeline.Record) error,
) error {
	w.mu.Lock()
	records := w.topics[topic][partition][from:end]
	w.mu.Unlock()
	for len(records) > 0 {
		if err := visit(records[:1]); err != nil {
			return err
		}
		records = records[1:]
	}
	return nil
}

// Tail implements demo.Log, and lets the world go on.
func (w *world) Tail(ctx context.Context, topic string, from []int64,
	visit func(partition int, records []pipeline.Record) error,
) error {
	next := append([]int64(nil), from...)
	for ctx.Err() == nil {
		w.mu.Lock()
		worked := w.step()
		p := w.rand.IntN(partitions)
		records := w.topics[topic][p][next[p]:]
		if len(records) > 0 {
			records = records[:1+w.rand.IntN(len(records))]
		}
		away := w.rand.Float64() < w.odds/10
		w.mu.Unlock()
		if away {
			return errDown
		}
		if len(records) == 0 && !worked {
			time.Sleep(time.Millisecond)
			continue
		}
		next[p] += int64(len(records))
		if err := visit(p, records); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// step lets a stage do one message. It says whether there was one.
func (w *world) step() bool {
	for range 8 {
		s := w.stages[w.rand.IntN(len(w.stages))]
		topic := s.Reads[w.rand.IntN(len(s.Reads))]
		p := w.rand.IntN(partitions)
		at := s.next[topic][p]
		if at == int64(len(w.topics[topic][p])) {
			continue
		}
		r := w.topics[topic][p][at]
		for _, follow := range w.follow(s, r) {
			w.append(follow)
		}
		book := s.Follow == nil
		if book || w.rand.IntN(20) > 0 { // a stage that crashes before it commits does it again
			s.next[topic][p]++
		}
		return true
	}
	return false
}

func (w *world) follow(s stage, r pipeline.Record) []pipeline.Record {
	if strings.HasPrefix(string(headerOf(r, pipeline.TakeoverHeader)), "h") || headerOf(r, "late") != nil {
		return nil
	}
	in, err := pipeline.Decode(r)
	if err != nil {
		panic(err)
	}
	if s.Follow == nil {
		return w.decide(s.Name, in)
	}
	records, err := pipeline.Follows(s.Stage, in)
	if err != nil {
		panic(err)
	}
	for _, follow := range records {
		if follow.Topic == schemas.TopicDeadLetters {
			panic(fmt.Sprintf("a dead letter: %s", follow.Value))
		}
	}
	return records
}

// decide is a book: an entry of one item for each command. Now and then a former owner writes nonsense behind
// it.
func (w *world) decide(name string, in pipeline.In) []pipeline.Record {
	var topic string
	var body proto.Message
	decision := &schemas.Decision{Offset: in.Offset}
	switch command := in.Body.(type) {
	case *schemas.Movement:
		topic, body = schemas.TopicEntries, &schemas.Entry{Decision: decision, Id: in.ID, Movement: command}
		w.ledger.decide(in.ID, command, decision)
	case *schemas.IssuanceRequest:
		topic, body = schemas.TopicPreIssues, &schemas.PreIssue{Decision: decision, Id: in.ID, Request: command}
		w.offers.decide(in.ID, command, decision)
	}
	records := []pipeline.Record{w.item(name, topic, in, body, 0)}
	if w.rand.IntN(10) == 0 {
		decision := &schemas.Decision{Offset: in.Offset, Outcome: schemas.Outcome_OUTCOME_DONE}
		switch item := body.(type) {
		case *schemas.Entry:
			body = &schemas.Entry{Decision: decision, Id: item.GetId(), Movement: item.GetMovement()}
		case *schemas.PreIssue:
			body = &schemas.PreIssue{Decision: decision, Id: item.GetId(), Request: item.GetRequest()}
		}
		late := w.item(name, topic, in, body, 1<<40)
		late.Headers = append(late.Headers, pipeline.Header{Key: "late", Value: []byte("late")})
		records = append(records, late)
	}
	return records
}

func (w *world) item(name, topic string, in pipeline.In, body proto.Message, epoch int64) pipeline.Record {
	id := schemas.DeriveID(name, strconv.Itoa(in.Partition), strconv.FormatInt(in.Offset, 10))
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/" + name, Cause: in.ID, Time: in.Time}, Body: body,
	})
	if err != nil {
		panic(err)
	}
	entry := pipeline.Entry{Epoch: epoch, From: in.Offset, To: in.Offset + 1, Digest: "d"}
	r.Partition = in.Partition
	r.Headers = append(r.Headers, pipeline.Header{
		Key: pipeline.EntryHeader, Value: pipeline.EntryHeaderValue(entry, 1),
	})
	return r
}

// At implements certificate.Directories.
func (w *world) At(version uint64) (*certificate.Directory, error) {
	records := w.topics[schemas.TopicDirectory][0]
	if version < 1 || version > uint64(len(records)) {
		return nil, errors.New("no such version")
	}
	in, err := pipeline.Decode(records[version-1])
	if err != nil {
		return nil, err
	}
	body, _ := in.Body.(*schemas.Directory)
	return certificate.NewDirectory(body), nil
}

func headerOf(r pipeline.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

func digestOf(m proto.Message) string {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(content)
	return string(sum[:])
}
