package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// ContentDigest is the digest of what an invitation means, 16 bytes: everything but its id, which is derived,
// and the version of the directory, which is the intake's. It decides between repeat and conflict.
//
// The first 16 bytes of SHA-256 over "invitation content", a zero byte and the canonical encoding: the fields
// in the order of their numbers, each as number (2 bytes), length (4 bytes, both big-endian) and bytes. A
// text is its UTF-8, a number is decimal digits, a time is its seconds, a point and nine digits of
// nanoseconds, a message is its own canonical encoding. Fields that are zero or empty are left out. Never
// Protobuf's bytes: they are not the same in every version of a library.
func ContentDigest(x *Invitation) []byte {
	d := digestOf("invitation content")
	d.text(2, x.GetReceivingBank())
	d.text(3, x.GetReceivingAccount())
	d.text(4, x.GetSeller())
	d.text(5, x.GetReference())
	d.text(6, x.GetBuyer())
	d.money(7, x.GetAmount())
	d.number(8, int64(x.GetFunding()))
	d.issuing(9, x.GetIssuing())
	d.number(10, int64(x.GetRoute()))
	d.number(11, int64(x.GetAccountSource()))
	d.deadlines(12, x.GetDeadlines())
	return d.digest()
}

// TermsDigest is the digest of whole terms, 16 bytes: whoever answers an offer repeats its terms, and nobody
// is held to others. Encoded as for ContentDigest, after "terms" and a zero byte.
func TermsDigest(x *Terms) []byte {
	d := digestOf("terms")
	d.text(1, x.GetInvitationId())
	d.bytes(2, x.GetContentDigest())
	d.text(3, x.GetSeller())
	d.text(4, x.GetReference())
	d.text(5, x.GetBuyer())
	d.money(6, x.GetAmount())
	d.number(7, int64(x.GetFunding()))
	d.text(8, x.GetReceivingBank())
	d.text(9, x.GetReceivingAccount())
	d.text(10, x.GetIssuingBank())
	d.text(11, x.GetIssuingAccount())
	d.number(12, int64(x.GetAccountSource()))
	d.number(13, int64(x.GetRoute()))
	d.deadlines(14, x.GetDeadlines())
	d.text(15, x.GetKeyId())
	d.unsigned(16, x.GetDirectoryVersion())
	return d.digest()
}

// canonical is a message's canonical encoding so far, behind what the digest is of.
type canonical []byte

// digestOf begins an encoding. Nearly all fit into what it makes room for.
func digestOf(kind string) canonical {
	const often = 768
	return append(append(make(canonical, 0, often), kind...), 0)
}

func put[T string | []byte](d *canonical, number uint16, value T) {
	if len(value) == 0 {
		return
	}
	*d = binary.BigEndian.AppendUint16(*d, number)
	*d = binary.BigEndian.AppendUint32(*d, uint32(len(value))) //nolint:gosec // bodies are far smaller
	*d = append(*d, value...)
}

func (d *canonical) bytes(number uint16, value []byte) { put(d, number, value) }

func (d *canonical) text(number uint16, value string) { put(d, number, value) }

func (d *canonical) number(number uint16, value int64) {
	if value != 0 {
		var digits [20]byte
		put(d, number, strconv.AppendInt(digits[:0], value, 10))
	}
}

func (d *canonical) unsigned(number uint16, value uint64) {
	if value != 0 {
		var digits [20]byte
		put(d, number, strconv.AppendUint(digits[:0], value, 10))
	}
}

func (d *canonical) time(number uint16, t *timestamppb.Timestamp) {
	if t == nil {
		return
	}
	text := strconv.AppendInt(nil, t.GetSeconds(), 10)
	nanos := strconv.FormatInt(1e9+int64(t.GetNanos()), 10)
	put(d, number, append(append(text, '.'), nanos[1:]...))
}

// within encodes a message where it stands; an empty one is left out.
func (d *canonical) within(number uint16, write func(*canonical)) {
	const head = 2 + 4
	at := len(*d)
	*d = binary.BigEndian.AppendUint16(*d, number)
	*d = append(*d, 0, 0, 0, 0)
	write(d)
	size := len(*d) - at - head
	if size == 0 {
		*d = (*d)[:at]
		return
	}
	binary.BigEndian.PutUint32((*d)[at+2:], uint32(size)) //nolint:gosec // bodies are far smaller
}

func (d *canonical) money(number uint16, x *Money) {
	d.within(number, func(d *canonical) {
		d.number(1, x.GetMinorUnits())
		d.text(2, x.GetCurrency())
	})
}

func (d *canonical) issuing(number uint16, x *IssuingInformation) {
	d.within(number, func(d *canonical) {
		d.text(1, x.GetBank())
		d.text(2, x.GetAccount())
		d.text(3, x.GetContact())
	})
}

func (d *canonical) deadlines(number uint16, x *Deadlines) {
	d.within(number, func(d *canonical) {
		d.time(1, x.GetAcceptBy())
		d.time(2, x.GetPresentBy())
		d.time(3, x.GetSettleBy())
	})
}

func (d *canonical) digest() []byte {
	sum := sha256.Sum256(*d)
	return sum[:DigestSize]
}
