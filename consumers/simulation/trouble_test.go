package simulation_test

import (
	"fmt"
	"time"
)

// disturb lets something go wrong between two steps.
func (w *world) disturb() {
	d := w.dice
	switch {
	case d.strikes("crash", w.odds.crash):
		w.crash(d.below("who crashes", len(w.processes)))
	case d.strikes("shift", w.odds.shift):
		w.note("  partitions are shared out anew")
		w.share()
	case d.strikes("sleep", w.odds.sleep):
		w.sleep(pick(d, "who sleeps", w.processes))
	case d.strikes("back", w.odds.back):
		w.goBack()
	case d.strikes("empty", w.odds.empty):
		w.note("  Redis is emptied")
		w.redis.keys = image{}
	case d.strikes("forget", w.odds.forget):
		w.note("  Redis forgets its scripts")
		clear(w.redis.loaded)
	case d.strikes("land", 10):
		w.broker.land(w)
	case d.strikes("clock", w.odds.clock):
		passes := []time.Duration{time.Second, 4 * time.Second, time.Minute, 13 * time.Hour}
		w.now = w.now.Add(pick(d, "how long", passes))
		w.note("  time passes")
	}
}

// join begins a process.
func (w *world) join() *process {
	w.born++
	p := w.newProcess(fmt.Sprintf("p%d", w.born))
	w.processes = append(w.processes, p)
	return p
}

// crash ends a process between two steps and begins another one in its place.
func (w *world) crash(i int) {
	p := w.processes[i]
	w.note("  %s dies", p.name)
	p.die()
	w.processes = append(w.processes[:i:i], w.processes[i+1:]...)
	w.join()
	w.share()
}

// sleep lets a process sleep in the middle of what it does, for long enough to lose its partitions, or not.
func (w *world) sleep(p *process) {
	p.wakes = w.steps + 10 + w.dice.below("how long it sleeps", 300)
	w.note("  %s sleeps until step %d", p.name, p.wakes)
	if w.dice.one("it is not missed", 3) {
		return
	}
	for s, t := range w.seats() {
		if t != nil && t.p == p {
			w.give(s, w.dice.below("who gets it", len(w.processes)))
		}
	}
}

// goBack lets Redis have an earlier state: a recent one mostly.
func (w *world) goBack() {
	n := len(w.redis.images)
	if n == 0 {
		return
	}
	back := min(1+w.dice.below("how far", 4)*w.dice.below("how much further", 6), n)
	w.note("  Redis goes back by %d requests", back)
	w.redis.restore(w.redis.images[n-back])
}

// seats are the partitions of all groups, and who has them, in an order.
func (w *world) seats() func(yield func(seat, *task) bool) {
	return func(yield func(seat, *task) bool) {
		for _, work := range w.processes[0].works {
			for partition := range len(w.broker.topics[work.Topic]) {
				s := seat{work.Config.Group, partition}
				if !yield(s, w.broker.owners[s]) {
					return
				}
			}
		}
	}
}

// share gives some partitions, and all that nobody has, to any process.
func (w *world) share() {
	for s, t := range w.seats() {
		if t == nil || t.p.dead || t.ended || w.dice.one("it moves", 3) {
			w.give(s, w.dice.below("who gets it", len(w.processes)))
		}
	}
}

// give gives a partition to a process; who had it learns that later.
func (w *world) give(s seat, to int) {
	p := w.processes[to]
	former := w.broker.owners[s]
	if former != nil && former.p == p && !former.ended {
		return
	}
	if former != nil && !former.p.dead && !former.ended {
		if w.dice.one("it commits in time", 2) {
			former.commit()
		}
		former.loses = max(w.steps, former.p.wakes) + 1 + w.dice.below("when it learns", 60)
	}
	for _, work := range p.works {
		if work.Config.Group == s.group {
			w.broker.owners[s] = p.start(work, s.partition)
		}
	}
}

// settle ends all trouble and lets the world come to rest.
func (w *world) settle() {
	w.dice.calm = true
	w.note("  from here on nothing goes wrong")
	for len(w.broker.late) > 0 {
		w.broker.land(w)
	}
	for _, p := range w.processes {
		p.wakes = 0
	}
	if w.dice.one("all begin anew", 3) {
		for range w.processes {
			w.crash(0)
		}
	}
	w.parties().hurry = true
	last, since := 0, w.now
	for len(w.violations) == 0 {
		if w.steps > stepsMax {
			w.violate("it does not come to rest")
			return
		}
		w.step()
		if n := w.activity(); n != last || !w.parties().idle || !w.atRest() {
			last, since = n, w.now
		} else if w.now.Sub(since) > 10*time.Second {
			return
		}
	}
}

// activity counts what was written.
func (w *world) activity() int {
	n := 0
	for _, partitions := range w.broker.topics {
		for _, log := range partitions {
			n += len(log)
		}
	}
	return n
}

// atRest says whether everybody stands at the end of what there is.
func (w *world) atRest() bool {
	for _, t := range w.seats() {
		if t == nil || t.ended || t.resting || t.at != w.broker.end(t.place()) {
			return false
		}
	}
	return true
}
