package schemas

import (
	"bytes"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Glance is what a journal's item is about: enough to know whether it is one's business, for a hundredth of
// what reading it costs.
type Glance struct {
	Outcome Outcome
	// Verb is the number of the command's field that says what it asks for: one of the constants, or another
	// that movement.proto and issuance_request.proto name. Zero of what could not be read.
	Verb protowire.Number
	// Reference is the full name of the message that the movement quotes: aval.v1.Invitation.
	Reference string
}

// Verbs that somebody looks for.
const (
	VerbVouch   protowire.Number = 15 // Movement.vouch
	VerbHold    protowire.Number = 16 // Movement.hold
	VerbOffer   protowire.Number = 10 // IssuanceRequest.offer
	VerbRequest protowire.Number = 11 // IssuanceRequest.request
	VerbTick    protowire.Number = 15 // IssuanceRequest.tick
)

// GlanceItem looks at the value of an Entry or a PreIssue. It says no of whatever is not as our books write it,
// sound or not: that must be read to be known.
func GlanceItem(value []byte) (g Glance, ok bool) {
	const decision, command = 1, 3
	var seen [command + 1]bool
	ok = eachField(value, func(f field) bool {
		if f.number > command {
			return true
		}
		if f.kind != protowire.BytesType || seen[f.number] { // of what stands twice the parts are one message
			return false
		}
		seen[f.number] = true
		if f.number == decision {
			return g.decision(f.bytes)
		}
		return f.number != command || g.command(f.bytes)
	})
	return g, ok && seen[decision]
}

func (g *Glance) decision(value []byte) bool {
	const outcome = 2
	return eachField(value, func(f field) bool {
		if f.number == outcome {
			g.Outcome = Outcome(f.numeral) //nolint:gosec // as Protobuf reads it
			return f.kind == protowire.VarintType
		}
		return true
	})
}

// command looks at a Movement or an IssuanceRequest: their verbs have numbers from 10 on.
func (g *Glance) command(value []byte) bool {
	const reference, verbs, verbsEnd = 2, 10, 20
	quoted := false
	return eachField(value, func(f field) bool {
		switch twice := f.number == reference && quoted || f.number >= verbs && g.Verb != 0; {
		case twice || f.number >= verbsEnd:
			return false
		case f.number == reference:
			quoted = true
			return f.kind == protowire.BytesType && g.reference(f.bytes)
		case f.number >= verbs:
			g.Verb = f.number
			return f.kind == protowire.BytesType
		}
		return true
	})
}

func (g *Glance) reference(value []byte) bool {
	const typeURL = 1
	return eachField(value, func(f field) bool {
		if f.number == typeURL {
			g.Reference = NameOf(string(f.bytes))
			return f.kind == protowire.BytesType
		}
		return true
	})
}

// GlanceNotice says of a record that it is a notice to its key, and whether the same goes to others next. Where it says
// no to ok, the record must be read to be known.
func GlanceNotice(headers []Header, key, value []byte) (goesOn, ok bool) {
	const recipient, id, then = 1, 2, 8
	named, toKey := false, false
	for _, h := range headers {
		named = named || h.Key == HeaderType && string(h.Value) == "aval.v1.Notice"
	}
	ok = named && eachField(value, func(f field) bool {
		goesOn = goesOn || f.number == then
		return f.number != recipient || eachField(f.bytes, func(f field) bool {
			toKey = toKey || f.number == id && bytes.Equal(f.bytes, key)
			return true
		})
	})
	return goesOn, ok && toKey
}

// GlanceAcceptBy is until when a PreIssue's terms let the buyer agree; it says no where they set no end.
func GlanceAcceptBy(value []byte) (by time.Time, ok bool) {
	for _, number := range []protowire.Number{3, 1, 14, 1} { // request, terms, deadlines, accept_by
		if value, ok = inside(value, number); !ok {
			return time.Time{}, false
		}
	}
	const seconds, nanos = 1, 2
	var at [nanos + 1]int64
	ok = eachField(value, func(f field) bool {
		if f.kind == protowire.VarintType && f.number <= nanos {
			at[f.number] = int64(f.numeral) //nolint:gosec // as Protobuf reads it
		}
		return true
	})
	return time.Unix(at[seconds], at[nanos]).UTC(), ok
}

// inside is the message in a field.
func inside(value []byte, number protowire.Number) (part []byte, ok bool) {
	sound := eachField(value, func(f field) bool {
		if f.number == number {
			part, ok = f.bytes, f.kind == protowire.BytesType
		}
		return true
	})
	return part, ok && sound
}

// NameOf is the full name of the message that a google.protobuf.Any of this type URL holds.
func NameOf(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '/')+1:] }

// field is one of a message on the wire.
type field struct {
	number  protowire.Number
	kind    protowire.Type
	numeral uint64 // of protowire.VarintType
	bytes   []byte // of protowire.BytesType
}

// eachField visits the fields of a message. It says no where the bytes are no message of numbers and bytes alone, or
// where visit says no.
func eachField(value []byte, visit func(field) bool) bool {
	for len(value) > 0 {
		var f field
		var n int
		if f.number, f.kind, n = protowire.ConsumeTag(value); n < 0 {
			return false
		}
		value = value[n:]
		switch f.kind {
		case protowire.VarintType:
			f.numeral, n = protowire.ConsumeVarint(value)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(value)
		case protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType, protowire.EndGroupType:
			return false
		default:
			return false
		}
		if n < 0 || !visit(f) {
			return false
		}
		value = value[n:]
	}
	return true
}
