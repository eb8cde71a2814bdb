//go:build !integration

package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// flaky loses the answers to requests that the broker has carried out, and the connection with them.
type flaky struct{ percent atomic.Int32 }

func (f *flaky) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &flakyListener{Listener: l, flaky: f}, err
}

type flakyListener struct {
	net.Listener
	flaky *flaky
}

func (l *flakyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &flakyConn{Conn: c, flaky: l.flaky}, err
}

type flakyConn struct {
	net.Conn
	flaky *flaky
}

func (c *flakyConn) Write(b []byte) (int, error) {
	if rand.Int32N(100) < c.flaky.percent.Load() {
		return 0, errors.Join(errors.New("lost"), c.Conn.Close())
	}
	return c.Conn.Write(b)
}

func TestLostAnswersMakeNoDuplicates(t *testing.T) {
	t.Parallel()
	var f flaky
	cluster := fake(t, kfake.ListenFn(f.listen))
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 4)
	f.percent.Store(20)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 30 {
				var records []pipeline.Record
				for p := range 4 {
					for k := range 5 {
						r := numbered("entries", p, 0, 1)[0]
						r.Value = fmt.Appendf(nil, "%d %d", w, i*5+k)
						records = append(records, r)
					}
				}
				if err := c.Publish(t.Context(), records); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	appender, err := c.Claim(t.Context(), "owner", "entries", 3)
	if err != nil {
		t.Fatal(err)
	}
	end := 0
	for i := range 50 {
		base, err := appender.Append(t.Context(), numbered("entries", 3, i, i+1))
		if err != nil || i > 0 && base != int64(end+1) {
			t.Fatalf("append %d: offset %d after %d, error %v", i, base, end, err)
		}
		end = int(base)
	}
	f.percent.Store(0)
	for p := range 4 {
		records := readAll(t, c, "entries", p)
		if p == 3 {
			wantNumbered(t, records[len(records)-50:], 0, 50)
			records = records[:len(records)-50]
		}
		next := map[string]int{}
		for _, r := range records {
			writer, number, _ := strings.Cut(string(r.Value), " ")
			if number != fmt.Sprint(next[writer]) {
				t.Fatalf("partition %d: writer %s wrote %s, want %d", p, writer, number, next[writer])
			}
			next[writer]++
		}
		for w := range 8 {
			if next[fmt.Sprint(w)] != 150 {
				t.Errorf("partition %d has %d records of writer %d, want 150", p, next[fmt.Sprint(w)], w)
			}
		}
	}
}

// produceErrors answers some batches of a produce request with an error instead of writing them.
func produceErrors(cluster *kfake.Cluster, code func(partition int32) int16) {
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		r := request.(*kmsg.ProduceRequest)
		for i := range r.Topics {
			for j := range r.Topics[i].Partitions {
				if c := code(r.Topics[i].Partitions[j].Partition); c != 0 {
					return refusal(r, c), nil, true
				}
			}
		}
		return nil, nil, false
	})
}

func refusal(r *kmsg.ProduceRequest, code int16) kmsg.Response {
	response := r.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range r.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, code, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		response.Topics = append(response.Topics, rt)
	}
	return response
}

func TestAppendRepeatsOrFences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    *kerr.Error
		fenced bool
	}{
		"unknown topic":        {err: kerr.UnknownTopicOrPartition},
		"not leader":           {err: kerr.NotLeaderForPartition},
		"timeout":              {err: kerr.RequestTimedOut},
		"not enough replicas":  {err: kerr.NotEnoughReplicas},
		"too few after append": {err: kerr.NotEnoughReplicasAfterAppend},
		"storage":              {err: kerr.KafkaStorageError},
		"network":              {err: kerr.NetworkException},
		"out of order":         {err: kerr.OutOfOrderSequenceNumber, fenced: true},
		"epoch":                {err: kerr.InvalidProducerEpoch, fenced: true},
		"unknown producer":     {err: kerr.UnknownProducerID, fenced: true},
		"producer fenced":      {err: kerr.ProducerFenced, fenced: true},
		"too large":            {err: kerr.MessageTooLarge, fenced: true},
		"server error":         {err: kerr.UnknownServerError, fenced: true},
		"not authorized":       {err: kerr.TopicAuthorizationFailed, fenced: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t)
			var left atomic.Int32
			left.Store(3)
			produceErrors(cluster, func(int32) int16 {
				if left.Add(-1) >= 0 {
					return test.err.Code
				}
				return 0
			})
			c := connect(t, cluster.ListenAddrs()[0])
			topic(t, c, "entries", 1)
			a, err := c.Claim(t.Context(), "owner", "entries", 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Append(t.Context(), numbered("entries", 0, 0, 3))
			if isFenced(err) != test.fenced || !test.fenced && err != nil {
				t.Fatalf("append: %v", err)
			}
			if !test.fenced {
				wantNumbered(t, readAll(t, c, "entries", 0), 0, 3)
			}
		})
	}
}

func TestAppendThatEndedWithoutAnswer(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	produceErrors(cluster, func(int32) int16 { return kerr.NotEnoughReplicas.Code })
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 1)
	a, err := c.Claim(t.Context(), "owner", "entries", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := a.Append(ctx, numbered("entries", 0, 0, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append: %v", err)
	}
	if _, err := a.Append(t.Context(), numbered("entries", 0, 0, 1)); err == nil || isFenced(err) {
		t.Fatalf("append after it: %v", err)
	}
}

func TestPublishPartialErrors(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var refusals atomic.Int32
	produceErrors(cluster, func(partition int32) int16 {
		if partition == 1 && refusals.Add(1) <= 2 {
			return kerr.OutOfOrderSequenceNumber.Code
		}
		return 0
	})
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 3)
	for i := range 3 {
		var records []pipeline.Record
		for p := range 3 {
			records = append(records, numbered("entries", p, i*10, i*10+10)...)
		}
		publish(t, c, records)
	}
	for p := range 3 {
		wantNumbered(t, readAll(t, c, "entries", p), 0, 30)
	}
}

