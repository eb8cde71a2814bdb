package pipeline_test

import (
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestWhatFollowsSaysWhereItsCauseStands(t *testing.T) {
	t.Parallel()
	r := refusal(t, "x")
	r.Offset = 41
	in, err := pipeline.Decode(r)
	if err != nil {
		t.Fatal(err)
	}
	follows, err := pipeline.Follows(echo(), in)
	if err != nil || len(follows) != 1 {
		t.Fatalf("Follows() = %v, %v", follows, err)
	}
	want := pipeline.Place{Topic: schemas.TopicRefusals, Partition: r.Partition, Offset: 41}
	if got, ok := pipeline.CauseOf(follows[0]); !ok || got != want {
		t.Errorf("CauseOf() = %v, %t, want %v", got, ok, want)
	}
	if got, ok := pipeline.CauseOf(r); ok {
		t.Errorf("CauseOf(what nobody caused) = %v", got)
	}
	for _, text := range []string{"", "x", "x/1", "/1/2", "x/-1/2", "x/1/-2", "x/1/2/3", "x/one/2"} {
		r.Headers = []pipeline.Header{{Key: pipeline.CauseHeader, Value: []byte(text)}}
		if got, ok := pipeline.CauseOf(r); ok {
			t.Errorf("CauseOf(%q) = %v, want none", text, got)
		}
	}
}
