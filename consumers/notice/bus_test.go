package notice_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const partitions = 2

// bus is a transport in memory: at least once, in order within a partition.
type bus struct {
	t        *testing.T
	mu       sync.Mutex
	topics   map[string][][]pipeline.Record
	commits  map[string][]int64
	calls    int                         // of Publish
	refuses  func(pipeline.Record) error // nil: nothing
	internet *internet

	known map[string]map[string]schemas.Delivery // what receipts say, by recipient and notice
	read  [partitions]int                        // receipts that are known
	woken map[chan struct{}]struct{}             // whoever waits for records
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newBus(t *testing.T) *bus {
	t.Helper()
	b := &bus{
		t: t, topics: map[string][][]pipeline.Record{}, commits: map[string][]int64{},
		woken: map[chan struct{}]struct{}{}, log: &lockedBuffer{}, internet: newInternet(),
		known: map[string]map[string]schemas.Delivery{},
	}
	for _, topic := range schemas.Topics() {
		b.topics[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(partitions))
		b.commits[topic.Name] = make([]int64, topic.PartitionCount(partitions))
	}
	t.Cleanup(b.checkSecrets)
	return b
}

// checkSecrets looks for secrets in every record and every line of the log, and for what logs must not tell.
func (b *bus) checkSecrets() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, hidden := range []string{secret[8:], private[8:]} {
		for topic, partitions := range b.topics {
			for _, records := range partitions {
				for _, r := range records {
					if bytes.Contains(r.Value, []byte(hidden)) {
						b.t.Errorf("a record of %s tells a secret", topic)
					}
				}
			}
		}
		if strings.Contains(b.log.String(), hidden) {
			b.t.Error("the log tells a secret")
		}
	}
	for _, hidden := range []string{"/capability", referenceText} {
		if strings.Contains(b.log.String(), hidden) {
			b.t.Errorf("the log tells %s:\n%s", hidden, b.log)
		}
	}
}

func (b *bus) Publish(ctx context.Context, records []pipeline.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	for _, r := range records {
		if b.refuses != nil {
			if err := b.refuses(r); err != nil {
				return err
			}
		}
		partitions := b.topics[r.Topic]
		if r.Partition < 0 {
			r.Partition = schemas.PartitionOf(r.Key, len(partitions))
		}
		r.Offset = int64(len(partitions[r.Partition]))
		partitions[r.Partition] = append(partitions[r.Partition], r)
	}
	for c := range b.woken {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	return ctx.Err()
}

func (b *bus) refuse(f func(pipeline.Record) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = f
}

func (b *bus) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return 0, int64(len(b.topics[topic][partition])), nil
}

func (b *bus) Read(
	_ context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	if from >= end {
		return nil
	}
	b.mu.Lock()
	records := b.topics[topic][partition][from:end]
	b.mu.Unlock()
	return visit(records)
}

func (*bus) Claim(context.Context, string, string, int) (pipeline.Appender, error) {
	return nil, errors.New("nothing is claimed here")
}

// commit notes a mark.
func (b *bus) commit(topic string, partition int, mark pipeline.Mark, later bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := &b.commits[topic][partition]; !later || mark.Offset > *at {
		*at = mark.Offset
	}
}

func (b *bus) committed(topic string, partition int) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.commits[topic][partition]
}

