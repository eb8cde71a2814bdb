package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	fetchVersion = 11       // whose answer is read here; brokers know it since 2.3
	fetchBytes   = 16 << 20 // of one answer, unless one batch alone has more
)

// want is what a fetch asks of a partition.
type want struct {
	place
	from  int64
	bytes int
}

// got is what a fetch brought of a partition.
type got struct {
	place
	code  int16
	high  int64  // the offset after the last record that may be read
	first int64  // the first offset that is kept
	set   []byte // a view of the whole answer
}

// fetch asks one broker for what stands in partitions that it leads. It waits that long while there is
// nothing.
func (c *Client) fetch(
	ctx context.Context, address string, wait time.Duration, wants []want,
) (answers []got, size int, err error) {
	request := &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(wait / time.Millisecond), //nolint:gosec // it is short
		MinBytes: 1, MaxBytes: fetchBytes, SessionID: 0, SessionEpoch: -1,
	}
	for _, w := range wants {
		if n := len(request.Topics); n == 0 || request.Topics[n-1].Topic != w.topic {
			request.Topics = append(request.Topics, fetch.RequestTopic{Topic: w.topic})
		}
		t := &request.Topics[len(request.Topics)-1]
		t.Partitions = append(t.Partitions, fetch.RequestPartition{
			Partition: w.partition, CurrentLeaderEpoch: -1, FetchOffset: w.from, LogStartOffset: -1,
			PartitionMaxBytes: int32(w.bytes), //nolint:gosec // far below
		})
	}
	err = c.brokers.use(ctx, address, wait, func(conn *conn) error {
		if v := conn.versions[protocol.Fetch]; v < fetchVersion {
			return fmt.Errorf("the broker answers fetches up to version %d, it should know %d (Kafka 2.3)",
				v, fetchVersion)
		}
		frame, err := conn.raw(fetchVersion, request)
		if err != nil {
			return err
		}
		size = len(frame)
		answers, err = readFetch(frame)
		return err
	})
	return answers, size, err
}

// readFetch reads the answer of a fetch in version 11.
func readFetch(frame []byte) ([]got, error) {
	r := wireReader{b: frame}
	r.int32() // throttling, which the broker enforces by itself
	code := r.int16()
	r.int32() // session, of which there is none
	var answers []got
	for range r.count() {
		topic := string(r.next(int(r.int16())))
		for range r.count() {
			g := got{place: place{topic: topic, partition: r.int32()}, code: r.int16(), high: r.int64()}
			r.int64() // the last stable offset: nothing here is transactional
			g.first = r.int64()
			for range r.count() { // aborted transactions
				r.next(16)
			}
			r.int32() // preferred replica
			g.set = r.next(max(int(r.int32()), 0))
			answers = append(answers, g)
		}
	}
	if r.bad {
		return nil, errWire
	}
	return answers, asError(code)
}

// wireReader reads an answer; once it is bad, everything that it returns is empty.
type wireReader struct {
	b   []byte
	bad bool
}

func (r *wireReader) next(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *wireReader) int16() int16 {
	if v := r.next(2); v != nil {
		return int16(binary.BigEndian.Uint16(v)) //nolint:gosec // bits
	}
	return 0
}

func (r *wireReader) int32() int32 {
	if v := r.next(4); v != nil {
		return int32(binary.BigEndian.Uint32(v)) //nolint:gosec // bits
	}
	return 0
}

func (r *wireReader) int64() int64 {
	if v := r.next(8); v != nil {
		return int64(binary.BigEndian.Uint64(v)) //nolint:gosec // bits
	}
	return 0
}

// count returns how many elements an array has; null has none.
func (r *wireReader) count() int {
	n := int(r.int32())
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return 0
	}
	return max(n, 0)
}
