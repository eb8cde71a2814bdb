package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/aval-systems/aval/pipeline"
)

// inflatedMost bounds what a compressed batch may become.
const inflatedMost = 64 << 20

var errDamaged = errors.New("the record batch is damaged")

// chunk is a record batch as it was fetched: whole, and with a checksum that was right.
type chunk struct {
	base int64
	next int64  // the offset after it
	raw  []byte // with the header
	all  *decoded
}

// decoded is a chunk's records, once somebody has asked for them: all who read a partition share them.
type decoded struct {
	once    sync.Once
	records []pipeline.Record
	err     error
}

// written is when the broker, else the producer, says that the batch was written.
func (c chunk) written() time.Time {
	at := firstTimeAt
	if binary.BigEndian.Uint16(c.raw[attributesAt:])&logAppendTime != 0 {
		at = lastTimeAt
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(c.raw[at:]))) //nolint:gosec // bits
}

// split cuts a record set into its batches. It leaves out what follows the last whole one: a broker cuts
// where its limit lies. An error comes with the batches before the damaged one.
func split(set []byte) ([]chunk, error) {
	var chunks []chunk
	for len(set) >= leaderAt {
		size := leaderAt + int(int32(binary.BigEndian.Uint32(set[lengthAt:]))) //nolint:gosec // it is signed
		if size > len(set) {
			break
		}
		if size < headerBytes {
			return chunks, fmt.Errorf("%w: %d bytes", errDamaged, size)
		}
		raw := set[:size:size]
		set = set[size:]
		c := chunk{base: int64(binary.BigEndian.Uint64(raw)), raw: raw, all: &decoded{}} //nolint:gosec // bits
		c.next = c.base + int64(int32(binary.BigEndian.Uint32(raw[lastDeltaAt:]))) + 1   //nolint:gosec // bits
		if raw[magicAt] != 2 {
			return chunks, fmt.Errorf("%w: offset %d has the old format %d", errDamaged, c.base, raw[magicAt])
		}
		if checksum(raw) != binary.BigEndian.Uint32(raw[crcAt:]) {
			return chunks, fmt.Errorf("%w: wrong checksum at offset %d", errDamaged, c.base)
		}
		if c.next <= c.base {
			return chunks, fmt.Errorf("%w: offsets %d to %d", errDamaged, c.base, c.next)
		}
		chunks = append(chunks, c)
	}
	return chunks, nil
}

// decode returns the records of the chunks from an offset on. Nobody may change them: others read them too.
func decode(chunks []chunk, topic string, partition int, from int64) (records []pipeline.Record, err error) {
	for i, k := range chunks {
		k.all.once.Do(func() { k.all.records, k.all.err = k.decode(nil, topic, partition, k.base) })
		if k.all.err != nil {
			return nil, k.all.err
		}
		more := k.all.records
		for len(more) > 0 && more[0].Offset < from {
			more = more[1:]
		}
		if i == 0 {
			records = slices.Clip(more)
		} else {
			records = append(records, more...)
		}
	}
	return records, nil
}

// decode appends the chunk's records from an offset on. They are views of the chunk's bytes. A control batch
// has none.
func (c chunk) decode(
	to []pipeline.Record, topic string, partition int, from int64,
) ([]pipeline.Record, error) {
	attributes := binary.BigEndian.Uint16(c.raw[attributesAt:])
	if attributes&controlBatch != 0 {
		return to, nil
	}
	body := c.raw[headerBytes:]
	if codec := compress.Compression(attributes & compressionMask); codec != compress.None {
		var err error
		if body, err = inflate(codec, body); err != nil {
			return to, fmt.Errorf("%w at offset %d: %w", errDamaged, c.base, err)
		}
	}
	count := int(int32(binary.BigEndian.Uint32(c.raw[countAt:]))) //nolint:gosec // it is a signed number
	if count < 0 || count > len(body) {
		return to, fmt.Errorf("%w at offset %d: %d records", errDamaged, c.base, count)
	}
	r := reader{b: body}
	to = slices.Grow(to, min(count, recordsOften))
	for range count {
		record := r.record(c.base)
		if r.bad || record.Offset >= c.next {
			return to, fmt.Errorf("%w at offset %d", errDamaged, c.base)
		}
		if record.Offset >= from {
			record.Topic, record.Partition = topic, partition
			to = append(to, record)
		}
	}
	return to, nil
}

func inflate(codec compress.Compression, body []byte) ([]byte, error) {
	c := codec.Codec()
	if c == nil {
		return nil, fmt.Errorf("unknown compression %d", codec)
	}
	r := c.NewReader(bytes.NewReader(body))
	out, err := io.ReadAll(io.LimitReader(r, inflatedMost+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if len(out) > inflatedMost {
		return nil, fmt.Errorf("it becomes more than %d bytes", inflatedMost)
	}
	return out, nil
}

// reader reads a batch's body; once it is bad, everything that it returns is empty.
type reader struct {
	b       []byte
	bad     bool
	headers []pipeline.Header // for records to come
}

const (
	recordsOften = 1024 // records of a batch, at most, as long as nobody lies about their number
	headersAhead = 256  // for how many headers is made room at a time
)

// room is for a record's headers. Records share what was made.
func (r *reader) room(n int) []pipeline.Header {
	if n > len(r.headers) {
		r.headers = make([]pipeline.Header, max(n, min(headersAhead, len(r.b)/headersLeast+n)))
	}
	headers := r.headers[:n:n]
	r.headers = r.headers[n:]
	return headers
}

// headersLeast is how many bytes of a batch stand for each header that is made room for.
const headersLeast = 16

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes returns the next bytes, nil for a null.
func (r *reader) bytes() []byte {
	n := r.varint()
	if r.bad || n == -1 {
		return nil
	}
	if n < 0 || n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) record(base int64) pipeline.Record {
	var record pipeline.Record
	body := reader{b: r.bytes()}
	if r.bad || len(body.b) == 0 {
		r.bad = true
		return record
	}
	body.b = body.b[1:] // attributes, which have no use
	body.varint()       // the time
	delta := body.varint()
	record.Offset = base + delta
	record.Key = body.bytes()
	record.Value = body.bytes()
	headers := body.varint()
	if delta < 0 || headers < 0 || headers > int64(len(body.b)) {
		r.bad = true
		return record
	}
	if headers > 0 {
		record.Headers = r.room(int(headers))
	}
	for i := range record.Headers {
		record.Headers[i] = pipeline.Header{Key: pipeline.HeaderName(body.bytes()), Value: body.bytes()}
	}
	r.bad = r.bad || body.bad
	return record
}
