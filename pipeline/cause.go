package pipeline

import (
	"strconv"
	"strings"
)

// CauseHeader says of what follows where its cause stands, so that the way of anything can be walked back through
// the log without an index: TOPIC/PARTITION/OFFSET.
const CauseHeader = "aval-cause"

// Place is where a record stands.
type Place struct {
	Topic     string
	Partition int
	Offset    int64
}

// PlaceOf is where the message stands.
func PlaceOf(in In) Place { return Place{Topic: in.Topic, Partition: in.Partition, Offset: in.Offset} }

// CauseOf returns where the record's cause stands; it says no where the record does not tell.
func CauseOf(r Record) (Place, bool) {
	text, _ := header(&r, CauseHeader)
	topic, rest, _ := strings.Cut(string(text), "/")
	partition, offset, _ := strings.Cut(rest, "/")
	p, err := strconv.Atoi(partition)
	o, wrong := strconv.ParseInt(offset, 10, 64)
	if topic == "" || err != nil || wrong != nil || p < 0 || o < 0 {
		return Place{}, false
	}
	return Place{Topic: topic, Partition: p, Offset: o}, true
}

// String is the place as people and headers write it.
func (p Place) String() string {
	return p.Topic + "/" + strconv.Itoa(p.Partition) + "/" + strconv.FormatInt(p.Offset, 10)
}

func (p Place) header() Header { return Header{Key: CauseHeader, Value: []byte(p.String())} }
