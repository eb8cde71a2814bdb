package schemas

import (
	"crypto/sha256"
	"encoding/hex"
)

// HeaderTrace carries a message's place in a distributed trace: the traceparent of the W3C's Trace Context.
const HeaderTrace = "traceparent"

// Trace is a message's place in a distributed trace. The zero value is none.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte // of the message: whoever made it
	Flags   byte    // traceSampled, traceRandom
}

// Flags that are carried on; others have no meaning yet, and must not be.
const (
	traceSampled = 1
	traceRandom  = 2
	traceFlags   = traceSampled | traceRandom
)

// traceBytes is the length of a traceparent: version, trace, span and flags, in hexadecimal, with hyphens between.
const traceBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2

// Valid says whether there is a trace.
func (t Trace) Valid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// Sampled says whether whoever began the trace wants it recorded.
func (t Trace) Sampled() bool { return t.Flags&traceSampled != 0 }

// Follow is the place of a message that follows, under its identifier: the same for the same message. What follows
// from no trace has none.
func (t Trace) Follow(id string) Trace {
	if !t.Valid() {
		return Trace{}
	}
	var known [128]byte
	sum := sha256.Sum256(append(append(append(known[:0], "span\x00"...), t.TraceID[:]...), id...))
	copy(t.SpanID[:], sum[:])
	if t.SpanID == [8]byte{} {
		t.SpanID[7] = 1 // nil is no span
	}
	return t
}

// String is the trace as the header carries it; empty of none.
func (t Trace) String() string {
	if !t.Valid() {
		return ""
	}
	return string(t.append(nil))
}

func (t Trace) append(to []byte) []byte {
	to = append(to, "00-"...)
	to = hex.AppendEncode(to, t.TraceID[:])
	to = append(to, '-')
	to = hex.AppendEncode(to, t.SpanID[:])
	to = append(to, '-')
	return hex.AppendEncode(to, []byte{t.Flags & traceFlags})
}

// ParseTrace reads a traceparent. One that is none is dropped, as the standard asks: it is no fault of the message.
func ParseTrace(text []byte) Trace {
	const traceAt, spanAt, flagsAt = 3, 36, 53
	var version [1]byte
	var t Trace
	switch {
	case len(text) < traceBytes,
		!unhex(version[:], text[:2]) || version[0] == 0xff,
		len(text) > traceBytes && (version[0] == 0 || text[traceBytes] != '-'), // a later version may say more
		text[traceAt-1] != '-' || text[spanAt-1] != '-' || text[flagsAt-1] != '-',
		!unhex(t.TraceID[:], text[traceAt:spanAt-1]) || !unhex(t.SpanID[:], text[spanAt:flagsAt-1]):
		return Trace{}
	}
	var flags [1]byte
	if !unhex(flags[:], text[flagsAt:traceBytes]) || !t.Valid() {
		return Trace{}
	}
	t.Flags = flags[0] & traceFlags
	return t
}

// unhex reads hexadecimal digits, lower case alone.
func unhex(to, text []byte) bool {
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, text)
	return err == nil
}

// TraceOf is the trace that a record's headers carry; two are none.
func TraceOf(headers []Header) Trace {
	var found Trace
	stands := false
	for _, h := range headers {
		if h.Key != HeaderTrace {
			continue
		}
		if stands {
			return Trace{}
		}
		stands = true
		found = ParseTrace(h.Value)
	}
	return found
}
