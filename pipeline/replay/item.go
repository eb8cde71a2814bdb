package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Kinds of items.
const (
	kindMade  = 0 // what follows, made anew
	kindFound = 1 // what stands in the log
)

// item is what the comparison needs of a follow. What there is to tell of a difference is read again.
type item struct {
	cause     [16]byte // digest of what it says it follows from
	kind      byte
	topic     byte
	checked   bool // its seal was looked at by itself
	fault     bool // its seal is wrong
	misplaced bool // it stands in another partition than its key's
	id        uint64
	sum       [16]byte // digest of all its bytes but the seal
	seal      uint64   // digest; zero where it has none

	at pipeline.Place // where it stands; of what was made anew: where its cause does
}

// itemBytes is what an item takes.
const itemBytes = 16 + 3 + 8 + 16 + 8 + 1 + 4 + 8

const (
	flagChecked = 1 << iota
	flagFault
	flagMisplaced
)

// itemOf is the item of a record, whose seal is opened.
func itemOf(r pipeline.Record, topic byte, opened Opened) item {
	i := item{topic: topic, checked: opened.Checked, fault: opened.Fault != ""}
	i.cause = digest16([]byte(causeKey(r)))
	id, _ := headerOf(r, schemas.HeaderID)
	i.id = digest8(id)
	i.sum = sumOf(r, opened.Value)
	if opened.Seal != nil {
		i.seal = digest8(opened.Seal)
	}
	return i
}

// sumOf is the digest of a record, with this value in place of its own.
func sumOf(r pipeline.Record, value []byte) [16]byte {
	size := 64 + len(r.Topic) + len(r.Key) + len(value)
	for _, h := range r.Headers {
		size += 16 + len(h.Key) + len(h.Value)
	}
	all := make([]byte, 0, size)
	add := func(b []byte) {
		all = binary.AppendUvarint(all, uint64(len(b)))
		all = append(all, b...)
	}
	add(r.Key)
	all = binary.AppendUvarint(all, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		all = binary.AppendUvarint(all, uint64(len(h.Key)))
		all = append(all, h.Key...)
		add(h.Value)
	}
	add(value)
	return digest16(all)
}

func digest16(b []byte) (d [16]byte) {
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

func digest8(b []byte) uint64 {
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

// causeKey is what a follow is matched by: the identifier of its cause, or, of the dead letter of what nobody could
// read and so has none, where that stands.
func causeKey(r pipeline.Record) string {
	if id, ok := headerOf(r, schemas.HeaderCause); ok {
		return "id " + string(id)
	}
	if at, ok := buried(r); ok {
		return "at " + at.String()
	}
	return ""
}

// causeOf is where the cause of a follow stands.
func causeOf(r pipeline.Record) (pipeline.Place, bool) {
	if at, ok := pipeline.CauseOf(r); ok {
		return at, true
	}
	return buried(r)
}

// buried is where the record of a dead letter stands.
func buried(r pipeline.Record) (pipeline.Place, bool) {
	if r.Topic != schemas.TopicDeadLetters {
		return pipeline.Place{}, false
	}
	letter := &schemas.DeadLetter{}
	if schemas.Unmarshal(r.Value, letter) != nil {
		return pipeline.Place{}, false
	}
	return pipeline.Place{
		Topic: letter.GetTopic(), Partition: int(letter.GetPartition()), Offset: letter.GetOffset(),
	}, true
}

func headerOf(r pipeline.Record, name string) ([]byte, bool) {
	for _, h := range r.Headers {
		if h.Key == name {
			return h.Value, true
		}
	}
	return nil, false
}

func (x *Replay) add(i item) error {
	var b [itemBytes]byte
	all := append(b[:0], i.cause[:]...)
	all = append(all, i.kind, i.topic, i.flags())
	all = binary.LittleEndian.AppendUint64(all, i.id)
	all = append(all, i.sum[:]...)
	all = binary.LittleEndian.AppendUint64(all, i.seal)
	all = append(all, x.topic(i.at.Topic))
	all = binary.LittleEndian.AppendUint32(all, uint32(i.at.Partition)) //nolint:gosec // few
	all = binary.LittleEndian.AppendUint64(all, uint64(i.at.Offset))    //nolint:gosec // never below zero
	return x.items.Add(binary.LittleEndian.Uint64(i.cause[:]), all)
}

func (i item) flags() (flags byte) {
	if i.checked {
		flags |= flagChecked
	}
	if i.fault {
		flags |= flagFault
	}
	if i.misplaced {
		flags |= flagMisplaced
	}
	return flags
}

// item reads what add has written.
func (x *Replay) item(b []byte) (i item) {
	const at = 16 + 3 + 8 + 16 + 8
	copy(i.cause[:], b)
	i.kind, i.topic = b[16], b[17]
	i.checked, i.fault, i.misplaced = b[18]&flagChecked > 0, b[18]&flagFault > 0, b[18]&flagMisplaced > 0
	i.id = binary.LittleEndian.Uint64(b[19:])
	copy(i.sum[:], b[27:])
	i.seal = binary.LittleEndian.Uint64(b[43:])
	i.at.Topic = x.topics[b[at]-1]
	i.at.Partition = int(binary.LittleEndian.Uint32(b[at+1:]))
	i.at.Offset = int64(binary.LittleEndian.Uint64(b[at+5:])) //nolint:gosec // it was one
	return i
}

// where is the place as people read it.
func where(topic string, partition int) string { return topic + "/" + strconv.Itoa(partition) }
