package audit

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// fold is what a book's journal means, as far as it was read.
type fold interface {
	// item takes the next item of the journal.
	item(in pipeline.In, d *schemas.Decision)
	// compare takes what Redis holds at the position up to which the journal was folded, and returns the
	// accounts.
	compare(tables map[string]map[string]string) map[string]Account
}

// shard is one shard of a book: its journal, folded by its own meaning.
type shard struct {
	book     string
	topic    string // the journal
	number   int
	fold     fold
	outcomes *outcomes
	repeats  repeats
	search   func(pipeline.Record) // looks for what must be nowhere
	violate  func(Violation)

	journal pipeline.Journal
	waiting []pipeline.Entry // read, and not folded yet
	at      int64            // folded up to
	digest  string           // recomputed
	epoch   int64
	last    int64 // the last command that was answered
}

// meet folds the journal up to where Redis stands, compares there, and folds the rest. Redis may be one batch
// ahead, and an owner that has just taken over may be bringing it up to the journal: then the audit looks
// again.
func (s *shard) meet(ctx context.Context, c Config) (accounts map[string]Account, unchecked, err error) {
	var at int64
	for attempt := range c.Attempts {
		if attempt > 0 {
			if err := pipeline.Pause(ctx, c.Pause); err != nil {
				return nil, nil, err
			}
		}
		var met bool
		if met, at, accounts, err = s.look(ctx, c); err != nil {
			return nil, nil, err
		}
		if met {
			return accounts, nil, s.advance(ctx, c.Log)
		}
	}
	what := fmt.Sprintf("stands at command %d, the journal at %d, and they do not meet", at, s.at)
	switch {
	case at == s.at:
		what = fmt.Sprintf("has another history than the journal up to command %d", at)
		s.violate(Violation{"I-16", s.number, s.redis(""), what})
	case c.AtRest:
		s.violate(Violation{"I-16", s.number, s.redis(""), what})
	default:
		unchecked = fmt.Errorf("%s/%d could not be checked: Redis %s", s.book, s.number, what)
	}
	return nil, unchecked, s.advance(ctx, c.Log)
}

// look folds what there is, then reads Redis, and compares the two where they meet.
func (s *shard) look(ctx context.Context, c Config) (
	met bool, at int64, accounts map[string]Account, err error,
) {
	if err := s.advance(ctx, c.Log); err != nil {
		return false, 0, nil, err
	}
	at, digest, tables, err := c.State.State(ctx, s.book, s.number)
	if err != nil {
		return false, 0, nil, fmt.Errorf("read state of %s/%d: %w", s.book, s.number, err)
	}
	met, err = s.reach(ctx, c, at)
	if err != nil || !met || digest != s.digest {
		return false, at, nil, err
	}
	s.searchTables(tables, c.Canaries)
	return true, at, s.fold.compare(tables), nil
}

// reach folds up to the position where Redis stood, as far as that is written; it looks a few times.
func (s *shard) reach(ctx context.Context, c Config, at int64) (bool, error) {
	const looks = 3
	for look := range looks {
		if look > 0 {
			if err := pipeline.Pause(ctx, c.Pause); err != nil {
				return false, err
			}
		}
		if err := s.read(ctx, c.Log, at); err != nil {
			return false, err
		}
		if s.at >= at || len(s.waiting) > 0 {
			break
		}
	}
	return s.at == at, nil
}

const toTheEnd = math.MaxInt64

// advance reads and folds all that the journal has.
func (s *shard) advance(ctx context.Context, log Log) error {
	s.foldTo(toTheEnd)
	return s.read(ctx, log, toTheEnd)
}

// read reads all that the journal has, and folds the entries that end at or before a position.
func (s *shard) read(ctx context.Context, log Log, at int64) error {
	first, end, err := log.Bounds(ctx, s.topic, s.number)
	if err != nil {
		return fmt.Errorf("read bounds of %s/%d: %w", s.topic, s.number, err)
	}
	if first > s.journal.Next {
		return fmt.Errorf("%s/%d could not be checked: it begins at offset %d, and %d is needed: a journal "+
			"is kept for ever", s.topic, s.number, first, s.journal.Next)
	}
	if end <= s.journal.Next {
		return nil
	}
	err = log.Read(ctx, s.topic, s.number, s.journal.Next, end, func(records []pipeline.Record) error {
		for _, r := range records {
			s.search(r)
		}
		s.waiting = append(s.waiting, s.journal.Read(records)...)
		s.foldTo(at)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", s.topic, s.number, err)
	}
	return nil
}

func (s *shard) foldTo(at int64) {
	for len(s.waiting) > 0 && s.waiting[0].To <= at {
		s.entry(s.waiting[0])
		s.waiting = s.waiting[1:]
	}
}

// searchTables looks for canaries in what Redis holds (I-14).
func (s *shard) searchTables(tables map[string]map[string]string, canaries []string) {
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		for field, value := range tables[table] {
			for _, canary := range canaries {
				if strings.Contains(field, canary) || strings.Contains(value, canary) {
					s.violate(Violation{"I-14", s.number, s.redis(table), "holds a canary"})
				}
			}
		}
	}
}

// entry folds one entry, and checks that it continues the one before (I-22) with the digest that it names.
func (s *shard) entry(e pipeline.Entry) {
	where := fmt.Sprintf("%s/%d/%d", s.topic, s.number, e.Offset)
	wrong := func(invariant, format string, args ...any) {
		s.violate(Violation{invariant, s.number, where, fmt.Sprintf(format, args...)})
	}
	if e.From != s.at {
		wrong("I-22", "answers from command %d on, the entry before up to %d", e.From, s.at)
	}
	if e.Epoch < s.epoch {
		wrong("I-22", "is of epoch %d, after one of %d", e.Epoch, s.epoch)
	}
	items, err := e.Items()
	if err != nil {
		wrong("I-16", "cannot be read: %v", err)
	}
	decisions := make([]*schemas.Decision, 0, len(items))
	for _, in := range items {
		item, ok := in.Body.(pipeline.Item)
		if !ok { // Items has checked it
			continue
		}
		d := item.GetDecision()
		decisions = append(decisions, d)
		if d.GetOffset() <= s.last || d.GetOffset() < e.From || d.GetOffset() >= e.To {
			wrong("I-22", "answers command %d after %d, in an entry of %d to %d", d.GetOffset(), s.last,
				e.From, e.To)
		}
		s.last = max(s.last, d.GetOffset())
		if fault := s.repeats.fault(in, d); fault != "" {
			s.violate(Violation{"I-13", s.number, fmt.Sprintf("%s/%d/%d", in.Topic, in.Partition, in.Offset), fault})
		}
		s.outcomes.answer(in, d)
		s.fold.item(in, d)
	}
	d := pipeline.HistoryDigest(s.digest, e.From, e.To, pipeline.Answer(decisions))
	if err == nil && d != e.Digest {
		wrong("I-16", "names the digest %s, its items make %s", e.Digest, d)
	}
	s.at, s.digest, s.epoch = e.To, e.Digest, e.Epoch
}

func (s *shard) redis(table string) string { return redisPlace(s.book, s.number, table) }

func redisPlace(book string, shard int, table string) string {
	place := fmt.Sprintf("Redis %s/%d", book, shard)
	if table != "" {
		place += " " + table
	}
	return place
}
