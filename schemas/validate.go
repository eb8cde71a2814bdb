package schemas

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FaultError is one thing that is wrong with a message.
type FaultError struct {
	Field   string // dotted: amount.minor_units, participants[2].bank
	Problem string // what it is and what it must be; never a long value
}

// Error says where and what.
func (f FaultError) Error() string { return f.Field + " " + f.Problem }

// Limits of what messages hold.
const (
	TextMax    = 16 << 10 // bytes of a party, a reference
	NameMax    = 1024     // bytes of a name for people
	IDMax      = 64       // bytes of an identifier
	ContactMax = 256      // bytes of a contact
	DetailMax  = 4096     // bytes of a refusal's detail
	// JWSMax bounds a certificate's compact JWS, in bytes: two parties and a reference of TextMax, of which JSON
	// makes 6 bytes of 1 and base64 4 of 3, and 12 KiB for all that has bounds of its own.
	JWSMax     = 3*TextMax*6/3*4 + 16<<10
	FaultsMax  = 64 // faults that are reported of one message
	DigestSize = 16 // bytes
)

// Validate reports every fault of a message at once: errors.Join of FaultErrors. FaultsOf takes them apart.
//
// Journals are read for ever: a rule here may be loosened, never tightened. Of an invitation it asks only
// what is needed to answer it; see InvitationFaults.
func Validate(m proto.Message) error {
	if isNil(m) {
		return FaultError{"message", "is missing"}
	}
	v, ok := m.(interface{ faults(check) })
	if !ok {
		return FaultError{"message", "is a " + typeOf(m) + ", which does not stand alone"}
	}
	var found []FaultError
	if v.faults(check{found: &found, quick: true}); len(found) == 0 {
		return nil
	}
	found = nil
	v.faults(check{found: &found})
	return join(found)
}

// FaultsOf returns the faults that an error joins, in order.
func FaultsOf(err error) []FaultError {
	if err == nil {
		return nil
	}
	if f, ok := err.(FaultError); ok { //nolint:errorlint // it takes the tree apart itself
		return []FaultError{f}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []FaultError
		for _, e := range joined.Unwrap() {
			all = append(all, FaultsOf(e)...)
		}
		return all
	}
	return FaultsOf(errors.Unwrap(err))
}

func join(found []FaultError) error {
	errs := make([]error, len(found))
	for i, f := range found {
		errs[i] = f
	}
	return errors.Join(errs...)
}

// check collects the faults below one field. Nearly every message has none: a quick check makes no paths and
// says of a fault only that there is one.
type check struct {
	path  string
	found *[]FaultError
	quick bool
}

func (c check) fault(field, format string, args ...any) {
	switch {
	case c.quick:
		*c.found = append((*c.found)[:0], FaultError{})
	case len(*c.found) < FaultsMax:
		*c.found = append(*c.found, FaultError{c.path + field, fmt.Sprintf(format, args...)})
	}
}

// full says that no more faults are reported: what has a thousand need not be read on.
func (c check) full() bool { return len(*c.found) >= FaultsMax }

// in is the check of what a field holds.
func (c check) in(field string) check {
	if c.quick {
		return c
	}
	return check{path: c.path + field + ".", found: c.found}
}

func (c check) item(field string, i int) check {
	if c.quick {
		return c
	}
	return c.in(itemName(field, i))
}

