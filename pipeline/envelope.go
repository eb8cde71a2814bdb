package pipeline

import (
	"errors"
	"fmt"

	"github.com/aval-systems/aval/schemas"
)

// Decode reads a record.
func Decode(r Record) (In, error) {
	m, err := schemas.Decode(r.Headers, r.Value)
	if err != nil {
		return In{}, err
	}
	return inOf(&r, m, string(r.Key)), nil
}

// DecodeView is Decode for who handles a record and forgets it: the message's texts are views of the record's bytes.
func DecodeView(r *Record) (In, error) {
	m, err := schemas.DecodeView(r.Headers, r.Value)
	if err != nil {
		return In{}, err
	}
	return inOf(r, m, schemas.TextView(r.Key)), nil
}

func inOf(r *Record, m schemas.Message, key string) In {
	return In{
		Attributes: m.Attributes, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: key, Body: m.Body,
		record: r,
	}
}

// Encode makes the record of a message, under the message's key.
func Encode(topic string, m schemas.Message) (Record, error) {
	headers, value, err := schemas.Encode(m)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s %s: %w", topic, m.ID, err)
	}
	return Record{Topic: topic, Partition: -1, Key: []byte(schemas.KeyOf(m.Body)), Value: value, Headers: headers}, nil
}

// CheckKey refuses a message whose record has another key than the message's own, or stands in another partition
// than the key's: whoever wrote it there would have it decided apart from everything else about the same thing.
func CheckKey(in In, partitions int) error {
	key := schemas.KeyOf(in.Body)
	switch {
	case key == "":
		return nil
	case in.Key == "":
		return errors.New("the record has no key")
	case in.Key != key:
		return errors.New("the record's key is not its message's")
	}
	if p := schemas.PartitionOf([]byte(key), partitions); p != in.Partition {
		return fmt.Errorf("the record stands in partition %d; its key belongs to %d", in.Partition, p)
	}
	return nil
}
