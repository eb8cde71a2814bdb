package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/schemas"
)

// letters are the dead letters of a namespace.
type letters struct {
	kafka      *kafka.Client
	namespace  string
	partitions int
}

// deadLetter is one, and the last act on it.
type deadLetter struct {
	name      string
	letter    *schemas.DeadLetter
	partition int // where the letter stands
	offset    int64
	act       *schemas.Act // nil where nobody has acted on it
	acted     time.Time
}

// each visits every letter once, partition by partition.
func (l *letters) each(ctx context.Context, visit func(deadLetter) error) error {
	for p := range l.partitions {
		if err := l.in(ctx, p, visit); err != nil {
			return err
		}
	}
	return nil
}

// in visits the letters of a partition. Acts on them stand in the partition of the same number.
func (l *letters) in(ctx context.Context, partition int, visit func(deadLetter) error) error {
	acts := map[string]pipeline.In{}
	err := l.read(ctx, schemas.TopicAudits, partition, func(in pipeline.In) error {
		if act, ok := in.Body.(*schemas.Act); ok {
			acts[act.GetSubject()] = in
		}
		return nil
	})
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	return l.read(ctx, schemas.TopicDeadLetters, partition, func(in pipeline.In) error {
		letter, ok := in.Body.(*schemas.DeadLetter)
		if !ok || seen[in.Key] {
			return nil
		}
		seen[in.Key] = true
		x := deadLetter{name: schemas.KeyOf(letter), letter: letter, partition: in.Partition, offset: in.Offset}
		if by, acted := acts[x.name]; acted {
			x.act, _ = by.Body.(*schemas.Act)
			x.acted = by.Time
		}
		return visit(x)
	})
}

func (l *letters) read(ctx context.Context, topic string, partition int, visit func(pipeline.In) error) error {
	first, end, err := l.kafka.Bounds(ctx, topic, partition)
	if err != nil || first == end {
		return err
	}
	return l.kafka.Read(ctx, topic, partition, first, end, func(records []pipeline.Record) error {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if err != nil {
				continue // whoever wrote it was none of ours
			}
			if err := visit(in); err != nil {
				return err
			}
		}
		return nil
	})
}

// errFound says that what was looked for is found.
var errFound = errors.New("found")

// find finds a letter by its name.
func (l *letters) find(ctx context.Context, name string) (found deadLetter, err error) {
	if err := checkLetter(name); err != nil {
		return found, err
	}
	err = l.in(ctx, schemas.PartitionOf([]byte(name), l.partitions), func(x deadLetter) error {
		if x.name != name {
			return nil
		}
		found = x
		return errFound
	})
	if err == nil {
		return found, noLetter(name, l.namespace)
	}
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}

// letterView is a letter as it is printed: everything in it is safe to look at.
type letterView struct {
	Letter string    `json:"letter"`
	State  string    `json:"state"` // waiting, redriven, discarded
	Reason string    `json:"reason"`
	Time   string    `json:"time,omitempty"` // of the original, as it says
	Type   string    `json:"type,omitempty"`
	ID     string    `json:"id,omitempty"`
	Bytes  int       `json:"bytes"`
	Stands string    `json:"stands"` // partition/offset in dead-letters
	Act    *actShown `json:"act,omitempty"`

	// Of one that is shown alone.
	Key     string       `json:"key,omitempty"`
	Headers []headerView `json:"headers,omitempty"`
	Value   string       `json:"value,omitempty"`
	SHA256  string       `json:"sha256,omitempty"` // of the value
	Cut     bool         `json:"cut,omitempty"`    // not all of it is shown
}

type actShown struct {
	By   string `json:"by"`
	Time string `json:"time"`
	Note string `json:"note,omitempty"`
}

