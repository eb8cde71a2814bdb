package audit

import (
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// repeats checks of a shard that what comes again changes nothing (I-13): a repeat and a conflict change no row, and
// what was done under an identifier is not done once more while the book remembers it.
//
// It forgets as books do, by log time and in halves, so that it is no larger than what they remember: what it has
// forgotten they may have.
type repeats struct {
	halves  [2]map[uint64]struct{} // the newer one first
	rotated int64                  // log time of the last exchange, in milliseconds
}

// fault says what is wrong with an item, if anything is.
func (r *repeats) fault(in pipeline.In, d *schemas.Decision) string {
	switch d.GetOutcome() {
	case schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_CONFLICT:
		if len(d.GetChanges()) > 0 {
			return "changes the state, though it is answered as a " + wordOf(d.GetOutcome())
		}
	case schemas.Outcome_OUTCOME_DONE:
		id, tick := commandOf(in)
		if tick != nil {
			r.tick(in.Time.UnixMilli(), tick.GetRetention().AsDuration().Milliseconds())
			return ""
		}
		return r.done(id)
	case schemas.Outcome_OUTCOME_UNSPECIFIED, schemas.Outcome_OUTCOME_REFUSED, schemas.Outcome_OUTCOME_UNREADABLE:
	}
	return ""
}

func (r *repeats) done(id string) string {
	key := sum([]byte(id))
	for _, half := range r.halves {
		if _, again := half[key]; again {
			return "is done, and so was the command " + id + " before"
		}
	}
	if r.halves[0] == nil {
		r.halves[0] = map[uint64]struct{}{}
	}
	r.halves[0][key] = struct{}{}
	return ""
}

// tick forgets the older half when two retentions have passed.
func (r *repeats) tick(now, retention int64) {
	switch {
	case r.rotated == 0:
		r.rotated = now
	case now >= r.rotated+2*retention:
		r.halves = [2]map[uint64]struct{}{nil, r.halves[0]}
		r.rotated = now
	}
}

func wordOf(o schemas.Outcome) string {
	if o == schemas.Outcome_OUTCOME_REPEAT {
		return "repeat"
	}
	return "conflict"
}

// commandOf is the identifier of an item's command, and the tick that it is, if it is one.
func commandOf(in pipeline.In) (id string, tick *schemas.Tick) {
	switch item := in.Body.(type) {
	case *schemas.Entry:
		return item.GetId(), item.GetMovement().GetTick()
	case *schemas.PreIssue:
		return item.GetId(), item.GetRequest().GetTick()
	}
	return "", nil
}
