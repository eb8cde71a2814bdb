package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// outcomes holds a shard's commands against its answers: each command has exactly one (I-12).
type outcomes struct {
	topic   string // of the commands
	number  int
	facts   *facts
	violate func(Violation)

	answers  []answer  // not matched yet, in order
	commands []command // not matched yet, in order
}

// answer is an item of the journal, command a record of the command topic, in short.
type answer struct {
	offset     int64
	unreadable bool
	sum        uint64 // of the command that it tells
}

type command struct {
	offset int64
	read   uint64 // of its identifier and body; 0 where nobody can read it
	raw    uint64 // of its key and value
}

func (o *outcomes) answer(in pipeline.In, d *schemas.Decision) {
	a := answer{offset: d.GetOffset(), unreadable: d.GetOutcome() == schemas.Outcome_OUTCOME_UNREADABLE}
	switch item := in.Body.(type) {
	case *schemas.Entry:
		a.sum = sum([]byte(item.GetId()), marshal(item.GetMovement()))
		if u := item.GetUnreadable(); u != nil {
			a.sum = sum(u.GetKey(), u.GetValue())
		}
	case *schemas.PreIssue:
		a.sum = sum([]byte(item.GetId()), marshal(item.GetRequest()))
		if u := item.GetUnreadable(); u != nil {
			a.sum = sum(u.GetKey(), u.GetValue())
		}
	}
	o.answers = append(o.answers, a)
}

func (o *outcomes) command(r pipeline.Record, in pipeline.In, err error) {
	c := command{offset: r.Offset, raw: sum(r.Key, r.Value)}
	if err == nil {
		c.read = sum([]byte(in.ID), marshal(in.Body))
		if movement, ok := in.Body.(*schemas.Movement); ok {
			o.facts.vouch(movement)
		}
	}
	o.commands = append(o.commands, c)
}

// match holds the commands that are kept, from the offset first on, against the answers up to an offset. What
// was asked after that is not answered yet; at rest everything is.
func (o *outcomes) match(first, to int64, atRest bool) {
	for len(o.commands) > 0 && (atRest || o.commands[0].offset < to) {
		c := o.commands[0]
		o.commands = o.commands[1:]
		o.strangers(first, c.offset)
		if len(o.answers) == 0 || o.answers[0].offset != c.offset {
			o.wrong(c.offset, "the command has no answer")
			continue
		}
		if !o.answers[0].tells(c) {
			o.wrong(c.offset, "the answer tells another command than this one")
		}
		o.answers = o.answers[1:]
	}
	o.strangers(first, math.MaxInt64)
}

// strangers takes the answers below an offset: those to commands that are kept should have been matched.
func (o *outcomes) strangers(first, below int64) {
	for len(o.answers) > 0 && o.answers[0].offset < below {
		if o.answers[0].offset >= first {
			o.wrong(o.answers[0].offset, "the journal answers a command that is not there, or twice")
		}
		o.answers = o.answers[1:]
	}
}

func (o *outcomes) wrong(offset int64, what string) {
	o.violate(Violation{"I-12", o.number, fmt.Sprintf("%s/%d/%d", o.topic, o.number, offset), what})
}

// tells says whether the answer repeats the command, or of one that nobody can read its bytes.
func (a answer) tells(c command) bool {
	if a.unreadable {
		return a.sum == c.raw
	}
	return a.sum == c.read
}

func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil
	}
	return b
}

func sum(parts ...[]byte) uint64 {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}
