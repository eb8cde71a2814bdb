package simulation_test

import (
	"crypto/ed25519"
	"flag"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline/book"
)

//nolint:gochecknoglobals // flags have to stand before a test begins
var (
	seedFlag   = flag.Uint64("seed", 0, "the first seed; 0: a fresh one")
	roundsFlag = flag.Int("rounds", 0, "how many seeds to try; 0: as many as there is time for")
	timeFlag   = flag.Duration("for", 15*time.Second, "how long to try seeds, where their number is not given")
	shrinkFlag = flag.Bool("shrink", true, "make what fails as small as it can be")
)

func newLab(t *testing.T) *lab {
	t.Helper()
	id, key := certificate.DemonstrationKey(issuingBank)
	signer, err := certificate.NewKeys(map[string]ed25519.PrivateKey{id: key})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{
		t: t, ctx: t.Context(), engine: newEngine(), signer: signer, stores: map[book.Book]*book.Store{},
		client: redis.NewClient(&redis.Options{Addr: "simulated:0", MaxRetries: -1}),
	}
	l.client.AddHook(line{l})
	for _, b := range books() {
		l.stores[b] = book.NewStore(l.client, namespace, b)
	}
	t.Cleanup(func() {
		l.engine.close()
		_ = l.client.Close()
	})
	return l
}

// TestNothingIsLostWhateverFails tries seeds: each is a world of its own, with faults of its own.
//
//nolint:paralleltest // what is random in all the process is chosen by the seed, too
func TestNothingIsLostWhateverFails(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seeds from %d on", seed)
	l := newLab(t)
	if testing.Short() {
		*timeFlag /= 3
	}
	before := processor(t)
	began, rounds, steps, faults := time.Now(), 0, 0, 0
	for more := true; more; seed++ {
		w := l.run(plan{seed: seed, orders: ordersMax, until: troubled})
		rounds, steps, faults = rounds+1, steps+w.steps, faults+len(w.dice.fired)
		if len(w.violations) > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(w.violations, "\n"))
			if *shrinkFlag {
				l.report(t, plan{seed: seed, orders: ordersMax, until: troubled}, w)
			}
			return
		}
		more = rounds < *roundsFlag || *roundsFlag == 0 && time.Since(began) < *timeFlag
	}
	used := processor(t) - before
	t.Logf("%d seeds with %d steps and %d faults in %v; they used %v of a processor: %d a minute", rounds, steps,
		faults, time.Since(began), used, time.Duration(rounds)*time.Minute/max(used, 1))
}

// processor is how long this process has used one.
func processor(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestASeedGivesTheSameTrace runs a few worlds twice.
//
//nolint:paralleltest // what is random in all the process is chosen by the seed, too
func TestASeedGivesTheSameTrace(t *testing.T) {
	l := newLab(t)
	for seed := range uint64(5) {
		p := plan{seed: seed + 1, orders: ordersMax, until: troubled, traced: true}
		one, other := l.run(p), l.run(p)
		if len(one.trace) == 0 || !slices.Equal(one.trace, other.trace) {
			for i := range one.trace {
				if i >= len(other.trace) || one.trace[i] != other.trace[i] {
					t.Fatalf("seed %d: %s\nand then %s", p.seed, one.trace[i], other.trace[min(i, len(other.trace)-1)])
				}
			}
		}
	}
}
