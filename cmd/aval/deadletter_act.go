package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// act is what is done to dead letters.
type act struct {
	kind       schemas.ActKind
	all, again bool
	by, note   string
}

// userName is who is at work, as far as the system knows.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// actView is what was done to a letter, as it is printed.
type actView struct {
	Letter  string `json:"letter"`
	Outcome string `json:"outcome"` // redriven, discarded, unchanged, refused
	Words   string `json:"words"`
	By      string `json:"by"`
}

// act acts on the letters that are named, or on all on which nobody has.
func (l *letters) act(ctx context.Context, w io.Writer, format output, names []string, a act) error {
	chosen, err := l.choose(ctx, names, a.all)
	if err != nil {
		return err
	}
	p := newPrinter(w, format,
		column[actView]{"letter", func(v actView) string { return v.Letter }},
		column[actView]{"outcome", func(v actView) string { return v.Outcome }},
		column[actView]{"what", func(v actView) string { return v.Words }},
	)
	refused := 0
	for _, x := range chosen {
		view, err := l.actOn(ctx, x, a)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w; doing it again is harmless", x.name, err), p.close())
		}
		if view.Outcome == outcomeRefused {
			refused++
		}
		if err := p.print(view); err != nil {
			return err
		}
	}
	if err := p.close(); err != nil {
		return err
	}
	if refused > 0 {
		err := fmt.Errorf("%d of %d letters were not redriven", refused, len(chosen))
		return &codeError{code: exitInvalid, err: err}
	}
	return nil
}

// choose finds the letters that are named, or all on which nobody has acted.
func (l *letters) choose(ctx context.Context, names []string, all bool) (chosen []deadLetter, err error) {
	if err := checkLetters(names...); err != nil {
		return nil, err
	}
	if all {
		err := l.each(ctx, func(x deadLetter) error {
			if x.act == nil {
				chosen = append(chosen, x)
			}
			return nil
		})
		return chosen, err
	}
	for _, name := range names {
		x, err := l.find(ctx, name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, x)
	}
	return chosen, nil
}

// Outcomes of an act.
const (
	outcomeUnchanged = "unchanged"
	outcomeRefused   = "refused"
)

// actOn acts on one letter. The act is written after the deed: whoever is cut off in between does it again, and what
// is published twice is done once.
func (l *letters) actOn(ctx context.Context, x deadLetter, a act) (actView, error) {
	view := actView{Letter: x.name, By: a.by, Outcome: "discarded", Words: "it is no longer listed"}
	anew := a.again && a.kind == schemas.ActKind_ACT_KIND_REDRIVE
	if x.act != nil && !anew {
		view.Outcome = outcomeUnchanged
		view.Words = fmt.Sprintf("it was %s by %s at %s", actWord(x.act.GetKind()), x.act.GetBy(), moment(x.acted))
		return view, nil
	}
	if a.kind == schemas.ActKind_ACT_KIND_REDRIVE {
		record, why, err := l.original(ctx, x)
		if err != nil {
			return view, err
		}
		if why != "" {
			view.Outcome, view.Words = outcomeRefused, why
			return view, nil
		}
		if err := l.kafka.Publish(ctx, []pipeline.Record{record}); err != nil {
			return view, fmt.Errorf("publish it again: %w", err)
		}
		view.Outcome = "redriven"
		view.Words = "it was published again; if it still cannot be read it becomes a letter again"
	}
	record, err := pipeline.Encode(schemas.TopicAudits, schemas.Message{
		Attributes: schemas.Attributes{
			ID: schemas.DeriveID("act", a.kind.String(), x.name), Source: "/aval/deadletter", Time: time.Now().UTC(),
		},
		Body: &schemas.Act{Kind: a.kind, Subject: x.name, By: a.by, Note: a.note},
	})
	if err != nil {
		return view, err
	}
	if err := l.kafka.Publish(ctx, []pipeline.Record{record}); err != nil {
		return view, fmt.Errorf("write the act: %w", err)
	}
	return view, nil
}

func actWord(k schemas.ActKind) string {
	if k == schemas.ActKind_ACT_KIND_REDRIVE {
		return "redriven"
	}
	return "discarded"
}

// original is the record to publish again, or why it cannot be: where it stood, while that is kept; else as the letter
// has it.
func (l *letters) original(ctx context.Context, x deadLetter) (record pipeline.Record, why string, err error) {
	topic, known := schemas.TopicOf(x.letter.GetTopic())
	partition, offset := int(x.letter.GetPartition()), x.letter.GetOffset()
	switch {
	case !known:
		return record, "there is no topic " + x.letter.GetTopic(), nil
	case topic.Kind == schemas.KindJournal:
		return record, "it stands in a journal, where its owner alone writes: mend the stage, have it read anew", nil
	}
	record, found, err := l.kept(ctx, topic.Name, partition, offset)
	if err != nil {
		return record, "", err
	}
	original := x.letter.GetOriginal()
	if !found {
		if strings.Contains(original.GetReason(), " cut, ") {
			return record, "the log keeps it no longer, and the letter has a part of it alone", nil
		}
		record = pipeline.Record{Topic: topic.Name, Key: original.GetKey(), Value: original.GetValue()}
		for _, h := range original.GetHeaders() {
			record.Headers = append(record.Headers, pipeline.Header{Key: h.GetKey(), Value: h.GetValue()})
		}
	}
	if record.Partition = -1; len(record.Key) == 0 || !topic.Keyed() {
		record.Partition = partition
	}
	return record, "", nil
}

// kept is the record of a place, if the log has it.
func (l *letters) kept(
	ctx context.Context, topic string, partition int, offset int64,
) (record pipeline.Record, found bool, err error) {
	first, end, err := l.kafka.Bounds(ctx, topic, partition)
	if err != nil || offset < first || offset >= end {
		return record, false, err
	}
	err = l.kafka.Read(ctx, topic, partition, offset, offset+1, func(records []pipeline.Record) error {
		for _, r := range records {
			if r.Offset == offset {
				record, found = r, true
			}
		}
		return nil
	})
	return record, found, err
}
