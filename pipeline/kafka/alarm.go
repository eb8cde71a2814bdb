package kafka

import "time"

// alarm is the earliest of the times at which a loop must look again. Its zero value never rings.
type alarm struct{ at time.Time }

// set makes it ring at t at the latest.
func (a *alarm) set(t time.Time) {
	if a.at.IsZero() || t.Before(a.at) {
		a.at = t
	}
}

// wait returns how long it is until it rings, and whether it does.
func (a *alarm) wait() (time.Duration, bool) {
	return max(time.Until(a.at), 0), !a.at.IsZero()
}
