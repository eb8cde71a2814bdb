package timer

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// shard is what a timer keeps in mind of a shard of the pre-issues: which are open that have an end, and where they
// were offered. Their terms stand there.
//
// It keeps openMax at most: where there are more, those that end last are forgotten, and found again in the journal
// before the first of them is due.
type shard struct {
	topic   string
	number  int
	openMax int

	since    time.Time // when the timer saw that it had the shard
	ticked   time.Time // the slot of the last tick that was written
	journal  pipeline.Journal
	now      int64               // log time, in milliseconds; 0 before the first tick
	open     map[string]*waiting // by invitation
	starts   []*start            // in the journal's order; the first one has something open
	recalled int64               // the log time at which what was forgotten was read again last
	beyond   int64               // of what was forgotten nothing ends before; never where nothing was
}

// waiting is an open pre-issue.
type waiting struct {
	by     int64 // in milliseconds
	offset int64 // of the offer, in the journal
	from   *start
}

// start is a position to read the journal from, and how many of the pre-issues that are open were offered between it
// and the next one, those that were forgotten among them.
type start struct {
	position pipeline.Position
	open     int
	pinned   bool // something was forgotten: it must be read again from here
}

const never = math.MaxInt64

func newShard(topic string, number, openMax int) *shard {
	return &shard{topic: topic, number: number, openMax: openMax, open: map[string]*waiting{}, beyond: never}
}

// readTo folds the journal from where the shard stands up to an offset.
func (s *shard) readTo(ctx context.Context, log pipeline.Log, end int64) error {
	if end <= s.journal.Next {
		return nil
	}
	err := log.Read(ctx, s.topic, s.number, s.journal.Next, end, func(records []pipeline.Record) error {
		s.fold(records)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", s.topic, s.number, err)
	}
	return nil
}

// fold takes the journal's next records.
func (s *shard) fold(records []pipeline.Record) {
	at, ok := pipeline.ParsePosition(s.journal.Mark().Metadata)
	if !ok {
		at = pipeline.Position{Epoch: -1}
	}
	from := &start{position: at}
	for _, e := range s.journal.Read(records) {
		for _, r := range e.Records {
			s.item(r, from)
		}
	}
	if from.open > 0 || from.pinned {
		s.starts = append(s.starts, from)
	}
	if len(s.open) > s.openMax {
		s.forget()
	}
	s.trim()
}

// item takes one item. Most are no business of the timer's, which a glance tells.
func (s *shard) item(r pipeline.Record, from *start) {
	g, ok := schemas.GlanceItem(r.Value)
	if !ok || g.Outcome != schemas.Outcome_OUTCOME_DONE {
		return // the book writes what can be glanced at, or what nobody could read
	}
	switch g.Verb { //nolint:exhaustive // all other verbs decide
	case schemas.VerbOffer:
		if by, ok := schemas.GlanceAcceptBy(r.Value); ok {
			s.offered(string(r.Key), &waiting{by: millisUp(by), offset: r.Offset, from: from})
		}
	case schemas.VerbTick:
		if in, err := pipeline.Decode(r); err == nil {
			s.now = max(s.now, in.Time.UnixMilli())
		}
	default:
		s.decided(string(r.Key))
	}
}

func (s *shard) offered(invitation string, w *waiting) {
	if w.by >= s.beyond {
		w.from.pinned = true
		return
	}
	s.decided(invitation) // it was forgotten by the book, and is a new one
	w.from.open++
	s.open[invitation] = w
}

func (s *shard) decided(invitation string) {
	if w := s.open[invitation]; w != nil {
		w.from.open--
		delete(s.open, invitation)
	}
}

// forget forgets those that end last: one in two.
func (s *shard) forget() {
	invitations := slices.SortedFunc(maps.Keys(s.open), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.open[a].by, s.open[b].by), cmp.Compare(s.open[a].offset, s.open[b].offset))
	})
	last := invitations[len(invitations)/2:]
	s.beyond = s.open[last[0]].by
	for _, invitation := range last {
		s.open[invitation].from.pinned = true
		s.decided(invitation)
	}
}

// trim drops the positions from which nothing is needed any more.
func (s *shard) trim() {
	s.starts = slices.DeleteFunc(s.starts, func(p *start) bool { return p.open == 0 && !p.pinned })
}

// mark is what to commit: how far the shard was read, and from where to read again.
func (s *shard) mark() pipeline.Mark {
	m := s.journal.Mark()
	if len(s.starts) > 0 {
		m.Metadata = s.starts[0].position.String()
	}
	return m
}

// due are the pre-issues whose time is over, in the order in which they were offered.
func (s *shard) due() (invitations []string) {
	for invitation, w := range s.open {
		if w.by <= s.now {
			invitations = append(invitations, invitation)
		}
	}
	slices.SortFunc(invitations, func(a, b string) int { return cmp.Compare(s.open[a].offset, s.open[b].offset) })
	return invitations
}

// recall reads again what was forgotten, if some of it is due: once a tick, since what lapses takes its time to be
// decided, and is open in the journal until then.
func (s *shard) recall(ctx context.Context, log pipeline.Log) error {
	if s.beyond > s.now || s.recalled == s.now {
		return nil
	}
	again := newShard(s.topic, s.number, s.openMax)
	again.journal.Position = s.starts[0].position
	if err := again.readTo(ctx, log, s.journal.Next); err != nil {
		return err
	}
	s.open, s.starts, s.beyond, s.recalled = again.open, again.starts, again.beyond, s.now
	return nil
}

// millisUp is a time in milliseconds, no earlier than it is.
func millisUp(t time.Time) int64 {
	return t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
}
