package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// ToJSON writes a message for the edges (HTTP, files, people), with the names of the .proto files, on one
// line. Equal messages are equal bytes.
func ToJSON(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %s", typeOf(m), plainSpaces(err))
	}
	var b bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Compact(&b, text); err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", typeOf(m), err)
	}
	return b.Bytes(), nil
}

// FromJSON reads a message from the edges into m. A field that is not known is an error: who wrote it meant
// something. Whether the message is valid is Validate's to say.
func FromJSON(text []byte, m proto.Message) error {
	if err := protojson.Unmarshal(text, m); err != nil {
		return fmt.Errorf("read %s from JSON: %s", typeOf(m), plainSpaces(err))
	}
	return nil
}
