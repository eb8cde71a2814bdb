package schemas

import (
	"errors"
	"fmt"
	"unsafe"

	"google.golang.org/protobuf/proto"
)

// generated is what every message of this package can do without reflection, at half its cost.
type generated interface {
	MarshalVTStrict() ([]byte, error)
	UnmarshalVT([]byte) error
	UnmarshalVTUnsafe([]byte) error
}

// Marshal writes a message of this package: its fields in the order of their numbers, so that equal messages are
// equal bytes. It takes texts as they are; Validate asks that they are UTF-8.
func Marshal(m proto.Message) ([]byte, error) {
	g, ok := m.(generated)
	if !ok {
		return nil, fmt.Errorf("write a %s: it is no message of this package", typeOf(m))
	}
	return g.MarshalVTStrict()
}

// Unmarshal reads a message of this package into an empty one, and keeps the fields that it does not know. It takes
// texts as they are; Validate asks that they are UTF-8.
func Unmarshal(value []byte, m proto.Message) error {
	return unmarshal(value, m, generated.UnmarshalVT)
}

// UnmarshalView is Unmarshal into a message whose texts and bytes are views of the value.
func UnmarshalView(value []byte, m proto.Message) error {
	return unmarshal(value, m, generated.UnmarshalVTUnsafe)
}

func unmarshal(value []byte, m proto.Message, read func(generated, []byte) error) (err error) {
	g, ok := m.(generated)
	if !ok {
		return fmt.Errorf("read a %s: it is no message of this package", typeOf(m))
	}
	defer func() { // bytes may be hostile, and lengths lie
		if cause := recover(); cause != nil {
			err = errors.New("its bytes contradict each other")
		}
	}()
	return read(g, value)
}

// TextView is the bytes as a text, without a copy: nobody may change them any more.
func TextView(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // nobody changes them
}

func copied(b []byte) string { return string(b) }
