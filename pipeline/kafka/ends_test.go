package kafka_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

// The ends of all topics come at once; and of any record there is, when it was written.
func TestEndsAndWritten(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "one", 2)
	topic(t, c, "two", 3)
	began := time.Now().Truncate(time.Millisecond)
	for _, some := range [][]pipeline.Record{
		numbered("one", 1, 0, 3), numbered("two", 0, 0, 1), numbered("one", 1, 3, 5),
	} {
		if err := c.Publish(t.Context(), some); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	ends, err := c.Ends(t.Context(), []string{"one", "two"})
	want := map[string][]int64{"one": {0, 5}, "two": {1, 0, 0}}
	if err != nil || !reflect.DeepEqual(ends, want) {
		t.Errorf("Ends = %v, %v, want %v", ends, err, want)
	}
	var times []time.Time
	for offset := range int64(6) {
		at, err := c.Written(t.Context(), "one", 1, offset)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	if times[0].Before(began) || times[0] != times[2] || !times[3].After(times[2]) || times[3] != times[4] ||
		times[4].After(time.Now()) || !times[5].IsZero() {
		t.Errorf("written at %v", times)
	}
	if at, err := c.Written(t.Context(), "one", 1, 99); !errors.Is(err, kafkago.OffsetOutOfRange) {
		t.Errorf("Written beyond the end = %v, %v", at, err)
	}
	if ends, err := c.Ends(t.Context(), []string{"one", "absent"}); err == nil {
		t.Errorf("Ends of what is not there = %v", ends)
	}
}
