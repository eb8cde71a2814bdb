package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// Bounds of a walk back through a topic.
const (
	walkFirst = 256  // records that are read of a partition at first
	walkMax   = 8192 // and at a time, where few of them are wanted
)

// timedLog is a log that knows when it took its records in.
type timedLog interface {
	pipeline.Log
	// Since returns the offset of the first record of a time or later, and the one after the last record.
	Since(ctx context.Context, topic string, partition int, t time.Time) (from, end int64, err error)
}

// walk goes through a topic from its newest record back. Of each partition it holds some of what is wanted: the newest
// is the newest of all.
type walk[T any] struct {
	log   pipeline.Log
	topic string
	// wants returns what is wanted of a chunk of one partition, in its order.
	wants func(ctx context.Context, partition int, records []pipeline.Record) ([]found[T], error)
	parts []*walkPart[T]
	read  func(records int) // is told how many records were read; it may be nil
}

// found is something that was looked for, and where it stands.
type found[T any] struct {
	item   T
	time   time.Time
	offset int64
}

// walkPart is a partition that is walked through.
type walkPart[T any] struct {
	number int
	low    int64      // the walk ends here
	next   int64      // what lies before it was not read
	given  int64      // what lies from here on was given
	held   []found[T] // in the order of the log: the last one is given next
	chunk  int64
}

// begin begins a walk that goes back to a time, at the end or where a page ended.
func (w *walk[T]) begin(ctx context.Context, log timedLog, partitions int, since time.Time, page string) error {
	w.log = log
	pages, err := parsePage(page, partitions)
	if err != nil {
		return err
	}
	for number := range partitions {
		low, end, err := log.Since(ctx, w.topic, number, since)
		if err != nil {
			return err
		}
		first, _, err := log.Bounds(ctx, w.topic, number)
		if err != nil {
			return err
		}
		if page != "" {
			end = min(end, pages[number])
		}
		low = max(low, first)
		w.parts = append(w.parts, &walkPart[T]{
			number: number, low: min(low, end), next: end, given: end, chunk: walkFirst,
		})
	}
	return nil
}

// newest returns the newest one that was not given yet; it says no where there is none.
func (w *walk[T]) newest(ctx context.Context) (item T, ok bool, err error) {
	var best *walkPart[T]
	for _, p := range w.parts {
		if err := w.fill(ctx, p); err != nil {
			return item, false, err
		}
		if len(p.held) > 0 && (best == nil || p.last().time.After(best.last().time)) {
			best = p
		}
	}
	if best == nil {
		return item, false, nil
	}
	last := best.last()
	best.held, best.given = best.held[:len(best.held)-1], last.offset
	return last.item, true, nil
}

func (p *walkPart[T]) last() found[T] { return p.held[len(p.held)-1] }

// fill reads on until the partition holds something, or is at its end.
func (w *walk[T]) fill(ctx context.Context, p *walkPart[T]) error {
	for len(p.held) == 0 && p.next > p.low {
		from := max(p.low, p.next-p.chunk)
		var records []pipeline.Record
		err := w.log.Read(ctx, w.topic, p.number, from, p.next, func(more []pipeline.Record) error {
			records = append(records, more...)
			return nil
		})
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", w.topic, p.number, err)
		}
		if p.held, err = w.wants(ctx, p.number, records); err != nil {
			return err
		}
		if w.read != nil {
			w.read(len(records))
		}
		switch extra := len(p.held) - walkFirst; {
		case len(p.held) == 0:
			p.chunk, p.given = min(4*(p.next-from), walkMax), from
		case extra > 0: // they are read again when they are wanted, rather than kept until then
			p.held = slices.Clone(p.held[extra:])
			from = p.held[0].offset
			fallthrough
		default:
			p.chunk = walkFirst
		}
		p.next = from
	}
	return nil
}

// page is where to go on, for whoever wants more later; empty where nothing is left.
func (w *walk[T]) page() string {
	var offsets []string
	more := false
	for _, p := range w.parts {
		offsets = append(offsets, strconv.FormatInt(p.given, 36))
		more = more || p.given > p.low && (len(p.held) > 0 || p.next > p.low)
	}
	if !more {
		return ""
	}
	return strings.Join(offsets, ".")
}

func parsePage(text string, partitions int) ([]int64, error) {
	if text == "" {
		return nil, nil
	}
	words := strings.Split(text, ".")
	if len(words) != partitions {
		return nil, usage("--page %s is no page of this list", cell(text))
	}
	offsets := make([]int64, len(words))
	for i, word := range words {
		offset, err := strconv.ParseInt(word, 36, 64)
		if err != nil || offset < 0 {
			return nil, usage("--page %s is no page of this list", cell(text))
		}
		offsets[i] = offset
	}
	return offsets, nil
}
