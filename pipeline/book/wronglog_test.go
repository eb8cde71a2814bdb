package book_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// TestAShardStopsWhereTheLogIsWrong takes away what an owner knows to have been in the log: whoever takes the shard
// over says so, and leaves what Redis holds as it is, which may be all that is left.
func TestAShardStopsWhereTheLogIsWrong(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(w *world){
		"the journal is empty": func(w *world) { w.log.topics[schemas.TopicEntries] = nil },
		"the journal has lost its end": func(w *world) {
			w.log.topics[schemas.TopicEntries] = w.log.topics[schemas.TopicEntries][:1]
		},
		"the command topic has lost its end": func(w *world) {
			w.log.topics[schemas.TopicMovements] = w.log.topics[schemas.TopicMovements][:1]
		},
		"an item of the journal is another": func(w *world) {
			records := w.log.topics[schemas.TopicEntries]
			for i := range records {
				if len(records[i].Headers) > 0 && i > 1 {
					records[i].Value = records[i-1].Value
				}
			}
			w.redis.FlushAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			for range 3 {
				w.produce()
			}
			for range 3 { // so that the last epoch lies behind the first records
				*w.awake = *w.process()
				for range 5 {
					w.work(w.awake, true)
				}
				w.produce()
			}
			harm(w)
			before := w.image()
			_, err := w.process().runner.Resume(t.Context(), schemas.TopicMovements, 0, pipeline.Mark{Offset: -1})
			if _, wrong := errors.AsType[*book.LogError](err); !wrong {
				t.Fatalf("Resume() = %v, want a LogError", err)
			}
			for key, fields := range before {
				if after := w.image()[key]; key != headerKey && !reflect.DeepEqual(after, fields) {
					t.Errorf("%s was %q and is %q", key, fields, after)
				}
			}
		})
	}
}
