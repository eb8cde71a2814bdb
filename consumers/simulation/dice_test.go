package simulation_test

import "fmt"

// dice are the choices of a world. Each depends on the seed, on what it is about and on how often that was chosen
// before, and on nothing else: so a fault that is left out changes no other choice by itself.
type dice struct {
	seed   uint64
	counts map[string]uint64

	muted map[fault]bool // left out
	fired []fault        // that came to pass, in order
	calm  bool           // no more faults
}

// fault is one thing that went wrong: what, and which time it could have.
type fault struct {
	what string
	nth  uint64
}

func (f fault) String() string { return fmt.Sprintf("%s#%d", f.what, f.nth) }

func newDice(seed uint64, muted map[fault]bool) *dice {
	return &dice{seed: seed, counts: map[string]uint64{}, muted: muted}
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (d *dice) at(about string, nth uint64) uint64 {
	h := mix(d.seed ^ mix(nth))
	for i := range len(about) {
		h = (h ^ uint64(about[i])) * 0x100000001b3
	}
	return mix(h)
}

func (d *dice) roll(about string) uint64 {
	nth := d.counts[about]
	d.counts[about]++
	return d.at(about, nth)
}

// below returns a number from 0 up to before n.
func (d *dice) below(about string, n int) int { return int(d.roll(about) % uint64(n)) }

// one says yes once in n times.
func (d *dice) one(about string, n int) bool { return d.below(about, n) == 0 }

// strikes says whether a fault comes to pass that does so in perMille of a thousand times.
func (d *dice) strikes(what string, perMille int) bool {
	nth := d.counts[what]
	roll := d.roll(what)
	f := fault{what, nth}
	if d.calm || int(roll%1000) >= perMille || d.muted[f] {
		return false
	}
	d.fired = append(d.fired, f)
	return true
}

func pick[T any](d *dice, about string, from []T) T { return from[d.below(about, len(from))] }
