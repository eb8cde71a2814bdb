package replay

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// shownMax bounds what a difference repeats of a record, in bytes.
const shownMax = 64

// Differ says what is different about a record from the one that should stand in its place.
func Differ(want, got pipeline.Record) string {
	if !bytes.Equal(want.Key, got.Key) {
		return fmt.Sprintf("its key is %s, should be %s", shown(got.Key), shown(want.Key))
	}
	for i, h := range want.Headers {
		switch {
		case i >= len(got.Headers) || got.Headers[i].Key != h.Key:
			return fmt.Sprintf("header %d should be %s", i+1, h.Key)
		case !bytes.Equal(got.Headers[i].Value, h.Value):
			return fmt.Sprintf("header %s is %s, should be %s", h.Key, shown(got.Headers[i].Value), shown(h.Value))
		}
	}
	if len(got.Headers) > len(want.Headers) {
		return fmt.Sprintf("header %s should not be there", shown([]byte(got.Headers[len(want.Headers)].Key)))
	}
	if bytes.Equal(want.Value, got.Value) {
		return ""
	}
	if field := differentField(want, got); field != "" {
		return field
	}
	at := 0
	for at < min(len(want.Value), len(got.Value)) && want.Value[at] == got.Value[at] {
		at++
	}
	return fmt.Sprintf("its body of %d bytes differs at byte %d from the %d bytes that it should have", len(got.Value),
		at, len(want.Value))
}

func shown(b []byte) string {
	for _, r := range string(b) {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return hex.EncodeToString(b[:min(len(b), shownMax)])
		}
	}
	return fmt.Sprintf("%q", schemas.Shorten(string(b), shownMax))
}

// differentField names the first field that two records say differently; empty where they cannot be read, or say the
// same in other bytes.
func differentField(want, got pipeline.Record) string {
	a, err := pipeline.Decode(want)
	if err != nil {
		return ""
	}
	b, err := pipeline.Decode(got)
	if err != nil {
		return "its body cannot be read: " + schemas.Shorten(err.Error(), 4*shownMax)
	}
	return differentIn("", a.Body.ProtoReflect(), b.Body.ProtoReflect())
}

func differentIn(path string, want, got protoreflect.Message) string {
	if want.Descriptor() != got.Descriptor() {
		return fmt.Sprintf("it is a %s, should be a %s", got.Descriptor().Name(), want.Descriptor().Name())
	}
	fields := want.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		a, b := want.Get(f), got.Get(f)
		name := path + string(f.Name())
		switch {
		case want.Has(f) == got.Has(f) && a.Equal(b):
		case f.Message() != nil && !f.IsList() && !f.IsMap() && want.Has(f) && got.Has(f):
			if inside := differentIn(name+".", a.Message(), b.Message()); inside != "" {
				return inside
			}
		default:
			return fmt.Sprintf("%s is %s, should be %s", name, shownField(f, got), shownField(f, want))
		}
	}
	return ""
}

func shownField(f protoreflect.FieldDescriptor, m protoreflect.Message) string {
	if !m.Has(f) {
		return "absent"
	}
	switch value := m.Get(f).Interface().(type) {
	case []byte:
		return hex.EncodeToString(value[:min(len(value), shownMax)])
	case string:
		return shown([]byte(value))
	case protoreflect.Message:
		return shown([]byte(fmt.Sprint(value.Interface())))
	case protoreflect.List:
		return fmt.Sprintf("a list of %d", value.Len())
	case protoreflect.EnumNumber:
		if known := f.Enum().Values().ByNumber(value); known != nil {
			return string(known.Name())
		}
	}
	return schemas.Shorten(m.Get(f).String(), shownMax)
}
