package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

// TestKill ends the program as a power cut does, several times, and starts it again until it is done: every order
// is decided once, and what was told before stands.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, at := range places(t) {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("the moments come from seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 2))
			j := newJob(t, sampleOf(t, 4, 2*sample.RowsDefault), sample.Funds)
			var earlier statements
			cuts := 0
			for range 4 {
				if cut(t, random, j, at) {
					cuts++
				}
				at.look(t, func(log *client) {
					now := statementsOf(t, log)
					earlier.stand(t, now)
					earlier = now
				})
			}
			if cuts < 2 {
				t.Errorf("the program was cut off %d times, too few to show anything", cuts)
			}
			e := j.judge(t, start(t, j.args(at.flags...)...))
			at.look(t, func(log *client) {
				earlier.stand(t, statementsOf(t, log))
				checkTold(t, log, e)
			})
			earlier.reported(t, e)
			replays(t, at) // whatever was repeated, and however the batches were cut
		})
	}
}

// cut starts the program and kills it some time after a random line of its progress; it says no if the program
// was faster.
func cut(t *testing.T, random *rand.Rand, j job, at place) bool {
	t.Helper()
	lines, more := 3+random.IntN(12), time.Duration(random.IntN(150))*time.Millisecond
	p := start(t, j.args(at.flags...)...)
	await(t, fmt.Sprintf("%d lines of progress", lines), func() bool {
		return p.logged(`(?m)^(read|find|open|decide) .*$`) >= lines || !p.running()
	})
	time.Sleep(more)
	if !p.running() {
		return false
	}
	p.kill(t)
	t.Logf("killed after %d lines of progress and %v", lines, more)
	return true
}

// statements are what was told to everybody: certificates by invitation, refusals by invitation and content.
type statements struct {
	certificates map[string]string
	refusals     map[[2]string]schemas.Reason
}

func statementsOf(t *testing.T, log *client) statements {
	t.Helper()
	s := statements{map[string]string{}, map[[2]string]schemas.Reason{}}
	if existing, err := log.Existing(t.Context(), schemas.TopicRefusals); err != nil || existing == 0 {
		return s // it was cut off before there were topics
	}
	for _, m := range messages[*schemas.Certificate](t, log, schemas.TopicCertificates) {
		s.certificates[m.body.GetTerms().GetInvitationId()] = m.body.GetJws()
	}
	for _, m := range messages[*schemas.Refusal](t, log, schemas.TopicRefusals) {
		s.refusals[[2]string{m.body.GetInvitationId(), string(m.body.GetContentDigest())}] = m.body.GetReason()
	}
	return s
}

// stand fails the test unless all that was told is told now.
func (s statements) stand(t *testing.T, now statements) {
	t.Helper()
	for invitation, jws := range s.certificates {
		if now.certificates[invitation] != jws {
			t.Errorf("the certificate of %s was another one before", invitation)
		}
	}
	for content, reason := range s.refusals {
		if now.refusals[content] != reason {
			t.Errorf("%q was refused for %v before, and now for %v", content, reason, now.refusals[content])
		}
	}
}

// reported fails the test unless the report says what was told while it was not written yet.
func (s statements) reported(t *testing.T, e evidence) {
	t.Helper()
	answers := map[string][]string{} // of an invitation
	for _, row := range splitCSV(string(e.report))[1:] {
		answers[row[6]] = append(answers[row[6]], row[8]+" "+row[9])
	}
	says := func(invitation, answer string) bool {
		return slices.Contains(answers[invitation], answer)
	}
	for invitation, jws := range s.certificates {
		if !says(invitation, "issued ") || !bytes.Contains(e.certificates, []byte(jws)) {
			t.Errorf("invitation %s was issued before, and is reported as %q", invitation, answers[invitation])
		}
	}
	for content, reason := range s.refusals {
		want := map[schemas.Reason]string{
			schemas.Reason_REASON_DECLINED: "declined ", schemas.Reason_REASON_NOT_GUARANTEED: "refused insufficient",
		}[reason]
		if want == "" {
			want = "refused " + reason.Word()
		}
		if !says(content[0], want) {
			t.Errorf("invitation %s was %s before, and is reported as %q", content[0], want, answers[content[0]])
		}
	}
}
