package kafka

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"

	"github.com/aval-systems/aval/pipeline"
)

// Where things stand in a record batch of format 2, from its base offset on.
const (
	lengthAt     = 8
	leaderAt     = 12 // the leader's epoch, which the broker writes
	magicAt      = 16
	crcAt        = 17
	attributesAt = 21 // the checksum begins here
	lastDeltaAt  = 23
	firstTimeAt  = 27
	lastTimeAt   = 35
	producerAt   = 43
	epochAt      = 51
	sequenceAt   = 53
	countAt      = 57
	headerBytes  = 61

	prefixBytes = 4 // of a record set in a produce request: its size

	controlBatch    = 1 << 5
	logAppendTime   = 1 << 3
	compressionMask = 7
)

// checksum is a batch's, over everything that stands after it.
func checksum(batch []byte) uint32 {
	return crc32.Checksum(batch[attributesAt:], crc32.MakeTable(crc32.Castagnoli))
}

// identity is whom a batch is from: the broker takes an identity's sequences in order, and each once.
type identity struct {
	id    int64
	epoch int16
}

// encodeBatch returns the records as a record set of one batch, as a produce request carries it.
func encodeBatch(from identity, sequence int32, millis int64, records []pipeline.Record) []byte {
	size := prefixBytes + headerBytes
	for i := range records {
		size += recordBytes(i, &records[i])
	}
	b := make([]byte, prefixBytes+headerBytes, size)
	for i := range records {
		b = appendRecord(b, i, &records[i])
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-prefixBytes)) //nolint:gosec // far below
	h := b[prefixBytes:]
	binary.BigEndian.PutUint32(h[lengthAt:], uint32(len(h)-leaderAt)) //nolint:gosec // far below
	binary.BigEndian.PutUint32(h[leaderAt:], math.MaxUint32)          // unknown
	h[magicAt] = 2
	binary.BigEndian.PutUint32(h[lastDeltaAt:], uint32(len(records)-1)) //nolint:gosec // far below
	binary.BigEndian.PutUint64(h[firstTimeAt:], uint64(millis))         //nolint:gosec // bits
	binary.BigEndian.PutUint64(h[lastTimeAt:], uint64(millis))          //nolint:gosec // bits
	binary.BigEndian.PutUint32(h[countAt:], uint32(len(records)))       //nolint:gosec // far below
	stamp(b, from, sequence)
	return b
}

// stamp writes who a record set of one batch is from, and its checksum.
func stamp(set []byte, from identity, sequence int32) {
	h := set[prefixBytes:]
	binary.BigEndian.PutUint64(h[producerAt:], uint64(from.id))  //nolint:gosec // bits
	binary.BigEndian.PutUint16(h[epochAt:], uint16(from.epoch))  //nolint:gosec // bits
	binary.BigEndian.PutUint32(h[sequenceAt:], uint32(sequence)) //nolint:gosec // bits
	binary.BigEndian.PutUint32(h[crcAt:], checksum(h))
}

// batchBytes is what the records take as a batch, without the prefix.
func batchBytes(records []pipeline.Record) int {
	size := headerBytes
	for i := range records {
		size += recordBytes(i, &records[i])
	}
	return size
}

func recordBytes(i int, r *pipeline.Record) int {
	body := bodyBytes(i, r)
	return varintBytes(body) + body
}

func bodyBytes(i int, r *pipeline.Record) int {
	size := 2 + varintBytes(i) + varBytes(r.Key) + varBytes(r.Value) + varintBytes(len(r.Headers))
	for _, h := range r.Headers {
		size += varintBytes(len(h.Key)) + len(h.Key) + varBytes(h.Value)
	}
	return size
}

func appendRecord(b []byte, i int, r *pipeline.Record) []byte {
	b = binary.AppendVarint(b, int64(bodyBytes(i, r)))
	b = append(b, 0, 0) // attributes; the time is the batch's
	b = binary.AppendVarint(b, int64(i))
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendBytes(b, h.Value)
	}
	return b
}

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}

func varBytes(v []byte) int {
	if v == nil {
		return 1
	}
	return varintBytes(len(v)) + len(v)
}

// varintBytes is the length of a number that is not negative, in the zigzag form.
func varintBytes(n int) int { return (bits.Len64(uint64(n)<<1|1) + 6) / 7 } //nolint:gosec // not negative

// advance returns the sequence after n more records; sequences begin anew after the largest int32.
func advance(sequence int32, n int) int32 {
	return int32((int64(sequence) + int64(n)) & math.MaxInt32)
}