type headerView struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func letterOf(x deadLetter) letterView {
	original := x.letter.GetOriginal()
	v := letterView{
		Letter: x.name, State: "waiting", Reason: safe([]byte(original.GetReason()), bytesShown),
		Bytes: len(original.GetValue()), Stands: fmt.Sprintf("%d/%d", x.partition, x.offset),
	}
	for _, h := range original.GetHeaders() {
		switch text := safe(h.GetValue(), schemas.IDMax); h.GetKey() {
		case schemas.HeaderTime:
			v.Time = text
		case schemas.HeaderType:
			v.Type = text
		case schemas.HeaderID:
			v.ID = text
		}
	}
	if x.act != nil {
		v.State = actWord(x.act.GetKind())
		v.Act = &actShown{
			By: safe([]byte(x.act.GetBy()), bytesShown), Time: moment(x.acted),
			Note: safe([]byte(x.act.GetNote()), bytesShown),
		}
	}
	return v
}

func (l *letters) list(ctx context.Context, w io.Writer, format output, all bool) error {
	p := newPrinter(w, format, letterColumns()...)
	err := l.each(ctx, func(x deadLetter) error {
		if x.act != nil && !all {
			return nil
		}
		return p.print(letterOf(x))
	})
	return errors.Join(err, p.close())
}

func letterColumns() []column[letterView] {
	return []column[letterView]{
		{"letter", func(v letterView) string { return v.Letter }},
		{"state", func(v letterView) string { return v.State }},
		{"time", func(v letterView) string { return cmp.Or(v.Time, "-") }},
		{"type", func(v letterView) string { return cmp.Or(v.Type, "-") }},
		{"bytes", func(v letterView) string { return strconv.Itoa(v.Bytes) }},
		{"reason", func(v letterView) string { return v.Reason }},
	}
}

func (l *letters) show(ctx context.Context, w io.Writer, format output, name string, most int) error {
	x, err := l.find(ctx, name)
	if err != nil {
		return err
	}
	original := x.letter.GetOriginal()
	v := letterOf(x)
	v.Key, v.Value = safe(original.GetKey(), most), safe(original.GetValue(), most)
	v.SHA256 = fmt.Sprintf("%x", sha256.Sum256(original.GetValue()))
	v.Cut = len(original.GetKey()) > most || len(original.GetValue()) > most
	for _, h := range original.GetHeaders() {
		v.Headers = append(v.Headers, headerView{safe([]byte(h.GetKey()), most), safe(h.GetValue(), most)})
		v.Cut = v.Cut || len(h.GetValue()) > most
	}
	if format.String() != string(outputTable) {
		return printOne(w, format, v)
	}
	return v.tell(w)
}

// tell writes a letter in lines.
func (v letterView) tell(w io.Writer) error {
	lines := [][2]string{
		{"letter", v.Letter},
		{"state", v.State},
		{"reason", v.Reason},
		{"time", v.Time},
		{"type", v.Type},
		{"id", v.ID},
		{"stands", schemas.TopicDeadLetters + "/" + v.Stands},
		{"key", v.Key},
	}
	if v.Act != nil {
		lines = append(lines, [2]string{v.State, "by " + v.Act.By + " at " + v.Act.Time + " " + v.Act.Note})
	}
	for _, h := range v.Headers {
		lines = append(lines, [2]string{"header", h.Key + ": " + h.Value})
	}
	lines = append(lines, [2]string{"bytes", strconv.Itoa(v.Bytes)}, [2]string{"sha256", v.SHA256})
	lines = append(lines, [2]string{"value", v.Value})
	var b strings.Builder
	for _, line := range lines {
		if text := strings.TrimSpace(line[1]); text != "" {
			fmt.Fprintf(&b, "%-8s %s\n", line[0], text)
		}
	}
	if v.Cut {
		b.WriteString("not all is shown: --bytes\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// safe writes bytes as a text that harms no terminal and tells no card's number. Of long ones it writes a beginning.
func safe(b []byte, most int) string {
	cut := len(b) > most
	if cut { // no number is cut in two, and so shown
		b = []byte(audit.Masked(string(b)))[:most]
	}
	text := audit.Masked(string(b))
	var out strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n <= 1, !unicode.IsPrint(r):
			for _, c := range []byte(text[i : i+n]) {
				fmt.Fprintf(&out, `\x%02x`, c)
			}
		case r == '\\':
			out.WriteString(`\\`)
		default:
			out.WriteRune(r)
		}
		i += n
	}
	if cut {
		out.WriteString("…")
	}
	return out.String()
}
