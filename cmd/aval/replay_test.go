package main_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

// replayed is what aval replay -o json says of a stage.
type replayed struct {
	Stage       string              `json:"stage"`
	Inputs      int                 `json:"inputs"`
	Follows     int                 `json:"follows"`
	Differences []replay.Difference `json:"differences"`
}

// replayOf runs aval replay, and reads what it says of each stage.
func replayOf(t *testing.T, want int, args ...string) (all map[string]replayed) {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{"replay", "-o", "json"}, args...)...)
	if code != want {
		t.Errorf("aval replay %s ended with %d, want %d:\n%s%s", strings.Join(args, " "), code, want,
			tail(stdout, 3000), tail(stderr, 3000))
	}
	all = map[string]replayed{}
	for line := range strings.Lines(stdout) {
		var r replayed
		if err := strict([]byte(line), &r); err != nil {
			t.Fatalf("read %s: %v", tail(line, 500), err)
		}
		all[r.Stage] = r
	}
	return all
}

// replays expects that the replay of a system has no difference in any stage.
func replays(t *testing.T, at place) {
	t.Helper()
	all := replayOf(t, exitDecided, at.flags...)
	for _, stage := range []string{"invitation", "ledger", "routing", "request", "relay", "funding", "certificate"} {
		if r := all[stage]; r.Inputs == 0 || r.Follows == 0 || len(r.Differences) > 0 {
			t.Errorf("%s: %d inputs, %d follows, %d differences", stage, r.Inputs, r.Follows, len(r.Differences))
		}
	}
}

// TestReplay replays a demo, then what somebody has added to its log.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, at := range places(t) {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, sampleOf(t, 5, sample.RowsMin), sample.Funds)
			j.judge(t, start(t, j.args(at.flags...)...))
			replays(t, at)
			forged := map[string]pipeline.Record{}
			at.look(t, func(log *client) {
				notice := records(t, log, schemas.TopicNotices)
				for _, r := range slices.Concat(notice...) {
					if source, _ := headerOf(r, schemas.HeaderSource); source == "/aval/relay" {
						forged["relay"] = withHeader(r, schemas.HeaderID, "forged")
					}
				}
				invitation := slices.Concat(records(t, log, schemas.TopicMovements)...)
				for _, r := range invitation {
					if source, _ := headerOf(r, schemas.HeaderSource); source == "/aval/invitation" {
						forged["invitation"] = flipped(r)
					}
				}
				for _, stage := range []string{"relay", "invitation"} {
					r := forged[stage]
					r.Partition = -1
					if err := log.Publish(t.Context(), []pipeline.Record{r}); err != nil {
						t.Fatal(err)
					}
				}
			})
			for stage, r := range forged {
				found := replayOf(t, exitFailed, append([]string{"--stage", stage}, at.flags...)...)[stage]
				if len(found.Differences) != 1 || found.Differences[0].Topic != r.Topic {
					t.Errorf("%s: found %+v, want the one in %s", stage, found.Differences, r.Topic)
				}
			}
			refusesRanges(t, at)
		})
	}
}

// refusesRanges asks for what there is not.
func refusesRanges(t *testing.T, at place) {
	t.Helper()
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"unknown stage": {[]string{"--stage", "certificat"}, []string{`"certificat"`, "did you mean certificate?"}},
		"a sink":        {[]string{"--stage", "register"}, []string{"cannot be replayed"}},
		"beyond":        {[]string{"--stage", "invitation", "--from", "999999"}, []string{"invitations/0 has 0 to"}},
		"to beyond":     {[]string{"--stage", "ledger", "--to", "999999"}, []string{"movements/0 has 0 to"}},
		"a later time":  {[]string{"--stage", "relay", "--from", "2999-01-01T00:00:00Z"}, []string{"receipts/0 has"}},
		"no range":      {[]string{"--from", "7", "--to", "7"}, []string{"nothing lies between"}},
		"no bound":      {[]string{"--from", "yesterday"}, []string{"--from", "must be an offset"}},
	} {
		code, stdout, stderr := run(t, slices.Concat([]string{"replay"}, test.args, at.flags)...)
		if code != exitUsage || stdout != "" {
			t.Errorf("%s: ended with %d and %q, want %d", name, code, stdout, exitUsage)
		}
		for _, want := range test.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: says nothing of %q: %s", name, want, tail(stderr, 1000))
			}
		}
	}
	whole := replayOf(t, exitDecided, append([]string{"--stage", "ledger"}, at.flags...)...)["ledger"]
	part := replayOf(t, exitDecided, append([]string{"--stage", "ledger", "--from", "100"}, at.flags...)...)["ledger"]
	if part.Inputs == 0 || part.Inputs >= whole.Inputs {
		t.Errorf("from 100 on %d inputs were replayed, of %d in all", part.Inputs, whole.Inputs)
	}
}
