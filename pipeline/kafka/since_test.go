package kafka_test

import (
	"testing"
	"time"
)

func TestSince(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "certificates", 2)
	publish(t, c, numbered("certificates", 1, 0, 7))
	time.Sleep(50 * time.Millisecond) // brokers count milliseconds
	between := time.Now()
	time.Sleep(50 * time.Millisecond)
	publish(t, c, numbered("certificates", 1, 7, 10))
	for name, test := range map[string]struct {
		at        time.Time
		partition int
		want, end int64
	}{
		"before all":     {time.Time{}, 1, 0, 10},
		"between":        {between, 1, 7, 10},
		"after all":      {time.Now().Add(time.Hour), 1, 10, 10},
		"nothing stands": {between, 0, 0, 0},
	} {
		from, end, err := c.Since(t.Context(), "certificates", test.partition, test.at)
		if err != nil || from != test.want || end != test.end {
			t.Errorf("Since(%s) = %d, %d, %v, want %d, %d", name, from, end, err, test.want, test.end)
		}
	}
}
