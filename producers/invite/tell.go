package invite

import (
	"cmp"
	"context"

	"github.com/aval-systems/aval/schemas"
)

// tell tells the jobs in the report, in order, and keeps how far that is.
func (r *run) tell(ctx context.Context, q *queues) error {
	for {
		j, err := get(ctx, q.tell)
		if err != nil {
			return err
		}
		if r.tracker != nil {
			if err := r.tracker.await(ctx, j); err != nil {
				r.held = j
				return err
			}
		}
		if err := r.told(ctx, j); err != nil {
			return err
		}
		if j.err != nil {
			if isEnd(j.err) {
				return nil
			}
			return j.err
		}
	}
}

// told tells a job in the report, and keeps how far that is.
func (r *run) told(ctx context.Context, j *job) error {
	before := r.point.Input.Bytes
	if err := r.mark(j); err != nil {
		return err
	}
	r.Progress.Add(int(r.point.Input.Bytes>>10) - int(before>>10))
	now := r.Now()
	if r.point.Report != r.report.flushed || now.Sub(r.kept) < checkpointEvery {
		return nil
	}
	r.kept = now
	return r.keep(ctx)
}

// mark tells a job in the report, and takes note of it.
func (r *run) mark(j *job) error {
	if err := r.report.tell(j.rows); err != nil {
		return err
	}
	last := ""
	for i := range j.rows {
		w := &j.rows[i]
		r.summary.add(w.outcome)
		if w.outcome == Invalid && len(r.summary.Faults) < faultsShown {
			r.summary.Faults = append(r.summary.Faults, Fault{w.line, w.reason})
		}
		last = cmp.Or(w.id, last)
	}
	if j.again {
		return nil
	}
	if r.point.Counts = r.summary.Counts; last != "" {
		r.point.Log.Partition = schemas.PartitionOf([]byte(last), r.Partitions)
	}
	r.point.Input, r.point.Report = j.end, r.report.flushed
	return nil
}

// keep stores how far the run came, once the report is on the disk. The log only grows: where it ended a while ago
// is good enough to know it by, if nobody says where it ends now.
func (r *run) keep(ctx context.Context) error {
	if !r.report.lasting {
		return nil
	}
	if _, end, err := r.deps.Log.Bounds(ctx, topicInvitations, r.point.Log.Partition); err == nil {
		r.point.Log.End = end
	}
	return r.report.keep(r.point)
}

// finish tells what Kafka has and nobody told before the run ended, and keeps how far it came. What was waited for
// is read again by the next run.
func (r *run) finish(ctx context.Context, q *queues) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepLastMax)
	defer cancel()
	for r.report.broken == nil {
		j := r.untold(q)
		if j == nil {
			return r.keep(ctx)
		}
		if r.tracker != nil {
			r.tracker.forget(j)
			j.again = true
		}
		if err := r.mark(j); err != nil {
			return err
		}
	}
	return nil
}

// untold is the next job that Kafka has and nobody told, or nil.
func (r *run) untold(q *queues) (j *job) {
	if j, r.held = r.held, nil; j != nil {
		return j
	}
	select {
	case j = <-q.tell:
		return j
	default:
	}
	if len(r.left) > 0 {
		j, r.left = r.left[0], r.left[1:]
	}
	return j
}
