// Package schemas is what the processes of aval say to each other: the messages, their envelope, their
// topics.
//
//	reads   a record's headers and value
//	effect  none
//	emits   a validated message, or every fault of it at once
//
// One noun, one file name: movement.proto is the message, movement.pb.go is generated from it, movement.go
// says when it is valid. What is valid is checked on both sides of the wire, by Encode and by Decode.
package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// Header is a Kafka header.
type Header struct {
	Key   string
	Value []byte
}

// Message is a body and what stands on its envelope.
type Message struct {
	Attributes
	Body proto.Message
}

// Attributes are the CloudEvents attributes of a message.
type Attributes struct {
	// ID makes the message one: 1 to 64 of 0-9 A-Z a-z . _ : -
	ID string
	// Source is who sent it: /aval/<stage or producer>.
	Source string
	// Cause is the ID of the message that it follows from, where there is one.
	Cause string
	// Time is when what it tells was taken in: data, never a clock's.
	Time time.Time
	// Trace is the message's place in a distributed trace, where there is one.
	Trace Trace
}

// Names of the envelope's headers: the CloudEvents Kafka binding, binary content mode.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderSource      = "ce_source"
	HeaderType        = "ce_type"
	HeaderTime        = "ce_time"
	HeaderCause       = "ce_causationid"
	HeaderContentType = "content-type"
)

const (
	specVersion = "1.0"
	contentType = "application/protobuf"
	extensions  = "ce_"
)

// Limits of what Decode looks at.
const (
	HeadersMax     = 64   // headers of a record
	HeaderValueMax = 1024 // bytes of an envelope's header
	SourceMax      = 256  // bytes
)

// Encode makes a record's headers and value of a valid message. Equal messages are equal bytes.
func Encode(m Message) ([]Header, []byte, error) {
	if err := m.validate(); err != nil {
		return nil, nil, err
	}
	kind := typeOf(m.Body)
	value, err := Marshal(m.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("marshal %s: %w", kind, err)
	}
	if limit := bodyMax(m.Body); len(value) > limit {
		return nil, nil, fmt.Errorf("body of %s has %d bytes, at most %d are allowed",
			kind, len(value), limit)
	}
	return m.headers(kind), value, nil
}

// headers are the envelope's. Their values share one buffer.
func (m Message) headers(kind string) []Header {
	const fixedBytes = len(specVersion) + len(time.RFC3339Nano) + len(contentType)
	traced := m.Trace.Valid()
	size := fixedBytes + len(m.ID) + len(m.Source) + len(kind) + len(m.Cause)
	if traced {
		size += traceBytes
	}
	all := make([]byte, 0, size)
	headers := make([]Header, 0, headersOften)
	add := func(key string) {
		headers = append(headers, Header{key, slices.Clip(all)})
		all = all[len(all):]
	}
	all = append(all, specVersion...)
	add(HeaderSpecVersion)
	all = append(all, m.ID...)
	add(HeaderID)
	all = append(all, m.Source...)
	add(HeaderSource)
	all = append(all, kind...)
	add(HeaderType)
	all = m.Time.UTC().AppendFormat(all, time.RFC3339Nano)
	add(HeaderTime)
	all = append(all, contentType...)
	add(HeaderContentType)
	if m.Cause != "" {
		all = append(all, m.Cause...)
		add(HeaderCause)
	}
	if traced {
		all = m.Trace.append(all)
		add(HeaderTrace)
	}
	return headers
}

// headersOften is how many headers a record has: those of the envelope, one of an entry, one of a trace.
const headersOften = 9

// Decode reads a record's headers and value. An error says all that is wrong, and that this record can never
// be read. Headers that are not the envelope's are nobody's business here; fields of the body that a newer
// version has added are kept as they are.
func Decode(headers []Header, value []byte) (Message, error) {
	return decode(headers, value, copied, Unmarshal)
}

// DecodeView is Decode for who reads much and keeps little: texts and bytes of the message are views of the record's,
// which nobody may change, and which stay in memory as long as any of them.
func DecodeView(headers []Header, value []byte) (Message, error) {
	return decode(headers, value, TextView, UnmarshalView)
}

func decode(
	headers []Header, value []byte, text func([]byte) string, unmarshal func([]byte, proto.Message) error,
) (Message, error) {
	m, kind, err := openEnvelope(headers, text)
	if err != nil {
		return Message{}, err
	}
	if limit := bodyMax(m.Body); len(value) > limit {
		return Message{}, fmt.Errorf("body of %s has %d bytes, at most %d are allowed",
			kind, len(value), limit)
	}
	if err := unmarshal(value, m.Body); err != nil {
		return Message{}, fmt.Errorf("body of %d bytes is no %s: %s", len(value), kind, plainSpaces(err))
	}
	if err := Validate(m.Body); err != nil {
		return Message{}, err
	}
	return m, nil
}

