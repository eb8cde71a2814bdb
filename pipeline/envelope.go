package pipeline

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// Decode reads a record.
func Decode(r Record) (In, error) {
	m, err := schemas.Decode(r.Headers, r.Value)
	if err != nil {
		return In{}, err
	}
	return In{
		Attributes: m.Attributes, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Key: string(r.Key), Body: m.Body, record: &r,
	}, nil
}

// Encode makes the record of a message that has the key.
func Encode(topic, key string, m schemas.Message) (Record, error) {
	headers, value, err := schemas.Encode(m)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s %s: %w", topic, m.ID, err)
	}
	return Record{Topic: topic, Partition: -1, Key: []byte(key), Value: value, Headers: headers}, nil
}

// CheckPartition refuses a record that has no key, or stands in another partition than its key's: whoever wrote
// it there broke the order of its key.
func CheckPartition(r Record, partitions int) error {
	if len(r.Key) == 0 {
		return errors.New("the record has no key")
	}
	if p := schemas.PartitionOf(r.Key, partitions); p != r.Partition {
		return fmt.Errorf("the record stands in partition %d; its key belongs to %d", r.Partition, p)
	}
	return nil
}

// UnreadableOf keeps a record that cannot be read, with its original bytes.
func UnreadableOf(r Record, reason string) *schemas.Unreadable {
	u := &schemas.Unreadable{Reason: strings.ToValidUTF8(reason, "\uFFFD"), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		u.Headers = append(u.Headers, &schemas.OriginalHeader{Key: strings.ToValidUTF8(h.Key, "\uFFFD"), Value: h.Value})
	}
	return u
}
