package bench_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aval-systems/aval/producers/bench"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		n          bench.Number
		text, some string
	}{
		"a third":           {bench.Per(1, 3), "0.333", "0.33"},
		"of nothing":        {bench.Per(1, 0), "0.000", "0"},
		"whole":             {bench.Per(12, 1), "12.000", "12"},
		"two digits":        {bench.Per(1234, 100), "12.340", "12.3"},
		"hundreds":          {bench.Per(123456, 1000), "123.456", "123"},
		"rounds up":         {bench.Per(999_600, 1000), "999.600", "1000"},
		"below zero":        {bench.Per(-1, 2), "-0.500", "-0.50"},
		"more than a word":  {bench.Per(1<<60, 1<<30), "1073741824.000", "1073741824"},
		"rate":              {bench.Rate(600_000, time.Minute), "10000.000", "10000"},
		"rate in no time":   {bench.Rate(1, 0), "0.000", "0"},
		"rate of a half":    {bench.Rate(3, 2*time.Second), "1.000", "1"},
		"micros of an item": {bench.Micros(time.Second, 3000), "333.333", "333"},
		"milliseconds":      {bench.Millis(1500 * time.Microsecond), "1.500", "1.50"},
		"seconds":           {bench.Seconds(61 * time.Second), "61.000", "61"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.n.String(); got != test.text {
				t.Errorf("String() = %s, want %s", got, test.text)
			}
			if got := test.n.Short(); got != test.some {
				t.Errorf("Short() = %s, want %s", got, test.some)
			}
			text, err := json.Marshal(test.n)
			var back bench.Number
			if err != nil || json.Unmarshal(text, &back) != nil || back != test.n {
				t.Errorf("JSON %s (%v) is read as %s", text, err, back)
			}
		})
	}
}