func TestPublishWithForgottenProducer(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 10))
	kafka.Disown(c)
	publish(t, c, numbered("entries", 0, 10, 20))
	publish(t, c, numbered("entries", 0, 20, 30))
	wantNumbered(t, readAll(t, c, "entries", 0), 0, 30)
}

func TestRecordsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "movements", 1)
	large := numbered("movements", 0, 0, 1)
	large[0].Value = make([]byte, 300<<10)
	var tooLarge *kafka.SizeError
	if err := c.Publish(t.Context(), large); !errors.As(err, &tooLarge) || tooLarge.Limit != 262144 || tooLarge.Topic != "movements" {
		t.Fatalf("publish: %v", err)
	}
	var many []pipeline.Record // each is small enough, all together are not
	for i := range 20 {
		r := numbered("movements", 0, i, i+1)[0]
		r.Key = make([]byte, 100<<10)
		many = append(many, r)
	}
	publish(t, c, many)
	wantNumbered(t, readAll(t, c, "movements", 0), 0, 20)
}

func TestRequestsAreMerged(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var most, requests atomic.Int32
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		n := int32(0)
		for _, t := range request.(*kmsg.ProduceRequest).Topics {
			n += int32(len(t.Partitions))
		}
		most.Store(max(most.Load(), n))
		requests.Add(1)
		return nil, nil, false
	})
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 24)
	var records []pipeline.Record
	for p := range 24 {
		records = append(records, numbered("entries", p, 0, 10)...)
	}
	publish(t, c, records)
	if most.Load() != 24 || requests.Load() != 1 {
		t.Errorf("%d requests, the largest with %d partitions", requests.Load(), most.Load())
	}
}

func TestBrokerAwayAtStartAndLater(t *testing.T) {
	t.Parallel()
	var held flakyPort
	dir := t.TempDir()
	address := held.reserve(t)
	c := connectTo(t, kafka.Config{Brokers: []string{address}, Namespace: "away"})
	made := make(chan error, 1)
	go func() {
		made <- c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "entries", Partitions: 2}}, 1)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := c.Partitions(ctx, "entries"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without a broker: %v", err)
	}
	stop := held.start(t, dir)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	consume(t, messages, func(m *message.Message, b *pipeline.Batch) { got.add(b); m.Ack() })
	publish(t, c, numbered("entries", 0, 0, 10))
	eventually(t, "the first records are handled", 10*time.Second, func() bool { return got.total() == 10 })
	stop()
	written := make(chan error, 1)
	go func() { written <- c.Publish(t.Context(), numbered("entries", 0, 10, 20)) }()
	time.Sleep(300 * time.Millisecond)
	held.start(t, dir)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() >= 20 })
	wantNumbered(t, readAll(t, c, "entries", 0), 0, 20)
}

// flakyPort is an address where a broker comes and goes.
type flakyPort struct{ address string }

func (p *flakyPort) reserve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return p.address
}

func (p *flakyPort) start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir),
		kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, p.address) }))
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(cluster.Close)
	t.Cleanup(stop)
	return stop
}

func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 6)
	messages, err := c.Subscriber(pipeline.SubscriberConfig{Group: "g"}).Subscribe(t.Context(), "entries")
	if err != nil {
		t.Fatal(err)
	}
	var got handled
	consume(t, messages, func(m *message.Message, b *pipeline.Batch) { got.add(b); m.Ack() })
	for i := range 40 {
		var records []pipeline.Record
		for p := range 6 {
			records = append(records, numbered("entries", p, i, i+1)...)
		}
		publish(t, c, records)
		if i%4 == 0 {
			cluster.ShufflePartitionLeaders()
		}
	}
	for p := range 6 {
		wantNumbered(t, readAll(t, c, "entries", p), 0, 40)
	}
	eventually(t, "all records are handled", 20*time.Second, func() bool { return got.total() >= 240 })
}

func TestReadBelowTheFirstOffset(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	var logged logs
	c := connectTo(t, kafka.Config{
		Brokers: cluster.ListenAddrs(), Namespace: "trimmed", Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	topic(t, c, "entries", 1)
	publish(t, c, numbered("entries", 0, 0, 10))
	publish(t, c, numbered("entries", 0, 10, 20))
	if err := cluster.DeleteRecords("trimmed.entries", 0, 10); err != nil {
		t.Fatal(err)
	}
	var lost *kafka.RangeError
	err := c.Read(t.Context(), "entries", 0, 3, 20, func([]pipeline.Record) error { return nil })
	if !errors.As(err, &lost) || lost.Offset != 3 || lost.First != 10 || lost.End != 20 {
		t.Fatalf("read: %v", err)
	}
	err = c.Tail(t.Context(), "entries", []int64{3}, func(int, []pipeline.Record) error { return nil })
	if !errors.As(err, &lost) {
		t.Fatalf("tail: %v", err)
	}
	// A Resume that insists waits; without one, the partition goes on, and the log says what was lost.
	ctx, cancel := context.WithCancel(t.Context())
	insisting := c.Subscriber(pipeline.SubscriberConfig{Group: "g", Resume: func(
		context.Context, string, int, pipeline.Mark,
	) (int64, error) {
		return 3, nil
	}})
	messages, err := insisting.Subscribe(ctx, "entries")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is said that the offset is not there", 10*time.Second, func() bool {
		return strings.Contains(logged.String(), "it waits")
	})
	cancel()
	for m := range messages {
		t.Errorf("%s was handed out", m.UUID)
	}
}

type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
