package schemas_test

import (
	"testing"

	"github.com/aval-systems/aval/schemas"
)

// TestMurmur2 has the values that Java's Kafka client computes.
func TestMurmur2(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := schemas.Murmur2([]byte(key)); got != want {
			t.Errorf("Murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPartitionOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"21": (-973932308 & 0x7fffffff) % 240, "abc": 479470107 % 240} {
		if got := schemas.PartitionOf([]byte(key), 240); got != want {
			t.Errorf("PartitionOf(%q, 240) = %d, want %d", key, got, want)
		}
	}
	for _, key := range [][]byte{nil, {}, {0xff}, []byte("AVALBRSP/0001-7")} {
		if got := schemas.PartitionOf(key, 1); got != 0 {
			t.Errorf("PartitionOf(%q, 1) = %d, want 0", key, got)
		}
	}
}
