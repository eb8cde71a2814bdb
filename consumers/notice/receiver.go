package notice

import "time"

const (
	// receiverInFlight is how many calls one receiver gets at a time.
	receiverInFlight = 16
	// receiverQueue is how many deliveries wait for one receiver; the others wait in the topic of retries.
	receiverQueue = 256
	// failuresMost is how many failures in a row make a receiver rest.
	failuresMost = 3
	restMost     = 5 * time.Minute
)

// receiver is a party as it is called: how it has answered, and what waits for it.
//
//	         ┌───── a success ◀──────┐
//	         ▼                       │
//	answers: receiverInFlight calls ─┴▶ rests: none ──▶ probed: one call at a time
//	                   failuresMost in a row    ▲              │
//	                                            └── a failure ◀┘
type receiver struct {
	id       string
	queue    []*job
	busy     int
	failures int // in a row
	rests    int // in a row
	until    time.Time
	listed   bool // among those that are ready
	gone     bool // it said that it wants no more
}

// resting says whether the receiver is left alone at that time.
func (r *receiver) resting(now time.Time) bool { return now.Before(r.until) }

// callable says whether something waits that may be called now.
func (r *receiver) callable() bool {
	limit := receiverInFlight
	if r.failures >= failuresMost { // it is probed
		limit = 1
	}
	return len(r.queue) > 0 && r.busy < limit
}

// succeeded says whether the receiver had failed before.
func (r *receiver) succeeded() (recovered bool) {
	recovered = r.rests > 0
	r.failures, r.rests, r.until = 0, 0, time.Time{}
	return recovered
}

// failed counts a failure, and says whether the receiver begins to fail. Where it asked for a pause, or cannot be
// called at all, it rests at once.
func (r *receiver) failed(now time.Time, a answer, first time.Duration) (broke bool) {
	if r.failures++; a.atOnce {
		r.failures = max(r.failures, failuresMost)
	}
	if r.failures < failuresMost || r.resting(now) {
		return false
	}
	r.rests++
	rest := a.pause
	if rest == 0 {
		rest = min(jitter(first, r.rests), restMost)
	}
	r.until = now.Add(rest)
	return r.rests == 1
}
