package bench_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aval-systems/aval/producers/bench"
)

// TestHistogram compares percentiles with those of the sorted durations, from microseconds to hours.
func TestHistogram(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int64{60, 130, 5_000, 2_000_000, 90_000_000, 9_000_000_000} {
		var first, second bench.Histogram
		all := make([]time.Duration, 20_000)
		for i := range all {
			all[i] = time.Duration(random.Int64N(most)+1) * time.Microsecond
			if i%2 == 0 {
				first.Add(all[i])
			} else {
				second.Add(all[i])
			}
		}
		first.Merge(&second)
		slices.Sort(all)
		for _, thousandths := range []int64{1, 500, 900, 990, 999, 1000} {
			want := all[(int64(len(all))*thousandths+999)/1000-1]
			got := first.At(thousandths)
			if got < want || got > want+want/64+time.Microsecond {
				t.Errorf("up to %d µs: At(%d) = %v, want %v or at most a 64th more", most, thousandths, got, want)
			}
		}
		if first.Count() != int64(len(all)) || first.Max() != all[len(all)-1] {
			t.Errorf("up to %d µs: %d durations, longest %v", most, first.Count(), first.Max())
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	t.Parallel()
	var h bench.Histogram
	if got := h.At(990); got != 0 {
		t.Errorf("of nothing: At(990) = %v, want 0", got)
	}
	h.Add(-time.Second)
	h.Add(1000 * 24 * time.Hour) // longer than any bucket
	if got := h.At(500); got != 0 {
		t.Errorf("At(500) = %v, want 0", got)
	}
	if got := h.At(1000); got <= 10*24*time.Hour {
		t.Errorf("At(1000) = %v, want many days", got)
	}
}
