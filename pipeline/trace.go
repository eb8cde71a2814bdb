package pipeline

import (
	"iter"
	"time"

	"github.com/aval-systems/aval/schemas"
)

// TracedMax bounds what is told of one batch: its messages, and what followed.
const TracedMax = 512

// Tracer records the traces that messages carry. It is told once of a batch, and only of one with a message whose
// trace somebody wants recorded; it returns at once.
type Tracer interface {
	Traced(Traced)
}

// Traced is a batch that was handled.
type Traced struct {
	Stage, Topic string
	Partition    int
	Records      int // in the batch, whether traced or not
	Began        time.Time
	Took         time.Duration
	Sources      []schemas.Trace // of the messages that are traced, at most TracedMax
	Follows      []TracedFollow  // what followed from them, at most TracedMax
}

// TracedFollow is a message that followed: its span is one of its trace's, for whoever goes on from it.
type TracedFollow struct {
	Topic, ID string
	Trace     schemas.Trace
	From      schemas.Trace // of what it follows from
}

// Trace tells the tracer of a batch that was handled: of its messages, by their identifiers, and of the records that
// followed, which name their cause. Of a batch without a trace to record it tells nothing.
func Trace(to Tracer, t Traced, sources iter.Seq2[string, schemas.Trace], follows []Record) {
	if to == nil {
		return
	}
	var from map[string]schemas.Trace
	for id, trace := range sources {
		if !trace.Sampled() || len(t.Sources) >= TracedMax {
			continue
		}
		if from == nil {
			from = map[string]schemas.Trace{}
		}
		from[id] = trace
		t.Sources = append(t.Sources, trace)
	}
	if from == nil {
		return
	}
	t.Took = time.Since(t.Began)
	for _, r := range follows {
		if len(t.Follows) >= TracedMax {
			break
		}
		cause, _ := header(&r, schemas.HeaderCause)
		if parent, ok := from[string(cause)]; ok {
			id, _ := header(&r, schemas.HeaderID)
			t.Follows = append(t.Follows, TracedFollow{
				Topic: r.Topic, ID: string(id), Trace: schemas.TraceOf(r.Headers), From: parent,
			})
		}
	}
	to.Traced(t)
}

// traces are the identifiers and the traces of messages.
func traces(ins []In) iter.Seq2[string, schemas.Trace] {
	return func(yield func(string, schemas.Trace) bool) {
		for i := range ins {
			if !yield(ins[i].ID, ins[i].Trace) {
				return
			}
		}
	}
}

// trace tells of a batch that a stage or a sink has handled.
func (f *Follower) trace(stage string, b *Batch, began time.Time, ins []In, follows []Record) {
	Trace(f.Tracer, Traced{
		Stage: stage, Topic: b.Topic, Partition: b.Partition, Records: len(b.Records), Began: began,
	}, traces(ins), follows)
}
