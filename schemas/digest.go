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
	var d canonical
	d.text(2, x.GetReceivingBank())
	d.text(3, x.GetReceivingAccount())
	d.text(4, x.GetSeller())
	d.text(5, x.GetReference())
	d.text(6, x.GetBuyer())
	d.bytes(7, canonicalMoney(x.GetAmount()))
	d.number(8, int64(x.GetFunding()))
	d.bytes(9, canonicalIssuing(x.GetIssuing()))
	d.number(10, int64(x.GetRoute()))
	d.number(11, int64(x.GetAccountSource()))
	d.bytes(12, canonicalDeadlines(x.GetDeadlines()))
	return d.digest("invitation content")
}

// TermsDigest is the digest of whole terms, 16 bytes: whoever answers an offer repeats its terms, and nobody
// is held to others. Encoded as for ContentDigest, after "terms" and a zero byte.
func TermsDigest(x *Terms) []byte {
	var d canonical
	d.text(1, x.GetInvitationId())
	d.bytes(2, x.GetContentDigest())
	d.text(3, x.GetSeller())
	d.text(4, x.GetReference())
	d.text(5, x.GetBuyer())
	d.bytes(6, canonicalMoney(x.GetAmount()))
	d.number(7, int64(x.GetFunding()))
	d.text(8, x.GetReceivingBank())
	d.text(9, x.GetReceivingAccount())
	d.text(10, x.GetIssuingBank())
	d.text(11, x.GetIssuingAccount())
	d.number(12, int64(x.GetAccountSource()))
	d.number(13, int64(x.GetRoute()))
	d.bytes(14, canonicalDeadlines(x.GetDeadlines()))
	d.text(15, x.GetKeyId())
	d.bytes(16, unsigned(x.GetDirectoryVersion()))
	return d.digest("terms")
}

// canonical is a message's canonical encoding so far.
type canonical []byte

func (d *canonical) bytes(field uint16, value []byte) {
	if len(value) == 0 {
		return
	}
	*d = binary.BigEndian.AppendUint16(*d, field)
	*d = binary.BigEndian.AppendUint32(*d, uint32(len(value))) //nolint:gosec // bodies are far smaller
	*d = append(*d, value...)
}

func (d *canonical) text(field uint16, value string) { d.bytes(field, []byte(value)) }

func (d *canonical) number(field uint16, value int64) {
	if value != 0 {
		d.bytes(field, strconv.AppendInt(nil, value, 10))
	}
}

func (d *canonical) time(field uint16, t *timestamppb.Timestamp) {
	if t == nil {
		return
	}
	text := strconv.AppendInt(nil, t.GetSeconds(), 10)
	nanos := strconv.FormatInt(1e9+int64(t.GetNanos()), 10)
	d.bytes(field, append(append(text, '.'), nanos[1:]...))
}

func (d *canonical) digest(kind string) []byte {
	sum := sha256.Sum256(append(append([]byte(kind), 0), *d...))
	return sum[:DigestSize]
}

func unsigned(value uint64) []byte {
	if value == 0 {
		return nil
	}
	return strconv.AppendUint(nil, value, 10)
}

func canonicalMoney(x *Money) []byte {
	var d canonical
	d.number(1, x.GetMinorUnits())
	d.text(2, x.GetCurrency())
	return d
}

func canonicalIssuing(x *IssuingInformation) []byte {
	var d canonical
	d.text(1, x.GetBank())
	d.text(2, x.GetAccount())
	d.text(3, x.GetContact())
	return d
}

func canonicalDeadlines(x *Deadlines) []byte {
	var d canonical
	d.time(1, x.GetAcceptBy())
	d.time(2, x.GetPresentBy())
	d.time(3, x.GetSettleBy())
	return d
}
