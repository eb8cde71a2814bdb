package bench

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// template makes records that differ in identifier, time, key and value, and share the rest: what a bench sends
// should cost next to nothing beside what it measures.
type template struct {
	topic      string
	headers    []pipeline.Header
	atID, atTm int // which of the headers these are
}

// templateOf is the template of records like this message's.
func templateOf(topic string, body proto.Message) (*template, error) {
	record, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: "id", Source: source, Time: time.Unix(0, 0)}, Body: body,
	})
	if err != nil {
		return nil, err
	}
	t := &template{topic: topic, headers: record.Headers}
	for i, h := range record.Headers {
		switch h.Key {
		case schemas.HeaderID:
			t.atID = i
		case schemas.HeaderTime:
			t.atTm = i
		}
	}
	return t, nil
}

// batch makes records of one template, taken in at one time.
type batch struct {
	*template

	time    []byte
	headers []pipeline.Header
	records []pipeline.Record
}

func (t *template) batch(now time.Time, size int) *batch {
	return &batch{
		template: t, time: now.UTC().AppendFormat(nil, time.RFC3339Nano),
		headers: make([]pipeline.Header, 0, size*len(t.headers)), records: make([]pipeline.Record, 0, size),
	}
}

func (b *batch) add(id, key, value []byte) {
	at := len(b.headers)
	b.headers = append(b.headers, b.template.headers...)
	own := b.headers[at:len(b.headers):len(b.headers)]
	own[b.atID].Value, own[b.atTm].Value = id, b.time
	b.records = append(b.records, pipeline.Record{
		Topic: b.topic, Partition: -1, Key: key, Value: value, Headers: own,
	})
}
