package fold

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
)

// table keeps rows in little memory: their bytes stand one behind the other in blocks, and an open hash table of
// numbers says where. The garbage collector sees some hundreds of blocks, not millions of texts.
//
// A row is a byte of flags, the lengths of field and value, the field and the value; texts of hexadecimal digits, which
// most identifiers and digests are, take half.
type table struct {
	slots  []uint64 // 0: free; else the upper bits of the field's hash, and one more than where the row stands
	count  int
	blocks [][]byte
	live   int64 // bytes of rows
	dead   int64 // bytes of rows that were replaced or removed
}

const (
	blockBits = 20
	blockSize = 1 << blockBits
	placeBits = 48
	placeMask = 1<<placeBits - 1

	flagFieldHex = 1 << 0
	flagValueHex = 1 << 1
	flagMarked   = 1 << 2
)

// row is a view of a row.
type row struct {
	flags        byte
	field, value []byte // as they are kept
	size         int
}

func (t *table) at(slot uint64) (r row, raw []byte) {
	place := slot&placeMask - 1
	raw = t.blocks[place>>blockBits][place&(blockSize-1):]
	r.flags = raw[0]
	n := 1
	field, m := binary.Uvarint(raw[n:])
	n += m
	value, m := binary.Uvarint(raw[n:])
	n += m
	r.field = raw[n : n+int(field)] //nolint:gosec // it was an int
	n += int(field)                 //nolint:gosec // it was an int
	r.value = raw[n : n+int(value)] //nolint:gosec // it was an int
	r.size = n + int(value)         //nolint:gosec // it was an int
	return r, raw
}

// packed appends how a text is kept, and says whether that is its hexadecimal digits' bytes.
func packed(to, text []byte) (_ []byte, isHex bool) {
	if len(text)%2 != 0 || len(text) == 0 {
		return append(to, text...), false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return append(to, text...), false
		}
	}
	for i := 0; i < len(text); i += 2 {
		to = append(to, nibble(text[i])<<4|nibble(text[i+1]))
	}
	return to, true
}

func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

func unpacked(kept []byte, isHex bool) string {
	if isHex {
		return hex.EncodeToString(kept)
	}
	return string(kept)
}

// find returns the slot of the field, or the free one where it would be.
func (t *table) find(hash uint64, field []byte, isHex bool) (i uint64, found bool) {
	mask := t.mask()
	for i = hash & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if t.slots[i]>>placeBits != hash>>placeBits {
			continue
		}
		if r, _ := t.at(t.slots[i]); (r.flags&flagFieldHex != 0) == isHex && bytes.Equal(r.field, field) {
			return i, true
		}
	}
	return i, false
}

// mask makes a slot's number of a hash.
func (t *table) mask() uint64 { return uint64(len(t.slots) - 1) } //nolint:gosec // it is a length

// scratch is what rows are packed into, and how fields are told apart.
type scratch struct {
	seed         maphash.Seed
	field, value []byte
}

func (s *scratch) hash(field []byte) (hash uint64, isHex bool) {
	s.field, isHex = packed(s.field[:0], field)
	return maphash.Bytes(s.seed, s.field), isHex
}

func (t *table) set(s *scratch, field, value []byte) {
	if (t.count+1)*8 > len(t.slots)*7 {
		t.grow(s)
	}
	hash, fieldHex := s.hash(field)
	var valueHex bool
	s.value, valueHex = packed(s.value[:0], value)
	i, found := t.find(hash, s.field, fieldHex)
	if found {
		r, raw := t.at(t.slots[i])
		if len(r.value) == len(s.value) {
			raw[0] = flags(fieldHex, valueHex)
			copy(r.value, s.value)
			return
		}
		t.live, t.dead = t.live-int64(r.size), t.dead+int64(r.size)
	} else {
		t.count++
	}
	t.slots[i] = hash>>placeBits<<placeBits | t.add(flags(fieldHex, valueHex), s.field, s.value)
	t.tidy()
}

func flags(fieldHex, valueHex bool) (f byte) {
	if fieldHex {
		f |= flagFieldHex
	}
	if valueHex {
		f |= flagValueHex
	}
	return f
}

// add writes a row and returns one more than where it stands.
func (t *table) add(flags byte, field, value []byte) uint64 {
	size := 1 + 2*binary.MaxVarintLen64 + len(field) + len(value)
	last := len(t.blocks) - 1
	if last < 0 || len(t.blocks[last])+size > cap(t.blocks[last]) {
		t.blocks = append(t.blocks, make([]byte, 0, t.blockFor(size)))
		last++
	}
	b := t.blocks[last]
	place := uint64(last)<<blockBits | uint64(len(b)) //nolint:gosec // they are lengths
	before := len(b)
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(len(field)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(append(b, field...), value...)
	t.blocks[last] = b
	t.live += int64(len(b) - before)
	return place + 1
}

// blockFor is how large the next block is: small for a table of few rows; one row may have more than a block.
func (t *table) blockFor(size int) int {
	if len(t.blocks) == 0 {
		return max(size, blockSize/64)
	}
	return max(size, blockSize)
}

func (t *table) remove(s *scratch, field []byte) {
	if t.count == 0 {
		return
	}
	hash, isHex := s.hash(field)
	i, found := t.find(hash, s.field, isHex)
	if !found {
		return
	}
	r, _ := t.at(t.slots[i])
	t.live, t.dead = t.live-int64(r.size), t.dead+int64(r.size)
	t.count--
	t.free(s, i)
	t.tidy()
}

// free empties a slot, and moves up those that would not be found behind an empty one.
func (t *table) free(s *scratch, i uint64) {
	mask := t.mask()
	for j := (i + 1) & mask; t.slots[j] != 0; j = (j + 1) & mask {
		r, _ := t.at(t.slots[j])
		home := maphash.Bytes(s.seed, r.field) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = 0
}

func (t *table) grow(s *scratch) {
	const first = 16
	slots := make([]uint64, max(first, 2*len(t.slots)))
	mask := uint64(len(slots) - 1) //nolint:gosec // it is a length
	for _, slot := range t.slots {
		if slot == 0 {
			continue
		}
		r, _ := t.at(slot)
		i := maphash.Bytes(s.seed, r.field) & mask
		for slots[i] != 0 {
			i = (i + 1) & mask
		}
		slots[i] = slot
	}
	t.slots = slots
}

// tidy writes the rows anew when most of what is kept is dead.
func (t *table) tidy() {
	if t.dead < blockSize || t.dead < t.live {
		return
	}
	tidied := table{slots: t.slots, count: t.count}
	for i, slot := range t.slots {
		if slot != 0 {
			r, _ := t.at(slot)
			t.slots[i] = slot>>placeBits<<placeBits | tidied.add(r.flags, r.field, r.value)
		}
	}
	*t = tidied
}

// get returns the row of a field.
func (t *table) get(s *scratch, field []byte) (r row, raw []byte, found bool) {
	if t == nil || t.count == 0 {
		return row{}, nil, false
	}
	hash, isHex := s.hash(field)
	i, found := t.find(hash, s.field, isHex)
	if !found {
		return row{}, nil, false
	}
	r, raw = t.at(t.slots[i])
	return r, raw, true
}
