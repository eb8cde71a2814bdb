package bench

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width is at most a 64th of what they hold: a percentile is exact to
// 1.6 %, over all durations, in a fixed memory. The zero value is empty. Not for use by several at once.
type Histogram struct {
	counts [buckets]int64
	count  int64
	max    time.Duration
}

const (
	halfBits = 6             // of the steps of each power of two
	half     = 1 << halfBits // steps of each power of two above the first two
	powers   = 40            // of microseconds: some twelve days
	buckets  = (powers - halfBits + 1) * half
)

// Add counts a duration. One below zero is none.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

// Merge adds what another one has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count is how many durations were counted.
func (h *Histogram) Count() int64 { return h.count }

// Max is the longest one.
func (h *Histogram) Max() time.Duration { return h.max }

// At is the duration that so many thousandths of all do not exceed: At(990) is the 99th percentile.
func (h *Histogram) At(thousandths int64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := (h.count*thousandths + thousand - 1) / thousand
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; seen >= rank && n > 0 {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// bucketOf is where a duration is counted: microseconds, the first 64 each their own, then 64 steps for each power of
// two.
func bucketOf(d time.Duration) int {
	v := uint64(d.Microseconds()) //nolint:gosec // not below zero
	shift := max(bits.Len64(v)-halfBits-1, 0)
	return min(shift*half+int(v>>shift), buckets-1) //nolint:gosec // v>>shift is below 2*half
}

// upper is the longest duration of a bucket, in whole microseconds.
func upper(bucket int) time.Duration {
	shift := max(bucket/half-1, 0)
	step := bucket - shift*half
	return time.Duration((step+1)<<shift-1) * time.Microsecond
}
