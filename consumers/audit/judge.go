package audit

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/aval-systems/aval/schemas"
)

// judgement is what the facts of a sweep say together.
type judgement struct {
	*auditor

	first bool
	found []Violation
	late  int // of those that were found, how many may still turn out to be on their way
}

// judge holds the facts of all shards against each other.
func (a *auditor) judge(first bool) *judgement {
	j := &judgement{auditor: a, first: first}
	j.certificates()
	j.holds()
	j.reserved()
	j.invitations()
	return j
}

func (j *judgement) wrong(invariant string, shard int, where, format string, args ...any) {
	j.found = append(j.found, Violation{invariant, shard, where, fmt.Sprintf(format, args...)})
}

// missing notes an effect that is not there. Its stage may not have come so far; if it has, what was missing
// at the first look must come, as the stage may be in the middle of its batch.
func (j *judgement) missing(reached bool, v Violation) {
	key := v.String()
	switch {
	case j.AtRest:
		j.found = append(j.found, v)
		return
	case j.first && reached:
		j.auditor.late[key] = true
	}
	if j.auditor.late[key] {
		j.found = append(j.found, v)
		j.late++
	}
}

// certificates checks that every certificate has its hold, its terms and its invitation.
func (j *judgement) certificates() {
	owners := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(j.facts.certificates)) {
		c := j.facts.certificates[id]
		if other, doubled := owners[c.hold]; doubled {
			j.wrong("I-5", -1, c.where, "the certificate has the hold %s, which is that of %s", c.hold, other)
		}
		owners[c.hold] = c.where
		j.ofHold(id, c)
		j.ofTerms(id, c)
		j.notRefused(c)
	}
}

// notRefused checks that the certificate's invitation did not end otherwise. Other refusals than these may
// also be said of a repeat that came too late.
func (j *judgement) notRefused(c *certificate) {
	for _, reason := range []schemas.Reason{
		schemas.Reason_REASON_DECLINED, schemas.Reason_REASON_WITHDRAWN, schemas.Reason_REASON_LAPSED,
	} {
		if where, ok := j.facts.refusals[c.content][reason]; ok {
			j.wrong("I-5", -1, c.where, "the certificate's invitation was refused as %s, at %s",
				reason.Word(), where)
		}
	}
}

func (j *judgement) ofHold(id string, c *certificate) {
	h := j.facts.holds[c.hold]
	switch {
	case h == nil:
		j.wrong("I-5", -1, c.where, "the certificate's hold %s does not exist", c.hold)
	case h.invitation != id:
		j.wrong("I-5", -1, c.where, "the certificate's hold %s is not that of its invitation", c.hold)
	case h.account != c.account || h.amount != c.amount || h.currency != c.currency:
		j.wrong("I-8", -1, c.where, "the certificate says %d %s on %s, its hold is %d %s on %s",
			c.amount, c.currency, c.account, h.amount, h.currency, h.account)
	case h.terms != c.terms:
		j.wrong("I-8", -1, c.where, "the certificate has other terms than its hold")
	}
}

func (j *judgement) ofTerms(id string, c *certificate) {
	switch p := j.facts.preIssues[id]; {
	case p == nil:
		j.wrong("I-8", -1, c.where, "the certificate's pre-issue does not exist")
	case p.verb != verbRequest:
		j.wrong("I-5", -1, c.where, "the certificate's pre-issue was not requested, but: %s",
			cmp.Or(p.verb, "nothing yet"))
	case p.offered != c.terms || p.terms != c.terms:
		j.wrong("I-8", -1, c.where, "the certificate has other terms than were offered and requested")
	case p.account != c.account:
		j.wrong("I-8", -1, c.where, "the certificate's account is %s, requested was %s", c.account, p.account)
	}
	switch x := j.facts.invitations[c.content]; {
	case x == nil:
		j.wrong("I-8", -1, c.where, "the certificate's invitation does not exist with the content %s",
			hex.EncodeToString([]byte(c.content.digest)))
	case x.amount != c.amount || x.currency != c.currency || x.account != c.receives:
		j.wrong("I-8", -1, c.where, "the certificate says %d %s for %s, its invitation %d %s for %s",
			c.amount, c.currency, c.receives, x.amount, x.currency, x.account)
	}
}

