package register

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/aval-systems/aval/schemas"
)

// Row is what the register knows of one invitation, in the order in which it happens.
type Row []Mark

// Mark says that something happened to an invitation, and where the log tells it: the partition is the invitation's.
//
// It is stored as the kind's letter, the number of the reason where it is a refusal, a digest of the buyer and the
// second since 1970 where it is an offer, and the offset; numbers as varints. A row is its marks, one after the other,
// as they came.
type Mark struct {
	Kind   Kind
	Offset int64
	Reason schemas.Reason // of a refusal
	Second int64          // of an offer: its time since 1970

	buyer uint32 // of an offer: the buyer's digest
}

// Kind is what happened. One in upper case decides something, and comes in however full the row is.
type Kind byte

// What happens to an invitation.
const (
	KindInvited   Kind = 'i'
	KindOffered   Kind = 'O' // it has a pre-issue
	KindRequested Kind = 'R' // the buyer's request was accepted, and so on: the one decision on a pre-issue
	KindDeclined  Kind = 'D'
	KindWithdrawn Kind = 'W'
	KindLapsed    Kind = 'L'
	KindAnswered  Kind = 'a' // an answer that came to nothing
	KindIssued    Kind = 'C'
	KindRefused   Kind = 'X' // no certificate
	KindDisputed  Kind = 'x' // a content was refused that is another's, or senseless; what stands goes on standing
)

// story is the order in which things happen.
const story = "iOaRDWLCXx"

// Topic is where the log tells it.
func (k Kind) Topic() string {
	switch k {
	case KindInvited:
		return schemas.TopicInvitations
	case KindIssued:
		return schemas.TopicCertificates
	case KindRefused, KindDisputed:
		return schemas.TopicRefusals
	case KindOffered, KindRequested, KindDeclined, KindWithdrawn, KindLapsed, KindAnswered:
	}
	return schemas.TopicPreIssues
}

// State is how far an invitation has come.
type State string

// States. The last five are final.
const (
	StateInvited   State = "invited"   // nobody has offered yet
	StateOpen      State = "open"      // the pre-issue waits for the buyer
	StateRequested State = "requested" // the buyer has asked, the money is not decided on
	StateIssued    State = "issued"
	StateRefused   State = "refused"
	StateDeclined  State = "declined"
	StateWithdrawn State = "withdrawn"
	StateLapsed    State = "lapsed"
)

// Final says whether nothing more will happen.
func (s State) Final() bool {
	switch s {
	case StateIssued, StateRefused, StateDeclined, StateWithdrawn, StateLapsed:
		return true
	case StateInvited, StateOpen, StateRequested:
	}
	return false
}

// State is how far the invitation has come. What contradicts it changes nothing.
func (r Row) State() State {
	switch {
	case r.has(KindIssued):
		return StateIssued
	case r.has(KindDeclined):
		return StateDeclined
	case r.has(KindWithdrawn):
		return StateWithdrawn
	case r.has(KindLapsed):
		return StateLapsed
	case r.has(KindRefused):
		return StateRefused
	case r.has(KindRequested):
		return StateRequested
	case r.has(KindOffered):
		return StateOpen
	case slices.ContainsFunc(r, func(m Mark) bool {
		return m.Kind == KindDisputed && m.Reason != schemas.Reason_REASON_CONFLICT
	}):
		return StateRefused
	}
	return StateInvited
}

func (r Row) has(kind Kind) bool {
	return slices.ContainsFunc(r, func(m Mark) bool { return m.Kind == kind })
}

// Offer returns the mark of the offer.
func (r Row) Offer() (Mark, bool) {
	i := slices.IndexFunc(r, func(m Mark) bool { return m.Kind == KindOffered })
	if i < 0 {
		return Mark{}, false
	}
	return r[i], true
}

// OfBuyer says no where the invitation is surely not the buyer's; the log knows for sure.
func (r Row) OfBuyer(buyer string) bool {
	want := digestOf(buyer)
	return slices.ContainsFunc(r, func(m Mark) bool { return m.Kind == KindOffered && m.buyer == want })
}

func digestOf(party string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(party)) // it never fails
	return h.Sum32()
}

// must says that the mark comes in however full the row is.
func (m Mark) must() bool { return m.Kind < 'a' }

func (m Mark) append(to []byte) []byte {
	to = append(to, byte(m.Kind))
	switch m.Kind { //nolint:exhaustive // the others have no more
	case KindRefused, KindDisputed:
		to = binary.AppendUvarint(to, uint64(m.Reason)) //nolint:gosec // reasons are not below zero
	case KindOffered:
		to = binary.BigEndian.AppendUint32(to, m.buyer)
		to = binary.BigEndian.AppendUint32(to, uint32(m.Second)) //nolint:gosec // until 2106; it orders lists
	}
	return binary.AppendUvarint(to, uint64(m.Offset)) //nolint:gosec // offsets are not below zero
}

// errRow says that Redis holds what no register writes.
var errRow = errors.New("a row of the register cannot be read")

// parseRow reads a row as it is stored.
func parseRow(text string) (Row, error) {
	var r Row
	for rest := []byte(text); len(rest) > 0; {
		m := Mark{Kind: Kind(rest[0])}
		rest = rest[1:]
		switch m.Kind { //nolint:exhaustive // the others have no more
		case KindRefused, KindDisputed:
			reason, n := binary.Uvarint(rest)
			if n <= 0 {
				return nil, errRow
			}
			m.Reason, rest = schemas.Reason(reason), rest[n:] //nolint:gosec // it was one
		case KindOffered:
			if len(rest) < 8 {
				return nil, errRow
			}
			m.buyer, m.Second = binary.BigEndian.Uint32(rest), int64(binary.BigEndian.Uint32(rest[4:]))
			rest = rest[8:]
		}
		offset, n := binary.Uvarint(rest)
		if n <= 0 {
			return nil, errRow
		}
		m.Offset, rest = int64(offset), rest[n:] //nolint:gosec // it was one
		if m.Kind.place() >= 0 {
			r = append(r, m)
		}
	}
	return r, nil
}

// merge makes one row of what several buckets hold: each mark once, in the order of the story.
func merge(rows ...Row) Row {
	all := slices.Concat(rows...)
	slices.SortStableFunc(all, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Kind.place(), b.Kind.place()), cmp.Compare(a.Offset, b.Offset))
	})
	return slices.Compact(all)
}

func (k Kind) place() int { return slices.Index([]byte(story), byte(k)) }

// nameSize is how many bytes of an identifier name a row: with its length and its end, what Redis allocates is used up.
const nameSize = 14

// nameOf is the name of an invitation's row. It begins as the identifier of the certificate does that may come of it,
// so that a row is found by either, and by the hold's.
func nameOf(invitation string) string { return nameOfHold(schemas.HoldID(invitation)) }

func nameOfHold(hold string) string {
	name, _ := nameOfCertificate(schemas.CertificateID(hold))
	return name
}

// nameOfCertificate says no where the text is no certificate's identifier.
func nameOfCertificate(id string) (name string, ok bool) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != schemas.DigestSize {
		return "", false
	}
	return string(raw[:nameSize]), true
}
