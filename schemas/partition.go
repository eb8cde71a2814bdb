package schemas

import "encoding/binary"

// PartitionOf is the partition of a key among so many, as Java's Kafka client chooses it: records of other
// producers land in the same partitions.
func PartitionOf(key []byte, partitions int) int {
	return int(Murmur2(key)&0x7fffffff) % partitions
}

// Murmur2 is the hash of Java's Kafka client: MurmurHash2 of 32 bits with its seed.
func Murmur2(key []byte) int32 {
	const seed, m = uint32(0x9747b28c), uint32(0x5bd1e995)
	h := seed ^ uint32(len(key)) //nolint:gosec // as Java's int
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		h = h*m ^ (k^k>>24)*m
	}
	switch len(key) {
	case 3:
		h ^= uint32(key[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(key[0])) * m
	}
	h = (h ^ h>>13) * m
	return int32(h ^ h>>15) //nolint:gosec // as Java's int
}
