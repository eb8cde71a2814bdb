package audit_test

import (
	"strings"
	"testing"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// TestRedisIsABatchAhead has an owner that publishes what it decided while the audit looks, with more behind
// it.
func TestRedisIsABatchAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.play()
	d := newDeal("late", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
	w.invite(d)
	w.request(d)
	shard := schemas.PartitionOf([]byte(buyers), shards)
	var kept []pipeline.Record
	w.lose = func(r pipeline.Record) bool {
		if r.Topic == schemas.TopicEntries {
			r.Offset += int64(len(kept))
			kept = append(kept, r)
			return true
		}
		return false
	}
	w.hold(d.hold(), d.movement(t))
	looks := 0
	w.looked = func(what string) {
		if looks++; what != schemas.TopicEntries || looks < 30 || kept == nil {
			return
		}
		w.log[schemas.TopicEntries][shard] = append(w.log[schemas.TopicEntries][shard], kept...)
		kept, w.lose = nil, nil
		release := newDeal("after", buyers, schemas.Funding_FUNDING_DEPOSIT, 5)
		w.issue(release) // Redis goes on
	}
	c := w.config()
	c.AtRest, c.Attempts = false, 50
	report := audited(t, c)
	for _, v := range report.Violations {
		t.Error(v)
	}
	if kept != nil {
		t.Error("the audit did not wait for what was decided")
	}
}

func TestRedisThatNeverMeetsIsNotCheckedAtWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.play()
	w.at["accounts"][0]++
	c := w.config()
	c.AtRest = false
	report, err := audit.Run(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "accounts/0 could not be checked") {
		t.Errorf("Run = %v, must say that accounts/0 could not be checked", err)
	}
	if !report.OK() {
		t.Errorf("violations %v, must be none", report.Violations)
	}
}

// TestCertificatesThatAreOnTheirWay has a hold whose certificate comes late, and never.
func TestCertificatesThatAreOnTheirWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		later bool // another hold on the same shard has its certificate
		comes bool // while the audit looks
		found int
	}{
		"the stage has not come so far":         {},
		"the stage is in the middle of a batch": {later: true, comes: true},
		"the stage has left it out":             {later: true, found: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.play()
			d := newDeal("late", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.invite(d)
			w.request(d)
			w.hold(d.hold(), d.movement(t))
			if c.later {
				w.issue(newDeal("later", buyers, schemas.Funding_FUNDING_DEPOSIT, 20))
			}
			sweeps := 0
			w.looked = func(what string) {
				if what != schemas.TopicDirectory {
					return
				}
				if sweeps++; c.comes && sweeps == 2 {
					w.certify(d)
				}
			}
			config := w.config()
			config.AtRest = false
			report := audited(t, config)
			if len(report.Violations) != c.found {
				t.Errorf("violations %v, want %d", report.Violations, c.found)
			}
		})
	}
}

func TestInvitationsThatAreOnTheirWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.play()
	// One in each partition that nobody has taken in yet.
	for i := range 4 {
		d := newDeal("new-"+string(rune('a'+i)), buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
		w.put(schemas.TopicInvitations, d.id(), d.invitation)
	}
	c := w.config()
	c.AtRest = false
	if report := audited(t, c); !report.OK() {
		t.Errorf("violations %v, must be none", report.Violations)
	}
}

func TestEntriesOfALateOwnerDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.play()
	log := w.log[schemas.TopicEntries]
	shard := schemas.PartitionOf([]byte(buyers), shards)
	late := log[shard][len(log[shard])-1] // the same entry once more
	w.append(late)
	if report := audited(t, w.config()); !report.OK() {
		t.Errorf("violations %v, must be none", report.Violations)
	}
}

func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.play()
	for range 2 * audit.ViolationsMax {
		w.put(schemas.TopicMovements, "unheard", &schemas.Movement{
			Account: buyers, Verb: &schemas.Movement_Block{Block: &schemas.Block{}},
		})
	}
	report := audited(t, w.config())
	if len(report.Violations) != audit.ViolationsMax || report.Total < 2*audit.ViolationsMax {
		t.Errorf("lists %d of %d violations", len(report.Violations), report.Total)
	}
}