// openEnvelope returns the message with its attributes and with an empty body of its type.
func openEnvelope(headers []Header, text func([]byte) string) (Message, string, error) {
	e, errs := envelopeHeaders(headers)
	m := Message{Attributes: Attributes{
		ID: text(e[atID].value), Source: text(e[atSource].value), Cause: text(e[atCause].value),
	}}
	if trace := e[atTrace].value; trace != nil {
		m.Trace = ParseTrace(trace)
	}
	kind := e[atType].value
	m.Body = newBody(kind)
	if m.Body == nil && len(kind) > 0 {
		errs = append(errs, fmt.Errorf("header %s is %s, which is unknown, must be one that has a topic: %s",
			HeaderType, shown(string(kind)), typeOf(&Invitation{})))
	}
	var found []FaultError
	c := check{found: &found}
	if m.ID != "" {
		c.id("header "+HeaderID, m.ID)
	}
	if m.Cause != "" {
		c.id("header "+HeaderCause, m.Cause)
	}
	if m.Source != "" {
		c.source("header "+HeaderSource, m.Source)
	}
	if text := e[atTime].value; len(text) > 0 {
		t, err := parseTime(text)
		if m.Time = t.UTC(); err != nil || !inTime(m.Time) {
			c.fault("header "+HeaderTime,
				"%s, must be of RFC 3339, between 1970 and 9999: 2026-01-31T10:00:00Z",
				sized(string(text)))
		}
	}
	if len(errs) == 0 && len(found) == 0 {
		return m, typeOf(m.Body), nil
	}
	return m, string(kind), errors.Join(append(errs, join(found))...)
}

// parseTime reads a time of RFC 3339; what the strict form does not allow, some producers may have written.
func parseTime(text []byte) (t time.Time, err error) {
	if err = t.UnmarshalText(text); err != nil {
		return time.Parse(time.RFC3339Nano, string(text))
	}
	return t, nil
}

// The headers that an envelope has, in the order in which what is missing is told.
const (
	atSpecVersion = iota
	atID
	atSource
	atType
	atTime
	atCause
	atContentType
	atTrace
	atOther // an extension that is nobody's business but must not stand twice
)

const headersMust = atTime + 1 // those before it must stand

func placeOf(name string) int {
	switch name {
	case HeaderSpecVersion:
		return atSpecVersion
	case HeaderID:
		return atID
	case HeaderSource:
		return atSource
	case HeaderType:
		return atType
	case HeaderTime:
		return atTime
	case HeaderCause:
		return atCause
	case HeaderContentType:
		return atContentType
	}
	return atOther
}

// envelope has the headers by their place.
type envelope [atOther]struct {
	stands bool
	value  []byte // empty of one that cannot be read
}

// envelopeHeaders returns the envelope's headers, and what is wrong with their form.
func envelopeHeaders(headers []Header) (e envelope, errs []error) {
	if len(headers) > HeadersMax {
		err := fmt.Errorf("record has %d headers, at most %d are allowed", len(headers), HeadersMax)
		return e, []error{err}
	}
	for i, h := range headers {
		if h.Key != HeaderContentType && !strings.HasPrefix(h.Key, extensions) {
			if h.Key == HeaderTrace {
				e.trace(h)
			}
			continue
		}
		if slices.ContainsFunc(headers[:i], func(before Header) bool { return before.Key == h.Key }) {
			errs = append(errs, fmt.Errorf("header %s stands twice, must stand once", shown(h.Key)))
			continue
		}
		if err := e.take(h); err != nil {
			errs = append(errs, err)
		}
	}
	return e, e.missing(errs)
}

// trace takes a trace, of which two are none.
func (e *envelope) trace(h Header) {
	if e[atTrace].value = h.Value; e[atTrace].stands {
		e[atTrace].value = nil
	}
	e[atTrace].stands = true
}

// take puts a header where it belongs, and says what is wrong with it.
func (e *envelope) take(h Header) error {
	at := placeOf(h.Key)
	if at != atOther {
		e[at].stands = true
	}
	if len(h.Value) > HeaderValueMax {
		return fmt.Errorf("header %s has %d bytes, at most %d are allowed", shown(h.Key), len(h.Value), HeaderValueMax)
	}
	if at != atOther {
		e[at].value = h.Value
	}
	if want, ok := fixed(at); ok && string(h.Value) != want {
		return fmt.Errorf("header %s is %s, must be %q", h.Key, shown(string(h.Value)), want)
	}
	return nil
}

// missing adds which of the headers that must stand on an envelope do not.
func (e *envelope) missing(errs []error) []error {
	for at, name := range [headersMust]string{HeaderSpecVersion, HeaderID, HeaderSource, HeaderType, HeaderTime} {
		if !e[at].stands {
			errs = append(errs, fmt.Errorf("header %s is missing", name))
		} else if len(e[at].value) == 0 {
			errs = append(errs, fmt.Errorf("header %s has no value that can be read", name))
		}
	}
	return errs
}

// fixed returns what a header must be that can be one thing only.
func fixed(at int) (string, bool) {
	switch at {
	case atSpecVersion:
		return specVersion, true
	case atContentType:
		return contentType, true
	}
	return "", false
}

// validate reports every fault of the attributes and of the body.
func (m Message) validate() error {
	var found []FaultError
	c := check{found: &found}
	c.id("id", m.ID)
	if m.Cause != "" {
		c.id("cause", m.Cause)
	}
	c.source("source", m.Source)
	if !inTime(m.Time) {
		c.fault("time", "is not between 1970 and 9999; give the time at which it was taken in")
	}
	if isNil(m.Body) {
		c.fault("body", "is missing")
		return join(found)
	}
	return errors.Join(join(found), Validate(m.Body))
}

// inTime says whether the time can be written and, in milliseconds, counted exactly.
func inTime(t time.Time) bool {
	t = t.UTC()
	return t.Year() >= 1970 && t.Year() <= 9999
}

// typeOf is the full name of the message's type.
func typeOf(m proto.Message) string { return string(m.ProtoReflect().Descriptor().FullName()) }

func isNil(m proto.Message) bool { return m == nil || !m.ProtoReflect().IsValid() }
