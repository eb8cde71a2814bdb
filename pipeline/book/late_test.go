package book_test

import (
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// TestAnOwnerNoticesATakeoverThatLandsLate lets a takeover record that a former owner had sent land after the shard's
// owner has begun, on a broker that has forgotten whom to fence: from there on the owner's entries count for nobody.
// It finds them elsewhere than where it expects them, and takes the shard over anew.
func TestAnOwnerNoticesATakeoverThatLandsLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.produce()
	for range 5 {
		w.work(w.awake, true)
	}
	late := w.log.topics[schemas.TopicEntries][0]
	w.log.add(schemas.TopicEntries, []pipeline.Record{late})
	w.produce()
	for range 20 {
		w.work(w.awake, false)
	}
	w.check()
}
