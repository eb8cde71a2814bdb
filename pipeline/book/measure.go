package book

import (
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func (r *Runner) count(e pipeline.Event) {
	pipeline.MeterOr(r.Meter).Counted(e, r.Book.Name(), "", 1)
}

func (r *Runner) called(call pipeline.Call, items int, began time.Time, err error) {
	pipeline.MeterOr(r.Meter).Called(pipeline.Called{
		Call: call, Who: r.Book.Name(), Items: items, Took: time.Since(began), Failed: err != nil,
	})
}

// Numbers of outcomes and reasons that are counted in one go; those that a later version adds are counted too.
const (
	outcomesMax = 8
	reasonsMax  = 128
)

// measure counts what was decided, and why what was refused was.
func (r *Runner) measure(decisions []*schemas.Decision) {
	var outcomes [outcomesMax]int
	var reasons [reasonsMax]int
	for _, d := range decisions {
		if o := int(d.GetOutcome()); o >= 0 && o < outcomesMax {
			outcomes[o]++
		}
		if reason := int(reasonOf(d)); reason > 0 && reason < reasonsMax {
			reasons[reason]++
		}
	}
	meter, name := pipeline.MeterOr(r.Meter), r.Book.Name()
	for o, n := range outcomes {
		if n > 0 {
			meter.Counted(pipeline.EventDecided, name, outcomeWord(schemas.Outcome(o)), n)
		}
	}
	for reason, n := range reasons {
		if n > 0 {
			meter.Counted(pipeline.EventRefused, name, schemas.Reason(reason).Word(), n)
		}
	}
}

// reasonOf is why a command was refused, now: not of a repeat, which was counted when it was new.
func reasonOf(d *schemas.Decision) schemas.Reason {
	switch {
	case d.GetOutcome() == schemas.Outcome_OUTCOME_REFUSED:
		return d.GetReason()
	case d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT && d.GetReason() == schemas.Reason_REASON_UNSPECIFIED:
		return schemas.Reason_REASON_CONFLICT
	case d.GetOutcome() == schemas.Outcome_OUTCOME_CONFLICT:
		return d.GetReason()
	}
	return schemas.Reason_REASON_UNSPECIFIED
}

// trace tells of a step's commands and of the items that answer them.
func (r *Runner) trace(o *owner, began time.Time, plans []plan, entry []pipeline.Record) {
	sources := func(yield func(string, schemas.Trace) bool) {
		for i := range plans {
			if !yield(plans[i].in.ID, plans[i].in.Trace) {
				return
			}
		}
	}
	pipeline.Trace(r.Tracer, pipeline.Traced{
		Stage: r.Book.Name(), Topic: r.Book.Commands(), Partition: o.shard, Records: len(plans), Began: began,
	}, sources, entry)
}

func outcomeWord(o schemas.Outcome) string {
	return strings.ToLower(strings.TrimPrefix(o.String(), "OUTCOME_"))
}
