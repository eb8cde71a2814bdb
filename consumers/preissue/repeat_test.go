package preissue_test

import (
	"strconv"
	"testing"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// TestAnswersAreRepeatedWhereverRowsStand has many requests, and each again: what is remembered of a pre-issue names
// the request, and now and then stands where the request's own identifier is looked up.
func TestAnswersAreRepeatedWhereverRowsStand(t *testing.T) {
	t.Parallel()
	const many = 3000
	shard := booktest.New(t, preissue.Book{}, booktest.Servers(t)[0].Address)
	for _, step := range []struct{ verb, want string }{{"offer", "done"}, {"request", "done"}, {"request", "repeat"}} {
		for from := 0; from < many; from += 1000 {
			var commands []booktest.Command
			for n := from; n < from+1000; n++ {
				text := strconv.Itoa(n)
				commands = append(commands, ask{
					verb: step.verb, id: schemas.DeriveID(step.verb, text), invitation: schemas.DeriveID("i", text),
				}.command())
			}
			for i, in := range shard.Decide(commands...) {
				if got := word(in); got != step.want {
					t.Fatalf("%s %d is answered %q, want %q", step.verb, from+i, got, step.want)
				}
			}
		}
	}
}