func itemName(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// id checks an identifier of a message, a hold, an invitation, a key.
func (c check) id(field, id string) {
	if isID(id) {
		return
	}
	c.fault(field, "%s, must be 1 to %d of 0-9 A-Z a-z . _ : -", sized(id), IDMax)
}

func isID(id string) bool {
	return id != "" && len(id) <= IDMax && isOf(id, digits|1<<'.'|1<<':'|1<<'-', letters|1<<('_'-64))
}

// Sets of ASCII: the bit of a character is its code, above 63 its code less 64.
const (
	digits  uint64 = (1<<10 - 1) << '0'
	letters uint64 = (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
)

// isOf says whether the text has nothing but the characters of two sets: of those up to 63, and of those above. It
// looks at all of it, without a branch: nearly every text is right.
func isOf(text string, low, high uint64) bool {
	sets := [4]uint64{low, high} // of what is no ASCII nothing is allowed
	all := ^uint64(0)
	for i := range len(text) {
		b := text[i]
		all &= sets[b>>6] >> (b & 63)
	}
	return all&1 != 0
}

// text checks what is taken as it is: a party, a reference. Spaces, quotes and newlines are part of it.
func (c check) text(field, text string) { c.between(field, text, 1, TextMax) }

func (c check) between(field, text string, low, high int) {
	switch {
	case len(text) < low || len(text) > high:
		c.fault(field, "%s, must have %d to %d", sized(text), low, high)
	case !utf8.ValidString(text):
		c.fault(field, "has %d bytes that are not UTF-8; encode it as UTF-8", len(text))
	}
}

// utf8 checks a text of which nothing else is asked here. Every text is checked by something: what generated code
// reads, it takes as it is.
func (c check) utf8(field, text string) {
	if !utf8.ValidString(text) {
		c.fault(field, "has %d bytes that are not UTF-8; encode it as UTF-8", len(text))
	}
}

func (c check) source(field, source string) {
	c.between(field, source, 1, SourceMax)
	if strings.ContainsFunc(source, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		c.fault(field, "has spaces or control characters, must be a path: /aval/batch")
	}
}

func (c check) bank(field, bank string) {
	if !isBank(bank) {
		c.fault(field, "%s, must be a BIC of 8 or 11 characters: AVALBRSP", sized(bank))
	}
}

func (c check) account(field, account string) {
	if _, ok := BankOf(account); !ok {
		c.fault(field, "%s, must be BANK/NUMBER: AVALBRSP/0001-7", sized(account))
	}
}

// accountOf checks an account that a certain bank must keep.
func (c check) accountOf(field, account, bankField, bank string) {
	of, ok := BankOf(account)
	switch {
	case !ok:
		c.account(field, account)
	case of != bank:
		c.fault(field, "is kept by %s, must be kept by the bank of %s", of, bankField)
	}
}

func (c check) digest(field string, digest []byte) {
	if len(digest) != DigestSize {
		c.fault(field, "has %d bytes, must have %d", len(digest), DigestSize)
	}
}

func (c check) currency(field, currency string) {
	if _, ok := Exponent(currency); !ok {
		c.fault(field, "%s, must be a known code of ISO 4217: %s",
			sized(currency), strings.Join(Currencies(), " "))
	}
}

// enum checks a value that must be known and set.
func (c check) enum(field string, e protoreflect.Enum) {
	c.set(field, e)
	c.known(field, e)
}

// set checks that a value that is known elsewhere is set.
func (c check) set(field string, e protoreflect.Enum) {
	if e.Number() == 0 {
		c.fault(field, "is not set; set one")
	}
}

// known checks a value that may be unset.
func (c check) known(field string, e protoreflect.Enum) {
	if e.Descriptor().Values().ByNumber(e.Number()) == nil {
		c.fault(field, "is %d, must be one of %s", e.Number(), e.Descriptor().FullName())
	}
}

// sized tells a text's shape.
func sized(text string) string {
	switch {
	case text == "":
		return "is empty"
	case !utf8.ValidString(text):
		return "has " + strconv.Itoa(len(text)) + " bytes that are not UTF-8"
	case len(text) > shownMax:
		return "has " + strconv.Itoa(len(text)) + " bytes"
	default:
		return "is " + strconv.Quote(text) + " of " + strconv.Itoa(len(text)) + " bytes"
	}
}

const shownMax = 32 // bytes of a value that a problem may repeat

// shown is a short value, or a long one's length.
func shown(text string) string {
	if len(text) > shownMax {
		return "a text of " + strconv.Itoa(len(text)) + " bytes"
	}
	return strconv.Quote(text)
}

// Shorten cuts a text to at most limit bytes of valid UTF-8: what people read may be cut, identifiers never.
func Shorten(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// plainSpaces undoes what keeps texts of the Protobuf library unstable: some have a no-break space.
func plainSpaces(err error) string { return strings.ReplaceAll(err.Error(), "\u00a0", " ") }
