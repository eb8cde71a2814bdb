package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// secrets says what a record holds that must be nowhere (I-14): canaries anywhere, and what looks like a
// card's number in its key, its headers and its texts. Identifiers of parties and references are theirs, and
// may look like anything. body is the record's message; of one that nobody can read, all of the value is
// text.
func secrets(r pipeline.Record, body proto.Message, canaries []string) []string {
	var found []string
	for _, canary := range canaries {
		if carries(r, body, canary) {
			found = append(found, "a canary stands here")
		}
	}
	key := r.Key
	if r.Topic == schemas.TopicNotices { // a party
		key = nil
	}
	looks := cardNumber(string(key))
	for _, h := range r.Headers {
		looks = looks || cardNumber(h.Key) || cardNumber(string(h.Value))
	}
	if body == nil {
		looks = looks || cardNumber(string(r.Value))
	} else {
		looks = looks || tells(body.ProtoReflect())
	}
	if looks {
		found = append(found, "a text looks like the number of a card")
	}
	return found
}

func carries(r pipeline.Record, body proto.Message, canary string) bool {
	c := []byte(canary)
	if bytes.Contains(r.Key, c) || bytes.Contains(r.Value, c) {
		return true
	}
	for _, h := range r.Headers {
		if strings.Contains(h.Key, canary) || bytes.Contains(h.Value, c) {
			return true
		}
	}
	switch x := body.(type) {
	case *schemas.Certificate:
		return bytes.Contains(payloadOf(x.GetJws()), c)
	case *schemas.Notice:
		return bytes.Contains(payloadOf(x.GetJws()), c)
	case *schemas.Receipt:
		return bytes.Contains(payloadOf(x.GetNotice().GetJws()), c)
	case *schemas.NoticeRetry:
		return bytes.Contains(payloadOf(x.GetNotice().GetJws()), c)
	}
	return false
}

// tells says whether a text of the message looks like a card's number.
func tells(m protoreflect.Message) bool {
	switch x := m.Interface().(type) {
	case *anypb.Any:
		inner, err := x.UnmarshalNew()
		if err != nil {
			return cardNumber(x.GetTypeUrl()) || cardNumber(string(x.GetValue()))
		}
		return tells(inner.ProtoReflect())
	case *schemas.Unreadable:
		return cardNumber(x.GetReason()) || tellsUnreadable(x)
	}
	looks := false
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case theirs(f):
		case f.IsList():
			for i := range v.List().Len() {
				looks = looks || tellsValue(f, v.List().Get(i))
			}
		default:
			looks = tellsValue(f, v)
		}
		return !looks
	})
	return looks
}

func tellsValue(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	switch {
	case f.Message() != nil:
		return tells(v.Message())
	case f.Kind() != protoreflect.StringKind:
		return false
	case f.Name() == "jws":
		return cardNumber(v.String()) || tellsClaims(payloadOf(v.String()))
	}
	return cardNumber(v.String())
}

// theirs says whether the field identifies a party, or is a party's own reference; or is a row of a book,
// which holds amounts and times.
func theirs(f protoreflect.FieldDescriptor) bool {
	switch f.Name() {
	case "seller", "buyer", "holder", "contact", "contacts":
		return true
	case "reference": // of a movement it is a message, which is looked into
		return f.Message() == nil
	case "id":
		of := f.ContainingMessage().Name()
		return of == "Recipient" || of == "Party"
	case "value":
		return f.ContainingMessage().Name() == "Change"
	}
	return false
}

// tellsUnreadable looks into the original bytes: as what they claim to be, where they are that.
func tellsUnreadable(x *schemas.Unreadable) bool {
	r := pipeline.Record{Key: x.GetKey(), Value: x.GetValue()}
	for _, h := range x.GetHeaders() {
		r.Headers = append(r.Headers, pipeline.Header{Key: h.GetKey(), Value: h.GetValue()})
	}
	in, err := pipeline.Decode(r)
	if err != nil {
		in.Body = nil
	}
	return len(secrets(r, in.Body, nil)) > 0
}

// tellsClaims looks into the claims that a certificate's signature covers.
func tellsClaims(payload []byte) bool {
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return cardNumber(string(payload))
	}
	for name, claim := range claims {
		switch name {
		case "seller", "buyer", "reference", "amount", "minor_units":
			continue
		}
		if text, ok := claim.(string); ok && cardNumber(text) {
			return true
		}
	}
	return false
}

func payloadOf(jws string) []byte {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	return payload
}

// cardNumber says whether the text holds a token that could be a card's number: a run of letters and digits,
// as long as it goes, that is 12 to 19 digits of which the last is the check digit (Luhn).
func cardNumber(text string) bool {
	found := false
	eachCard(text, func(int, int) { found = true })
	return found
}

// Masked is the text without what looks like a card's number: of such a one its last four digits stay.
func Masked(text string) string {
	masked := []byte(text)
	eachCard(text, func(from, to int) {
		for i := from; i < to-4; i++ {
			masked[i] = '*'
		}
	})
	return string(masked)
}

// eachCard visits where such tokens begin and end.
func eachCard(text string, visit func(from, to int)) {
	start, digits := 0, true
	for i := range len(text) + 1 {
		var c byte
		if i < len(text) {
			c = text[i]
		}
		switch {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			digits = false
		default:
			if n := i - start; digits && n >= 12 && n <= 19 && luhn(text[start:i]) {
				visit(start, i)
			}
			start, digits = i+1, true
		}
	}
}

func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