// holds checks that every hold of an issuance request has its certificate, and was requested.
func (j *judgement) holds() {
	reached := map[int]int64{}
	for _, h := range j.facts.holds {
		if j.certified(h) {
			reached[h.shard] = max(reached[h.shard], h.offset)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(j.facts.holds)) {
		h := j.facts.holds[id]
		if h.invitation == "" {
			continue
		}
		if id != schemas.HoldID(h.invitation) {
			j.wrong("I-5", h.shard, h.where, "hold %s is a second one of invitation %s", id, h.invitation)
			continue
		}
		if !j.certified(h) {
			what := "hold " + id + " has no certificate"
			j.missing(h.offset < reached[h.shard], Violation{"I-5", h.shard, h.where, what})
		}
		j.requested(h)
	}
}

// requested checks that the hold is what its pre-issue ended with: one that ended otherwise moves no money.
func (j *judgement) requested(h *hold) {
	switch p := j.facts.preIssues[h.invitation]; {
	case p == nil || p.verb == "":
		j.wrong("I-5", h.shard, h.where, "hold %s was never requested", h.id)
	case p.verb != verbRequest:
		j.wrong("I-10", h.shard, h.where, "hold %s is of a pre-issue that ended with a %s", h.id, p.verb)
	case p.terms != h.terms || p.account != h.account:
		j.wrong("I-8", h.shard, h.where, "hold %s has another account or other terms than requested", h.id)
	}
}

func (j *judgement) certified(h *hold) bool {
	c := j.facts.certificates[h.invitation]
	return c != nil && c.hold == h.id
}

// reserved checks that all that is frozen or held secures certificates (I-6), or what other systems hold for.
// When somebody is at work, a hold may wait for its certificate.
func (j *judgement) reserved() {
	owed := map[int]map[string]int64{}
	for _, h := range j.facts.holds {
		if h.met == 0 || j.AtRest && h.invitation != "" && !j.certified(h) {
			continue
		}
		if owed[h.shard] == nil {
			owed[h.shard] = map[string]int64{}
		}
		owed[h.shard][h.currency] += h.met
	}
	for _, shard := range slices.Sorted(maps.Keys(j.facts.reserved)) {
		currencies := maps.Clone(j.facts.reserved[shard])
		maps.Copy(currencies, owed[shard])
		for _, currency := range slices.Sorted(maps.Keys(currencies)) {
			if got, want := j.facts.reserved[shard][currency], owed[shard][currency]; got != want {
				j.wrong("I-6", shard, redisPlace(BookAccounts, shard, tableAccounts),
					"%d %s are frozen or held, open certificates and other holds have %d left",
					got, currency, want)
			}
		}
	}
}

// invitations checks that every invitation is answered for (I-12): with a vouch, a refusal or a dead letter.
func (j *judgement) invitations() {
	reached := map[int]int64{}
	for key, x := range j.facts.invitations {
		if j.answered(key, x) {
			reached[x.partition] = max(reached[x.partition], x.offset)
		}
	}
	byPlace := func(a, b content) int {
		x, y := j.facts.invitations[a], j.facts.invitations[b]
		return cmp.Or(cmp.Compare(x.partition, y.partition), cmp.Compare(x.offset, y.offset),
			cmp.Compare(a.invitation, b.invitation), cmp.Compare(a.digest, b.digest))
	}
	for _, key := range slices.SortedFunc(maps.Keys(j.facts.invitations), byPlace) {
		x := j.facts.invitations[key]
		if x.partition >= 0 && !j.answered(key, x) {
			j.missing(x.offset < reached[x.partition], Violation{
				"I-12", x.partition, invitationPlace(x.partition, x.offset),
				"the invitation " + key.invitation + " has no answer",
			})
		}
	}
	for _, r := range j.facts.illegible {
		if !j.facts.letters[place(r)] {
			j.missing(r.Offset < reached[r.Partition], Violation{
				"I-12", r.Partition, place(r), "nobody can read it, and it has no dead letter",
			})
		}
	}
}

func (j *judgement) answered(key content, x *invitation) bool {
	return j.facts.vouched[key] || len(j.facts.refusals[key]) > 0 ||
		j.facts.letters[invitationPlace(x.partition, x.offset)]
}

func invitationPlace(partition int, offset int64) string {
	return fmt.Sprintf("%s/%d/%d", schemas.TopicInvitations, partition, offset)
}
