package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func (w *world) config() audit.Config {
	return audit.Config{
		Log: w, State: w, Partitions: shards, AtRest: true, Canaries: []string{"canary-7c1f"},
		Attempts: 4, Pause: time.Millisecond,
	}
}

func audited(t *testing.T, c audit.Config) audit.Report {
	t.Helper()
	report, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return report
}

func TestASoundSystemHasNoViolation(t *testing.T) {
	t.Parallel()
	for name, atRest := range map[string]bool{"at rest": true, "at work": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.play()
			c := w.config()
			c.AtRest = atRest
			report := audited(t, c)
			for _, v := range report.Violations {
				t.Error(v)
			}
			if report.Certificates != 2 || report.Holds != 1 || report.Refusals != 2 ||
				report.Invitations != 5 {
				t.Errorf("counted %+v", report)
			}
			want := audit.Account{Kind: audit.Deposit, Currency: "BRL", Ledger: 1_000, Frozen: 300}
			if got := report.Accounts[buyers]; got != want {
				t.Errorf("account %s = %v, want %v", buyers, got, want)
			}
			if got := report.Accounts["clearing/BRL"].Ledger; got != 200 {
				t.Errorf("clearing = %d, want 200", got)
			}
		})
	}
}

// TestEveryInvariantBites has a mutation, or several, of each invariant that is checked.
func TestEveryInvariantBites(t *testing.T) {
	t.Parallel()
	buyerShard := schemas.PartitionOf([]byte(buyers), shards)
	for name, c := range map[string]struct {
		want  string
		play  func(w *world) // before the scenario: what it will do to it
		after func(w *world)
	}{
		"a posting without its other side": {want: "I-1", play: func(w *world) {
			w.alter["open:buyer"] = func(d *schemas.Decision) { d.Changes = d.GetChanges()[1:] }
		}},
		"an account in Redis has more than it should": {want: "I-1", after: func(w *world) {
			w.rewrite(buyers, " 1000 300 ", " 1001 300 ")
		}},
		"more is held than there is": {want: "I-2", after: func(w *world) {
			d := newDeal("too much", buyers, schemas.Funding_FUNDING_DEPOSIT, 701)
			w.issue(d)
		}},
		"a line is drawn beyond its limit in Redis": {want: "I-2", after: func(w *world) {
			w.rewrite(credits, " 700 200 0 ", " 100 200 0 ")
		}},
		"something is frozen for no hold": {want: "I-3", after: func(w *world) {
			w.rewrite(buyers, " 1000 300 ", " 1000 301 ")
		}},
		"an item freezes another amount than its hold": {want: "I-3", play: func(w *world) {
			w.alter[issued().hold()] = func(d *schemas.Decision) {
				d.Changes[0].Value = strings.Replace(d.GetChanges()[0].GetValue(), " 300 ", " 299 ", 1)
			}
		}},
		"more is captured than the hold has": {want: "I-4", after: func(w *world) {
			w.capture("capture-2", issued().hold(), 301)
		}},
		"a hold in Redis contradicts itself": {want: "I-4", after: func(w *world) {
			rows := w.tables["accounts"][buyerShard]["holds"]
			rows[issued().hold()] = strings.Replace(rows[issued().hold()], " 300 0 0 ", " 300 200 200 ", 1)
		}},
		"a hold without certificate": {want: "I-5", play: func(w *world) {
			w.lose = func(r pipeline.Record) bool {
				return r.Topic == schemas.TopicCertificates && string(r.Key) == issued().id()
			}
		}},
		"a certificate without hold": {want: "I-5", after: func(w *world) {
			d := newDeal("no hold", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.invite(d)
			w.request(d)
			w.certify(d)
		}},
		"a certificate of a declined pre-issue": {
			want:  "I-5",
			after: func(w *world) { w.certify(declined()) },
		},
		"two certificates over one hold": {want: "I-5", after: func(w *world) {
			c := opened().certificate()
			c.Id, c.HoldId = schemas.CertificateID(issued().hold()), issued().hold()
			w.put(schemas.TopicCertificates, c.GetId(), c)
		}},
		"a second hold of one invitation": {want: "I-5", after: func(w *world) {
			w.hold("another-hold", issued().movement(w.t))
		}},
		"frozen money that no certificate has": {want: "I-6", after: func(w *world) {
			d := newDeal("forgotten", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.invite(d)
			w.request(d)
			w.hold(d.hold(), d.movement(w.t))
		}},
		"a certificate of another amount": {want: "I-8", after: func(w *world) {
			d := newDeal("amount", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.invite(d)
			w.request(d)
			w.hold(d.hold(), d.movement(w.t))
			d.terms = clone(d.terms)
			d.terms.Amount = brl(11)
			w.certify(d)
		}},
		"terms that are not the invitation's": {want: "I-8", after: func(w *world) {
			d := newDeal("terms", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			d.terms = clone(d.terms)
			d.terms.ReceivingAccount = "AVALBRSP/thief"
			w.issue(d)
		}},
		"a second pre-issue of one invitation": {want: "I-8", after: func(w *world) {
			w.offer("offer-again", opened())
		}},
		"a decision on other terms than were offered": {want: "I-8", after: func(w *world) {
			d := opened()
			d.terms = clone(d.terms)
			d.terms.KeyId = "key-2"
			w.request(d)
		}},
		"a certificate on another account than was requested": {want: "I-8", after: func(w *world) {
			d := newDeal("account", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.invite(d)
			w.request(d)
			w.hold(d.hold(), d.movement(w.t))
			d.account = "AVALBRRJ/other"
			w.certify(d)
		}},
		"a refused hold that moves money": {want: "I-10", play: func(w *world) {
			w.alter[refused().hold()] = func(d *schemas.Decision) {
				d.Changes = append(d.Changes, w.row(buyers))
			}
		}},
		"a hold of a declined pre-issue": {want: "I-10", after: func(w *world) {
			w.hold(declined().hold(), declined().movement(w.t))
		}},
		"a movement without answer": {want: "I-12", after: func(w *world) {
			w.put(schemas.TopicMovements, "unheard", &schemas.Movement{
				Account: buyers, Verb: &schemas.Movement_Block{Block: &schemas.Block{}},
			})
		}},
		"an answer to another command": {want: "I-12", after: func(w *world) {
			w.log[schemas.TopicMovements][buyerShard][0] = w.record(schemas.TopicMovements, "other",
				&schemas.Movement{
					Account: buyers, Verb: &schemas.Movement_Block{Block: &schemas.Block{}},
				})
		}},
		"an answer to no command": {want: "I-12", after: func(w *world) {
			all := w.log[schemas.TopicIssuanceRequests]
			for p := range all {
				if len(all[p]) > 0 {
					all[p] = all[p][:len(all[p])-1]
					return
				}
			}
		}},
		"an invitation without answer": {want: "I-12", after: func(w *world) {
			d := newDeal("unanswered", buyers, schemas.Funding_FUNDING_DEPOSIT, 10)
			w.put(schemas.TopicInvitations, d.id(), d.invitation)
		}},
		"an invitation that nobody can read and nobody keeps": {want: "I-12", play: func(w *world) {
			w.lose = func(r pipeline.Record) bool { return r.Topic == schemas.TopicDeadLetters }
		}},
		"a card's number in a refusal": {want: "I-14", after: func(w *world) {
			w.put(schemas.TopicRefusals, "refusal", &schemas.Refusal{
				InvitationId: "x", ContentDigest: make([]byte, 16), Seller: "s", Reference: "r",
				Reason: schemas.Reason_REASON_INVALID, Detail: "card 4111111111111111 is no account",
			})
		}},
		"a card's number in what nobody can read": {want: "I-14", after: func(w *world) {
			w.unreadable(0, `{"pan":"4111111111111111"}`)
		}},
		"a canary in a reference": {want: "I-14", after: func(w *world) {
			w.invite(newDeal("canary-7c1f", buyers, schemas.Funding_FUNDING_DEPOSIT, 10))
		}},
		"a canary in Redis": {want: "I-14", after: func(w *world) {
			w.tables["accounts"][0]["seen0"] = map[string]string{"canary-7c1f": digest("x")}
		}},
		"an account that is not in Redis": {want: "I-16", after: func(w *world) {
			delete(w.tables["accounts"][schemas.PartitionOf([]byte(sellers), shards)]["accounts"], sellers)
		}},
		"an open pre-issue that is not in Redis": {want: "I-16", after: func(w *world) {
			for _, tables := range w.tables["pre-issues"] {
				delete(tables["open"], opened().id())
			}
		}},
		"an open pre-issue has the terms of another content in Redis": {want: "I-16", after: func(w *world) {
			for _, tables := range w.tables["pre-issues"] {
				if row, ok := tables["open"][opened().id()]; ok {
					tables["open"][opened().id()] = row[:32] + termsRow(issued())[32:]
				}
			}
		}},
		"a decided pre-issue has the terms of another content in Redis": {want: "I-16", after: func(w *world) {
			for _, tables := range w.tables["pre-issues"] {
				if row, ok := tables["decided0"][declined().id()]; ok {
					tables["decided0"][declined().id()] = strings.Replace(row,
						termsRow(declined()), termsRow(declined())[:32]+termsRow(issued())[32:], 1)
				}
			}
		}},
		"Redis has another history": {want: "I-16", after: func(w *world) {
			w.digest["accounts"][buyerShard] = strings.Repeat("0", 40)
		}},
		"Redis was emptied": {want: "I-16", after: func(w *world) {
			w.at["accounts"][buyerShard], w.digest["accounts"][buyerShard] = 0, ""
			w.tables["accounts"][buyerShard] = nil
		}},
		"an item was rewritten": {want: "I-16", after: func(w *world) {
			log := w.log[schemas.TopicEntries][buyerShard]
			for i, r := range log {
				in, err := pipeline.Decode(r)
				e, ok := in.Body.(*schemas.Entry)
				if err != nil || !ok || e.GetMovement().GetHold() == nil {
					continue
				}
				e.Decision.Changes = nil
				again := w.record(r.Topic, in.ID, e)
				r.Value = again.Value
				log[i] = r
				return
			}
		}},
		"a second decision of one pre-issue": {want: "I-22", after: func(w *world) { w.request(declined()) }},
		"a hold that has ended is captured": {want: "I-22", after: func(w *world) {
			w.capture("capture-3", settled().hold(), 1)
		}},
		"a hold is made again": {want: "I-22", after: func(w *world) {
			w.hold(settled().hold(), settled().movement(w.t))
		}},
		"an account is opened again": {want: "I-22", after: func(w *world) {
			w.open(sellers, schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, 0)
		}},
		"a decided pre-issue is open again in Redis": {want: "I-22", after: func(w *world) {
			for _, tables := range w.tables["pre-issues"] {
				if _, ok := tables["decided0"][declined().id()]; ok {
					tables["open"][declined().id()] = termsRow(declined())
				}
			}
		}},
		"an entry answers a command twice": {want: "I-22", play: func(w *world) {
			w.alter["capture-1"] = func(d *schemas.Decision) { d.Offset = 0 }
		}},
		"a balance beyond what can be counted": {want: "I-23", after: func(w *world) {
			w.rewrite(buyers, " 1000 300 ", " 9007199254740992 300 ")
		}},
		"a balance that was rounded": {want: "I-23", play: func(w *world) {
			w.alter["open:seller"] = func(d *schemas.Decision) {
				d.Changes[0].Value = strings.Replace(d.GetChanges()[0].GetValue(), " 0 0 0 ",
					" 1e+15 0 0 ", 1)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.play != nil {
				c.play(w)
			}
			w.play()
			if c.after != nil {
				c.after(w)
			}
			report := audited(t, w.config())
			if !slices.ContainsFunc(report.Violations,
				func(v audit.Violation) bool { return v.Invariant == c.want }) {
				t.Errorf("%s is not reported, but %v", c.want, report.Violations)
			}
			if !slices.Contains(report.Checked, c.want) {
				t.Errorf("%s is not said to be checked", c.want)
			}
		})
	}
}

// rewrite changes an account's row in Redis.
func (w *world) rewrite(account, before, after string) {
	w.t.Helper()
	rows := w.tables["accounts"][schemas.PartitionOf([]byte(account), shards)]["accounts"]
	row := strings.Replace(rows[account], before, after, 1)
	if row == rows[account] {
		w.t.Fatalf("the row %q has no %q", row, before)
	}
	rows[account] = row
}
