package bench_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/bench"
	"github.com/aval-systems/aval/schemas"
)

const (
	partitions   = 3
	publishTakes = 100 * time.Microsecond // each record
)

// world is a system in memory: it answers what it is told at once, and keeps everything.
type world struct {
	t *testing.T

	mu      sync.Mutex
	topics  map[string][][]pipeline.Record
	began   time.Time
	stall   time.Duration // since it began: from when on it does nothing
	stalled time.Duration // for so long
	drop    int           // of so many certificates one is lost
	again   int           // of so many certificates one comes twice
	refuse  int           // of so many movements one is refused, accounts' openings apart
	issued  int
	moved   int
	stops   int // of the book
	rests   bool
	piled   []func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, topics: map[string][][]pipeline.Record{}, began: time.Now()}
	for _, topic := range schemas.Topics() {
		w.topics[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(partitions))
	}
	w.topics[bench.TopicCopyFrom] = make([][]pipeline.Record, partitions)
	w.topics[bench.TopicCopyTo] = make([][]pipeline.Record, partitions)
	return w
}

func (w *world) deps() bench.Deps {
	return bench.Deps{
		Publisher: w, Log: w, Stages: w,
		Usage: func(context.Context) (bench.Usage, error) {
			since := time.Since(w.began)
			return bench.Usage{
				Aval: since, Kafka: since / 2, Redis: -1, Client: since / 10, Busy: since, Total: 2 * since,
				Resident: 1 << 20,
			}, nil
		},
		Memory: func(context.Context) (bench.Held, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			n := int64(w.issued)
			return bench.Held{Known: true, All: 1000 + 300*n, Accounts: 120 * n, PreIssues: 80 * n}, nil
		},
		Lag: func(context.Context) (map[string]int64, error) { return map[string]int64{"notice.notices": 0}, nil },
	}
}

// Stop lets the book rest: what it is asked meanwhile it does after Start, some at a time.
func (w *world) Stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rests = true
	w.stops++
	return nil
}

func (w *world) Start(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rests = false
	return nil
}

// work does some of what was piled up.
func (w *world) work(most int) {
	for ; most > 0 && len(w.piled) > 0 && !w.rests; most-- {
		w.piled[0]()
		w.piled = w.piled[1:]
	}
}

// Publish takes records, and answers them.
func (w *world) Publish(_ context.Context, records []pipeline.Record) error {
	time.Sleep(time.Duration(len(records)) * publishTakes)
	if since := time.Since(w.began); since >= w.stall && since < w.stall+w.stalled {
		time.Sleep(w.stall + w.stalled - since)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		w.keep(r)
		if r.Topic == bench.TopicCopyFrom || r.Topic == bench.TopicCopyTo {
			continue
		}
		in, err := pipeline.Decode(r)
		if err != nil {
			w.t.Errorf("%s: %v", r.Topic, err)
			continue
		}
		switch body := in.Body.(type) {
		case *schemas.Invitation:
			w.invited(in, body)
		case *schemas.IssuanceRequest:
			w.requested(in, body)
		case *schemas.Movement:
			w.piled = append(w.piled, func() { w.entry(in, body) })
			if !w.rests {
				w.work(1)
			}
		}
	}
	return nil
}

func (w *world) keep(r pipeline.Record) {
	all := w.topics[r.Topic]
	if r.Partition < 0 {
		r.Partition = schemas.PartitionOf(r.Key, len(all))
	}
	r.Offset = int64(len(all[r.Partition]))
	all[r.Partition] = append(all[r.Partition], r)
}

func (w *world) say(topic, id, key string, body proto.Message) {
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/test", Time: time.Now()}, Body: body,
	})
	if err != nil {
		w.t.Error(err)
		return
	}
	r.Key = []byte(key)
	w.keep(r)
}

func (w *world) invited(in pipeline.In, x *schemas.Invitation) {
	if faults := schemas.InvitationFaults(x); len(faults) > 0 {
		w.t.Errorf("invitation %s: %v", in.ID, faults)
	}
	terms := &schemas.Terms{
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Seller: x.GetSeller(),
		Reference: x.GetReference(), Buyer: x.GetBuyer(), Amount: x.GetAmount(), Funding: x.GetFunding(),
		ReceivingBank: x.GetReceivingBank(), ReceivingAccount: x.GetReceivingAccount(),
		IssuingBank: x.GetIssuing().GetBank(), AccountSource: x.GetAccountSource(), Route: x.GetRoute(),
		KeyId: "k", DirectoryVersion: x.GetDirectoryVersion(),
	}
	w.say(schemas.TopicPreIssues, schemas.OfferID(x.GetId()), x.GetId(), &schemas.PreIssue{
		Decision: &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_DONE}, Id: in.ID,
		Request: &schemas.IssuanceRequest{
			Terms: terms, Verb: &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
		},
	})
}

func (w *world) requested(in pipeline.In, x *schemas.IssuanceRequest) {
	if x.GetRequest().GetBuyer() != x.GetTerms().GetBuyer() {
		w.t.Errorf("request %s is of another buyer than its terms", in.ID)
	}
	id := x.GetTerms().GetInvitationId()
	w.say(schemas.TopicPreIssues, schemas.DeriveID("item", id), id, &schemas.PreIssue{
		Decision: &schemas.Decision{Outcome: schemas.Outcome_OUTCOME_DONE}, Id: in.ID, Request: x,
	})
	w.issued++
	if w.drop > 0 && w.issued%w.drop == 0 {
		return
	}
	r := pipeline.Record{Topic: schemas.TopicCertificates, Partition: -1, Key: []byte(id)}
	w.keep(r)
	if w.again > 0 && w.issued%w.again == 0 {
		w.keep(r)
	}
}

func (w *world) entry(in pipeline.In, x *schemas.Movement) {
	outcome := schemas.Outcome_OUTCOME_DONE
	if x.GetOpen() == nil {
		w.moved++
		if w.refuse > 0 && w.moved%w.refuse == 0 {
			outcome = schemas.Outcome_OUTCOME_REFUSED
		}
	}
	decision := &schemas.Decision{Outcome: outcome}
	if outcome == schemas.Outcome_OUTCOME_REFUSED {
		decision.Reason = schemas.Reason_REASON_INSUFFICIENT
	}
	w.say(schemas.TopicEntries, schemas.DeriveID("item", in.ID), x.GetAccount(), &schemas.Entry{
		Decision: decision, Id: in.ID, Movement: x,
	})
}

func (w *world) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work(100)
	return 0, int64(len(w.topics[topic][partition])), nil
}

func (w *world) Tail(
	ctx context.Context, topic string, from []int64, visit func(partition int, records []pipeline.Record) error,
) error {
	next := append([]int64{}, from...)
	for ctx.Err() == nil {
		for p := range next {
			w.mu.Lock()
			records := append([]pipeline.Record{}, w.topics[topic][p][next[p]:]...)
			w.mu.Unlock()
			if len(records) == 0 {
				continue
			}
			next[p] += int64(len(records))
			if err := visit(p, records); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ctx.Err()
}

// Batches counts batches of two records, of ten bytes each.
func (w *world) Batches(_ context.Context, _ string, _ int, from, end int64, _ int) (batches, records, bytes int,
	err error,
) {
	n := int(end - from)
	return (n + 1) / 2, n, 10 * n, nil
}
