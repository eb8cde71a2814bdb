package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline/replay"
)

// offsetBounds bound what is read of topics.
type offsetBounds struct{ from, to offsetBound }

// offsetBound is one of them: an offset, or a time.
type offsetBound struct {
	flag, text string // empty: there is none
	offset     int64
	time       time.Time // zero: it is an offset
}

func parseOffsetBounds(from, to string) (b offsetBounds, err error) {
	if b.from, err = parseOffsetBound("--from", from); err != nil {
		return b, err
	}
	if b.to, err = parseOffsetBound("--to", to); err != nil {
		return b, err
	}
	f, t := b.from, b.to
	empty := f.time.IsZero() && t.time.IsZero() && f.offset >= t.offset ||
		!f.time.IsZero() && !t.time.IsZero() && !f.time.Before(t.time)
	if f.text != "" && t.text != "" && empty {
		return b, usage("--from %s and --to %s: nothing lies between them", f.text, t.text)
	}
	return b, nil
}

func parseOffsetBound(flag, text string) (b offsetBound, err error) {
	b = offsetBound{flag: flag, text: text}
	if text == "" {
		return b, nil
	}
	if b.offset, err = strconv.ParseInt(text, 10, 64); err == nil {
		if b.offset < 0 {
			return b, usage("%s %s: an offset is not below 0", flag, text)
		}
		return b, nil
	}
	if b.time, err = sinceTime(text, time.Now()); err != nil {
		return b, usage("%s %q, must be an offset, a time such as 2026-01-31T10:00:00Z, or how long ago: 90m, 24h, 7d",
			flag, text)
	}
	return b, nil
}

// checkTempDir refuses a folder in which nothing can be written.
func checkTempDir(dir string) error {
	if dir == "" {
		return nil
	}
	if info, err := os.Stat(dir); err != nil {
		return usage("--temp-dir: %w", err)
	} else if !info.IsDir() {
		return usage("--temp-dir %s is no folder", dir)
	}
	return nil
}

// kept is what the partitions of a topic keep, and what of it lies between the bounds.
type kept struct {
	topic  string
	keeps  []replay.Range
	ranges []replay.Range
}

// between finds what lies between the bounds, of each of the topics. What they do not keep is refused.
func (s *system) between(ctx context.Context, b offsetBounds, topics []string) (all []kept, err error) {
	for _, topic := range topics {
		k := kept{topic: topic}
		for p := range s.partitions {
			if err := s.addKept(ctx, &k, b, p); err != nil {
				return nil, err
			}
		}
		all = append(all, k)
	}
	for _, bound := range []offsetBound{b.from, b.to} {
		if bound.text != "" && outside(bound, all) {
			return nil, usage("%s %s lies outside of what is kept: %s", bound.flag, bound.text, s.tellKept(ctx, all))
		}
	}
	return all, nil
}

// addKept adds a partition.
func (s *system) addKept(ctx context.Context, k *kept, b offsetBounds, partition int) error {
	first, end, err := s.kafka.Bounds(ctx, k.topic, partition)
	if err != nil {
		return err
	}
	from, err := s.at(ctx, b.from, k.topic, partition, first)
	if err != nil {
		return err
	}
	to, err := s.at(ctx, b.to, k.topic, partition, end)
	if err != nil {
		return err
	}
	k.keeps = append(k.keeps, replay.Range{From: first, To: end})
	k.ranges = append(k.ranges, replay.Range{From: min(from, end), To: min(to, end)})
	if from < first || !b.from.time.IsZero() && first > 0 && from == first {
		return s.dropped(ctx, b.from, k.topic, partition, first)
	}
	return nil
}

// at is the offset of a bound in a partition.
func (s *system) at(ctx context.Context, b offsetBound, topic string, partition int, none int64) (int64, error) {
	switch {
	case b.text == "":
		return none, nil
	case b.time.IsZero():
		return b.offset, nil
	}
	from, _, err := s.kafka.Since(ctx, topic, partition, b.time)
	return from, err
}

// dropped refuses a beginning before the first record that a partition keeps, if others were there.
func (s *system) dropped(ctx context.Context, b offsetBound, topic string, partition int, first int64) error {
	written, err := s.kafka.Written(ctx, topic, partition, first)
	if err != nil {
		return err
	}
	if !b.time.IsZero() && !written.After(b.time) {
		return nil
	}
	return usage("%s %s: %s/%d keeps records from offset %d on, taken in at %s", b.flag, b.text, topic, partition,
		first, written.UTC().Format(time.RFC3339))
}

// outside says whether nothing that is kept lies on the bound's side.
func outside(b offsetBound, all []kept) bool {
	some, most := false, int64(0)
	for _, k := range all {
		for p, has := range k.keeps {
			some, most = some || has.To > has.From, max(most, has.To)
			if b.reaches(has, k.ranges[p]) {
				return false
			}
		}
	}
	return some || b.time.IsZero() && b.offset > most
}

// reaches says whether something of what a partition keeps lies on the bound's side.
func (b offsetBound) reaches(has, found replay.Range) bool {
	switch {
	case b.flag == "--from":
		return found.From < has.To
	case b.time.IsZero():
		return b.offset > has.From && b.offset <= has.To
	}
	return found.To > has.From
}

// tellKept says what is kept, for people.
func (s *system) tellKept(ctx context.Context, all []kept) string {
	var parts []string
	for _, k := range all {
		for p, has := range k.keeps {
			parts = append(parts, s.tellKeptOf(ctx, k.topic, p, has))
		}
	}
	return strings.Join(parts, ", ")
}

func (s *system) tellKeptOf(ctx context.Context, topic string, partition int, has replay.Range) string {
	if has.To <= has.From {
		return fmt.Sprintf("%s/%d has none", topic, partition)
	}
	text := fmt.Sprintf("%s/%d has %d to %d", topic, partition, has.From, has.To-1)
	first, err := s.kafka.Written(ctx, topic, partition, has.From)
	last, wrong := s.kafka.Written(ctx, topic, partition, has.To-1)
	if err != nil || wrong != nil {
		return text
	}
	return text + fmt.Sprintf(" (%s to %s)", first.UTC().Format(time.RFC3339), last.UTC().Format(time.RFC3339))
}
