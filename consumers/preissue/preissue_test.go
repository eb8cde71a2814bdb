package preissue_test

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

var already = map[string]string{ //nolint:gochecknoglobals // a constant of the tests
	"request": "refused already-requested", "decline": "refused already-declined",
	"withdraw": "refused already-withdrawn", "lapse": "refused already-lapsed",
}

// TestFirstDecisionWins tries every order of the four decisions: the first is done, everyone else is told
// it, and whoever repeats what he said is told the same again.
func TestFirstDecisionWins(t *testing.T) {
	t.Parallel()
	for _, order := range permutations([]string{"request", "decline", "withdraw", "lapse"}) {
		t.Run(strings.Join(order, ","), func(t *testing.T) {
			t.Parallel()
			asks := []answered{{ask{verb: "offer", id: "o"}, "done"}}
			for i, verb := range order {
				want := already[order[0]]
				if i == 0 {
					want = "done"
				}
				asks = append(asks, answered{ask{verb: verb, id: verb}, want})
			}
			for i, verb := range order {
				want := already[order[0]]
				if i == 0 {
					want = "repeat"
				}
				asks = append(asks, answered{ask{verb: verb, id: verb}, want})
			}
			everywhere(t, append(asks,
				answered{ask{verb: order[0], id: "another"}, already[order[0]]},
				answered{ask{verb: "offer", id: "o"}, "repeat"},
			))
		})
	}
}

