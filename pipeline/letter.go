package pipeline

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/schemas"
)

// DeadLetter is the record of a dead letter: the original bytes, where they stand, and why nobody can read them.
func DeadLetter(stage string, r Record, reason string) Record {
	letter := Letter(r.Topic, r.Partition, r.Offset, UnreadableOf(r, reason))
	record, err := Encode(letter.Topic, schemas.Message{
		Attributes: schemas.Attributes{
			ID: letter.ID, Source: "/aval/" + stage, Time: time.Unix(0, 0).UTC(),
			Trace: schemas.TraceOf(r.Headers).Follow(letter.ID),
		},
		Body: letter.Body,
	})
	if err != nil {
		panic(fmt.Sprintf("a dead letter cannot be encoded: %v", err)) // it takes any bytes
	}
	return record
}

// Letter is the dead letter of the record that stands there, whoever finds that nobody can follow it.
func Letter(topic string, partition int, offset int64, original *schemas.Unreadable) Out {
	return Out{
		Topic: schemas.TopicDeadLetters,
		ID: schemas.DeriveID("dead-letter",
			topic, strconv.Itoa(partition), strconv.FormatInt(offset, 10)),
		Body: &schemas.DeadLetter{
			Topic: topic, Partition: int32(partition), //nolint:gosec // a partition's number is small
			Offset: offset, Original: original,
		},
	}
}

const (
	// reasonMax bounds why a record cannot be read, in bytes: a book counts on it when it measures its entries.
	reasonMax = 1 << 10
	// headerFraming is more than a header takes besides its own bytes.
	headerFraming = 16
)

// UnreadableOf keeps a record that cannot be read, with its original bytes. Of one that is too large to be kept,
// which only a compressed batch can hold, it keeps a beginning, and the reason says what was cut: the whole stands
// where it stood.
func UnreadableOf(r Record, reason string) *schemas.Unreadable {
	if reason == "" {
		reason = "nobody says why"
	}
	left := schemas.OriginalMax
	u := &schemas.Unreadable{Key: prefix(r.Key, &left)}
	whole := true
	for _, h := range r.Headers {
		if left < headerFraming {
			whole = false
			break
		}
		left -= headerFraming
		key := strings.ToValidUTF8(h.Key, "?") // no longer than it was
		kept := schemas.Shorten(key, left)
		left -= len(kept)
		value := prefix(h.Value, &left)
		whole = whole && len(kept) == len(key) && len(value) == len(h.Value)
		u.Headers = append(u.Headers, &schemas.OriginalHeader{Key: kept, Value: value})
	}
	u.Value = prefix(r.Value, &left)
	var cut string
	if len(u.Key) < len(r.Key) {
		cut += measured("key", r.Key)
	}
	if len(u.Value) < len(r.Value) {
		cut += measured("value", r.Value)
	}
	if !whole {
		cut += measuredHeaders(r.Headers)
	}
	u.Reason = schemas.Shorten(reason, reasonMax-len(cut)) + cut
	return u
}

// prefix is what fits of the bytes, and is no longer left.
func prefix(b []byte, left *int) []byte {
	n := min(len(b), *left)
	*left -= n
	return b[:n:n]
}

func measured(what string, b []byte) string {
	return fmt.Sprintf("; the %s of %d bytes is cut, its sha256 is %x", what, len(b), sha256.Sum256(b))
}

func measuredHeaders(headers []Header) string {
	sum, size := sha256.New(), 0
	for _, h := range headers {
		size += len(h.Key) + len(h.Value)
		_, _ = io.WriteString(sum, h.Key) // a hash takes everything
		_, _ = sum.Write(h.Value)
	}
	return fmt.Sprintf("; the %d headers of %d bytes are cut, the sha256 of their keys and values is %x",
		len(headers), size, sum.Sum(nil))
}
