package simulation_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// check holds the world, at rest, against what must always be.
func (w *world) check() {
	w.audit()
	w.replay()
	w.contradictions()
	w.rebuild()
}

// states are both books' as the audit reads them.
type states struct{ w *world }

// State implements audit.State.
func (s states) State(ctx context.Context, name string, shard int) (
	at int64, digest string, tables map[string]map[string]string, err error,
) {
	for _, b := range books() {
		if b.Name() == name {
			state, err := s.w.stores[b].State(ctx, shard)
			return state.At, state.Digest, state.Tables, err
		}
	}
	return 0, "", nil, fmt.Errorf("there is no book %s", name)
}

// audit checks the invariants of the whole system.
func (w *world) audit() {
	report, err := audit.Run(w.ctx, audit.Config{
		Log: port{w}, State: states{w}, Partitions: shards, AtRest: true, Attempts: 2, Pause: time.Nanosecond,
	})
	if err != nil {
		w.violate("the audit fails: %v", err)
	}
	for _, v := range report.Violations {
		w.violate("%s", v)
	}
}

// replay follows every input of every pure stage once more, with a stage that has seen nothing else: what follows must
// be on the topics, byte for byte, and nothing else may be.
func (w *world) replay() {
	want := map[string]string{}
	for _, stage := range w.stages(port{w}) {
		for _, topic := range stage.Reads {
			for partition := range w.broker.topics[topic] {
				w.replayPartition(stage, topic, partition, want)
			}
		}
	}
	got := map[string]bool{}
	for _, topic := range slices.Sorted(maps.Keys(w.broker.topics)) {
		for _, log := range w.broker.topics[topic] {
			for _, r := range log {
				if text := content(r); !isJournal(topic) && strings.Contains(text, "/aval/") && !got[text] {
					got[text] = true
					if want[text] == "" && topic != schemas.TopicDeadLetters {
						w.violate("%s/%d/%d follows from nothing: %.200q", topic, r.Partition, r.Offset, text)
					}
				}
			}
		}
	}
	for _, text := range slices.Sorted(maps.Keys(want)) {
		if !got[text] {
			w.violate("what follows from %s is missing: %.200q", want[text], text)
		}
	}
}

// replayPartition notes what follows from a partition, and from what.
func (w *world) replayPartition(stage pipeline.Stage, topic string, partition int, want map[string]string) {
	records := w.broker.topics[topic][partition]
	if isJournal(topic) {
		var journal pipeline.Journal
		var counted []pipeline.Record
		for _, e := range journal.Read(records) {
			counted = append(counted, e.Records...)
		}
		records = counted
	}
	for _, r := range records {
		in, err := pipeline.Decode(r)
		if err == nil && !isJournal(topic) {
			err = pipeline.CheckKey(in, shards)
		}
		follows := []pipeline.Record{}
		if err != nil {
			if stage.Concerns != nil && !stage.Concerns(r) {
				continue
			}
			follows = append(follows, pipeline.DeadLetter(stage.Name, r, err.Error()))
		} else if follows, err = pipeline.Follows(stage, in); err != nil {
			w.violate("%s cannot follow %s/%d/%d: %v", stage.Name, topic, partition, r.Offset, err)
		}
		for _, f := range follows {
			want[content(f)] = fmt.Sprintf("%s/%d/%d", topic, partition, r.Offset)
		}
	}
}

// content is what a record says, byte for byte.
func content(r pipeline.Record) string {
	var b strings.Builder
	b.WriteString(r.Topic + "\n" + string(r.Key) + "\n")
	for _, h := range r.Headers {
		b.WriteString(h.Key + "=" + string(h.Value) + "\n")
	}
	b.Write(r.Value)
	return b.String()
}

// contradictions checks what each party was told in the end: of one content of an invitation, one thing.
func (w *world) contradictions() {
	told := map[string]string{}
	for partition := range shards {
		for _, r := range w.broker.topics[schemas.TopicNotices][partition] {
			in, err := pipeline.Decode(r)
			n, ok := in.Body.(*schemas.Notice)
			if err != nil || !ok {
				w.violate("the notice at %d/%d cannot be read: %v", partition, r.Offset, err)
				continue
			}
			subject := n.GetSubject()
			if subject != schemas.Subject_SUBJECT_ISSUED && subject != schemas.Subject_SUBJECT_REFUSED ||
				n.GetReason() == schemas.Reason_REASON_CONFLICT {
				continue
			}
			about := fmt.Sprintf("%s %s %s %x", n.GetRecipient().GetRole(), n.GetRecipient().GetId(),
				n.GetInvitationId(), n.GetContentDigest())
			what := subject.String() + " " + n.GetReason().Word() + " " + n.GetCertificateId()
			if before, ok := told[about]; ok && before != what {
				w.violate("%s was told %s, and then %s", about, before, what)
			}
			told[about] = what
		}
	}
}

// rebuild lets an empty Redis be recovered from the journals: it must hold what it held before.
func (w *world) rebuild() {
	held := map[string]book.State{}
	each := func(visit func(key string, b book.Book, shard int)) {
		for _, b := range books() {
			for shard := range shards {
				visit(fmt.Sprintf("%s/%d", b.Name(), shard), b, shard)
			}
		}
	}
	read := func(key string, b book.Book, shard int) book.State {
		state, err := w.stores[b].State(w.ctx, shard)
		if err != nil {
			w.violate("read %s: %v", key, err)
		}
		maps.DeleteFunc(state.Tables, func(_ string, rows map[string]string) bool { return len(rows) == 0 })
		return state
	}
	each(func(key string, b book.Book, shard int) { held[key] = read(key, b, shard) })
	w.redis.keys = image{}
	each(func(key string, b book.Book, shard int) {
		if _, err := w.runner(b, "rebuild").Resume(w.ctx, b.Commands(), shard, pipeline.Mark{Offset: -1}); err != nil {
			w.violate("rebuild %s: %v", key, err)
		}
		was, is := held[key], read(key, b, shard)
		if was.At != is.At || was.Digest != is.Digest ||
			!maps.EqualFunc(was.Tables, is.Tables, maps.Equal[map[string]string]) {
			w.violate("%s held %v, rebuilt it is %v", key, was, is)
		}
	})
}