func permutations(words []string) [][]string {
	if len(words) == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for i, first := range words {
		var rest []string
		rest = append(append(rest, words[:i]...), words[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]string{first}, p...))
		}
	}
	return all
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	dearer := func(t *schemas.Terms) { t.Amount.MinorUnits++ }
	const prefilled = "refused account-prefilled"
	later := func(t *schemas.Terms) { t.DirectoryVersion++ }
	another := func(t *schemas.Terms) { t.ContentDigest[0] = 0x10 } // another invitation under the same identifier
	tests := map[string][]answered{
		"what was not offered cannot be answered": {
			{ask{verb: "request", id: "r"}, "refused pre-issue-unknown"},
			{ask{verb: "decline", id: "d"}, "refused pre-issue-unknown"},
			{ask{verb: "withdraw", id: "w"}, "refused pre-issue-unknown"},
			{ask{verb: "lapse", id: "l"}, "refused pre-issue-unknown"},
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "request", id: "r"}, "repeat pre-issue-unknown"}, // so it was told, and so it stays
			{ask{verb: "lapse", id: "l"}, "repeat pre-issue-unknown"},
			{ask{verb: "decline", id: "r"}, "conflict"},
			{ask{verb: "offer", id: "r"}, "conflict"},
			{ask{verb: "request", id: "r", account: "AVALBRSP/77"}, "conflict"},
			{ask{verb: "request", id: "r2"}, "done"},
			{ask{verb: "request", id: "r"}, "repeat pre-issue-unknown"},
		},
		"an invitation is offered once": {
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "offer", id: "o"}, "repeat"},
			{ask{verb: "offer", id: "o2"}, "repeat"},
			{ask{verb: "offer", id: "o", change: another}, "conflict"},
			{ask{verb: "offer", id: "o", change: dearer}, "conflict terms"},
			{ask{verb: "offer", id: "o", change: later}, "conflict terms"}, // the same content, resolved anew
			{ask{verb: "offer", id: "o2", change: later}, "conflict terms"},
			{ask{verb: "offer", id: "o", invitation: "i2"}, "done"},
			{ask{verb: "decline", id: "d"}, "done"},
			{ask{verb: "offer", id: "o"}, "repeat"},
			{ask{verb: "offer", id: "o", change: another}, "conflict"},
			{ask{verb: "offer", id: "o", change: later}, "conflict terms"},
			{ask{verb: "request", id: "r", invitation: "i2"}, "done"},
		},
		"nobody is held to other terms, and they decide nothing": {
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "request", id: "r", change: dearer}, "refused terms"},
			{ask{verb: "decline", id: "d", change: dearer}, "refused terms"},
			{ask{verb: "withdraw", id: "w", change: dearer}, "refused terms"},
			{ask{verb: "lapse", id: "l", change: dearer}, "refused terms"},
			{ask{verb: "request", id: "r", change: dearer, by: "mallory"}, "refused terms"},
			{ask{verb: "request", id: "r"}, "done"},
			{ask{verb: "request", id: "r", change: dearer}, "refused terms"},
		},
		"only the buyer and the seller of the terms, who decide nothing for others": {
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "request", id: "r", by: "mallory"}, "refused buyer"},
			{ask{verb: "request", id: "r", by: seller}, "refused buyer"},
			{ask{verb: "decline", id: "d", by: "mallory"}, "refused buyer"},
			{ask{verb: "withdraw", id: "w", by: buyer}, "refused seller"},
			{ask{verb: "withdraw", id: "w"}, "done"},
			{ask{verb: "request", id: "r", by: "mallory"}, "refused buyer"},
			{ask{verb: "request", id: "r"}, "refused already-withdrawn"},
		},
		"an account of another bank": {
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "request", id: "r", account: receiving}, "refused account-bank"},
			{ask{verb: "request", id: "r", account: "my savings\t1"}, "refused account-bank"},
			{ask{verb: "request", id: "r", account: "AVALBRSP/77"}, "done"},
		},
		"another account than the pre-filled one": {
			{ask{verb: "offer", id: "o", change: confirmed}, "done"},
			{ask{verb: "request", id: "r", change: confirmed, account: "AVALBRSP/77"}, prefilled},
			{ask{verb: "request", id: "r", change: confirmed, account: receiving}, prefilled},
			{ask{verb: "request", id: "r", change: confirmed}, "done"},
		},
		"two requests with two accounts yield one decision": {
			{ask{verb: "offer", id: "o"}, "done"},
			{ask{verb: "request", id: "r1", account: "AVALBRSP/1"}, "done"},
			{ask{verb: "request", id: "r2", account: "AVALBRSP/2"}, "refused already-requested"},
			{ask{verb: "request", id: "r1", account: "AVALBRSP/2"}, "conflict"},
			{ask{verb: "decline", id: "r1"}, "conflict"},
			{ask{verb: "request", id: "r1", account: "AVALBRSP/1", at: 99}, "repeat"},
		},
		"what was decided is remembered for one retention at least, and then no longer done": {
			{ask{verb: "offer", id: "o", at: 99_000}, "done"},
			{ask{verb: "offer", id: "o2", invitation: "i2", at: 99_000}, "done"},
			{ask{verb: "tick", id: "t1", at: 100_000, keep: 1000}, "done"},
			{ask{verb: "tick", id: "t1", at: 100_000, keep: 1000}, "refused stale"},
			{ask{verb: "request", id: "r", at: 98_999}, "refused stale"},
			{ask{verb: "request", id: "r", at: 100_000}, "done"},
			{ask{verb: "tick", id: "t2", at: 101_000, keep: 1000}, "done"},
			{ask{verb: "tick", id: "t2", at: 102_000, keep: 1000}, "done"},
			{ask{verb: "request", id: "r", at: 100_000}, "repeat"},
			{ask{verb: "offer", id: "o", at: 99_000}, "repeat"},
			{ask{verb: "request", id: "r", at: 100_000, by: "mallory"}, "refused buyer"},
			{ask{verb: "tick", id: "t3", at: 103_000, keep: 1000}, "done"},
			{ask{verb: "tick", id: "t3", at: 103_999, keep: 1000}, "done"},
			{ask{verb: "request", id: "r", at: 100_000}, "repeat"},
			{ask{verb: "tick", id: "t4", at: 104_000, keep: 1000}, "done"},
			{ask{verb: "request", id: "r", at: 100_000}, "refused stale"},
			{ask{verb: "decline", id: "d", at: 104_000}, "refused pre-issue-unknown"},
			{ask{verb: "offer", id: "o", at: 99_000}, "refused stale"},
			{ask{verb: "offer", id: "o", invitation: "i3", at: 105_001}, "refused early"},
			{ask{verb: "offer", id: "o2", invitation: "i2", at: 99_000}, "repeat"}, // nobody has answered
			{ask{verb: "lapse", id: "l", invitation: "i2", at: 104_000}, "done"},
			{ask{verb: "request", id: "r2", invitation: "i2", at: 104_000}, "refused already-lapsed"},
		},
		"what was early stays refused, under its identifier alone": {
			{ask{verb: "tick", id: "t1", at: 100_000, keep: 1000}, "done"},
			{ask{verb: "offer", id: "o", at: 101_001}, "refused early"},
			{ask{verb: "offer", id: "o2", at: 101_000}, "done"},
			{ask{verb: "request", id: "r", at: 101_001}, "refused early"},
			{ask{verb: "request", id: "u", invitation: "i2", at: 101_001}, "refused early"},
			{ask{verb: "request", id: "r", at: 101_001}, "repeat early"},
			{ask{verb: "request", id: "r", at: 101_001, account: "AVALBRSP/77"}, "conflict"},
			{ask{verb: "decline", id: "r", at: 100_000}, "conflict"},
			{ask{verb: "tick", id: "t2", at: 100_500, keep: 1000}, "done"},
			{ask{verb: "request", id: "r", at: 101_001}, "repeat early"}, // it would be in time now
			{ask{verb: "request", id: "r", at: 100_500}, "repeat early"},
			{ask{verb: "request", id: "u", invitation: "i2", at: 101_001}, "repeat early"},
			{ask{verb: "offer", id: "o", at: 101_001}, "repeat early"},
			{ask{verb: "request", id: "r2", at: 101_001}, "done"},
			{ask{verb: "request", id: "r", at: 101_001}, "repeat early"},
		},
		"one wild clock does not make everything stale": {
			{ask{verb: "tick", id: "t1", at: 100_000, keep: 1000}, "done"}, // the first may say any time
			{ask{verb: "tick", id: "t2", at: 101_001, keep: 1000}, "refused early"},
			{ask{verb: "tick", id: "t2", at: 9e12, keep: 9e12}, "refused early"}, // by the retention that stands
			{ask{verb: "offer", id: "o", at: 99_000}, "done"},
			{ask{verb: "tick", id: "t3", at: 101_000, keep: 1000}, "done"},
			{ask{verb: "tick", id: "t2", at: 101_001, keep: 1000}, "done"}, // it was not remembered
			{ask{verb: "request", id: "r", at: 100_001}, "done"},
		},
		"a lapse before its deadline decides nothing": {
			{ask{verb: "offer", id: "o", due: 1000}, "done"},
			{ask{verb: "lapse", id: "l", due: 1000, at: 999}, "refused early"},
			{ask{verb: "lapse", id: "l", due: 1000, at: 999}, "refused early"},
			{ask{verb: "lapse", id: "l", due: 900, at: 999}, "refused terms"}, // nobody offered that
			{ask{verb: "lapse", id: "l", due: 1000, at: 1000}, "done"},
			{ask{verb: "lapse", id: "l2", due: 1000, at: 999}, "refused early"},
			{ask{verb: "request", id: "r", due: 1000}, "refused already-lapsed"},
			{ask{verb: "offer", id: "o2", invitation: "i2", due: never}, "done"},
			{ask{verb: "lapse", id: "l3", invitation: "i2", due: never, at: 9e12}, "refused early"},
			{ask{verb: "request", id: "r2", invitation: "i2", due: never}, "done"},
		},
	}
	for name, asks := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, asks)
		})
	}
}

