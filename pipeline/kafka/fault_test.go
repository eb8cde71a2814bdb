//go:build !integration

package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: test.err, Count: 3})
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
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
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
	for p, err := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.OutOfOrderSequenceNumber, kerr.RequestTimedOut,
	} {
		cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{int32(p)}, Err: err, Count: 2,
			//nolint:gosec // few
		})
	}
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 4)
	for i := range 3 {
		var records []pipeline.Record
		for p := range 4 {
			records = append(records, numbered("entries", p, i*10, i*10+10)...)
		}
		publish(t, c, records)
	}
	for p := range 4 {
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
	if err := c.Publish(t.Context(), large); !errors.As(err, &tooLarge) || tooLarge.Limit != 262144 ||
		tooLarge.Topic != "movements" {
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