// pump hands the records of a partition to a work until ctx ends.
func (b *bus) pump(w pipeline.Work, partition int) func(context.Context) error {
	return func(ctx context.Context) error {
		wake := make(chan struct{}, 1)
		b.mu.Lock()
		b.woken[wake] = struct{}{}
		next := b.commits[w.Topic][partition]
		b.mu.Unlock()
		defer w.Config.Revoked(w.Topic, partition)
		for ctx.Err() == nil {
			b.mu.Lock()
			records := b.topics[w.Topic][partition][next:]
			b.mu.Unlock()
			if len(records) == 0 {
				select {
				case <-wake:
				case <-ctx.Done():
				}
				continue
			}
			if w.Single {
				records = records[:1]
			}
			batch := &pipeline.Batch{
				Topic: w.Topic, Partition: partition, Records: records, Next: records[len(records)-1].Offset + 1,
				Stopping: ctx.Done(),
			}
			batch.OnLater(func(m pipeline.Mark) { b.commit(w.Topic, partition, m, true) })
			if err := w.Handle(context.WithoutCancel(ctx), batch); err != nil {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			b.commit(w.Topic, partition, batch.Mark(), true)
			next = batch.Next
		}
		return nil
	}
}

// start runs a courier over the bus until the test or stop ends it.
func (b *bus) start(c notice.Config) (courier *notice.Courier, stop func()) {
	b.t.Helper()
	c.Follower = &pipeline.Follower{
		Publisher: b, Partitions: partitions, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		IsJournal: func(string) bool { return false },
	}
	c.Log, c.Now = b, time.Now
	courier = notice.New(c)
	if b.internet != nil {
		courier.DialWith(b.internet.dial)
	}
	var actors []func(context.Context) error
	for _, w := range courier.Works() {
		for partition := range b.topics[w.Topic] {
			actors = append(actors, b.pump(w, partition))
		}
		if w.Beside != nil {
			actors = append(actors, w.Beside)
		}
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := pipeline.Run(ctx, actors...); err != nil {
			b.t.Errorf("the courier ended with %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	b.t.Cleanup(stop)
	return courier, stop
}

func (b *bus) put(topic, id string, body proto.Message) {
	b.t.Helper()
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/aval/test", Time: noticeTime()}, Body: body,
	})
	if err == nil {
		if topic == schemas.TopicDirectory {
			r.Partition = 0
		}
		err = b.Publish(b.t.Context(), []pipeline.Record{r})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// garbage publishes what nobody can read.
func (b *bus) garbage(topic, key string) {
	b.t.Helper()
	r := pipeline.Record{Topic: topic, Partition: -1, Key: []byte(key), Value: []byte("\xff")}
	if err := b.Publish(b.t.Context(), []pipeline.Record{r}); err != nil {
		b.t.Fatal(err)
	}
}

// direct publishes a directory with these parties, by id their URLs.
func (b *bus) direct(urls map[string]string) {
	b.t.Helper()
	b.put(schemas.TopicDirectory, "directory", directoryOf(urls))
}

func directoryOf(urls map[string]string) *schemas.Directory {
	d := &schemas.Directory{Participants: []*schemas.Participant{{
		Bank: "PAGABRRJ", SigningKeyId: "k", Keys: []*schemas.PublicKey{{Id: "k", Ed25519: make([]byte, 32)}},
	}}}
	for id, url := range urls {
		d.Parties = append(d.Parties, &schemas.Party{Id: id, WebhookUrl: url, WebhookKeyId: "shop"})
	}
	return d
}

// receipts are those of a recipient's notices, by the notice's id: how each was delivered.
func (b *bus) receipts(recipient string) map[string]schemas.Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	for partition, records := range b.topics[schemas.TopicReceipts] {
		for _, r := range records[b.read[partition]:] {
			b.receipt(r)
		}
		b.read[partition] = len(records)
	}
	return maps.Clone(b.known[recipient])
}

func (b *bus) receipt(r pipeline.Record) {
	in, err := pipeline.Decode(r)
	if err != nil {
		b.t.Fatal(err)
	}
	receipt, _ := in.Body.(*schemas.Receipt)
	id, recipient := receipt.GetNoticeId(), receipt.GetNotice().GetRecipient().GetId()
	if in.ID != schemas.DeriveID("receipt", id) || !in.Time.Equal(noticeTime()) {
		b.t.Errorf("a receipt of %s has the id %s, the time %v", id, in.ID, in.Time)
	}
	if b.known[recipient] == nil {
		b.known[recipient] = map[string]schemas.Delivery{}
	}
	if before, twice := b.known[recipient][id]; twice && before != receipt.GetDelivery() {
		b.t.Errorf("receipts of %s say %v and %v", id, before, receipt.GetDelivery())
	}
	b.known[recipient][id] = receipt.GetDelivery()
}

func (b *bus) count(topic string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, records := range b.topics[topic] {
		n += len(records)
	}
	return n
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); {
		waited := time.Since(began)
		if waited > 72*time.Hour {
			t.Fatalf("it is never so: %s", what)
		}
		time.Sleep(max(10*time.Millisecond, waited/100))
	}
}

// keyFile writes a file of keys.
func keyFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhook-keys")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// referenceText stands in every notice, and may stand in no log.
const referenceText = "reference-7c1f"

func noticeTime() time.Time { return time.Date(2026, 1, 31, 10, 0, 0, 5, time.UTC) }

// tell publishes notices to a recipient, and returns their identifiers.
func (b *bus) tell(recipient string, from, to int) []string {
	b.t.Helper()
	var ids []string
	for i := from; i < to; i++ {
		id := schemas.DeriveID("notice", recipient, strconv.Itoa(i))
		b.put(schemas.TopicNotices, id, noticeTo(recipient))
		ids = append(ids, id)
	}
	return ids
}

func noticeTo(recipient string) *schemas.Notice {
	return &schemas.Notice{
		Recipient: &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: recipient},
		Subject:   schemas.Subject_SUBJECT_REFUSED, InvitationId: "i1", Reference: referenceText,
		Reason: schemas.Reason_REASON_DECLINED,
		Then:   []*schemas.Recipient{{Role: schemas.Role_ROLE_BUYER, Id: "paula"}},
	}
}