func TestItemsRepeatTheRequest(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		shard := booktest.New(t, preissue.Book{}, server.Address)
		astray := ask{verb: "offer", id: "x"}.command()
		astray.Key = "i2"
		a := ask{verb: "offer", id: "o"}
		items := shard.Decide(astray, a.command())
		got, _ := items[1].Body.(*schemas.PreIssue)
		same := proto.Equal(got.GetRequest(), a.request())
		if got.GetId() != "o" || !same || got.GetDecision().GetOffset() != 1 {
			t.Errorf("item is %v", got)
		}
		got, _ = items[0].Body.(*schemas.PreIssue)
		if got.GetRequest() != nil || string(got.GetUnreadable().GetKey()) != "i2" {
			t.Errorf("item of what is unreadable is %v", got)
		}
		before := shard.Tables()
		shard.Rebuild()
		if after := shard.Tables(); len(after[preissue.TableOpen]) != 1 || len(before) != len(after) {
			t.Errorf("rebuilt as %v from %v", after, before)
		}
	}
}

func TestPlanRefusesWhatIsNoRequest(t *testing.T) {
	t.Parallel()
	tests := map[string]proto.Message{
		"another message": &schemas.Movement{},
		"nothing":         nil,
		"no verb":         ask{}.request(),
		"no terms":        &schemas.IssuanceRequest{Verb: ask{verb: "offer"}.request().GetVerb()},
		"an invitation with a tab": ask{verb: "offer", change: func(t *schemas.Terms) {
			t.InvitationId = "a\tb"
		}}.request(),
		"a request of nobody": ask{verb: "request", change: func(t *schemas.Terms) {
			t.Buyer = ""
		}}.request(),
		"a tick of no time": ask{verb: "tick"}.request(),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if fields, err := (preissue.Book{}).Plan(pipeline.In{Body: body}); err == nil {
				t.Errorf("Plan() = %q", fields)
			}
		})
	}
}

// TestNumbersDoNotBecomeText: anything else than the protocol's number() would round, or write 1e+15.
func TestNumbersDoNotBecomeText(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("preissue.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"tostring", "tonumber", "string.format", "math.", "redis."} {
		if strings.Contains(string(text), word) {
			t.Errorf("preissue.lua has %s", word)
		}
	}
}
