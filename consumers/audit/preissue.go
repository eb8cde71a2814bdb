package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Verbs that decide a pre-issue, as rows name them.
const (
	verbRequest  = "request"
	verbDecline  = "decline"
	verbWithdraw = "withdraw"
	verbLapse    = "lapse"
)

// preIssues folds a shard of the pre-issues book.
//
//	         ┌─ request ──▶ requested
//	         ├─ decline ──▶ declined
//	offer ─▶ open
//	         ├─ withdraw ─▶ withdrawn
//	         └─ lapse ────▶ lapsed
type preIssues struct {
	number int
	facts  *facts
	emit   func(Violation)
	where  string // the item that is being folded

	own map[string]*preIssue // of this shard, by invitation
}

func newPreIssues(number int, f *facts, emit func(Violation)) *preIssues {
	return &preIssues{number: number, facts: f, emit: emit, own: map[string]*preIssue{}}
}

func (p *preIssues) wrong(invariant, format string, args ...any) {
	p.emit(Violation{invariant, p.number, p.where, fmt.Sprintf(format, args...)})
}

func (p *preIssues) item(in pipeline.In, d *schemas.Decision) {
	p.where = fmt.Sprintf("%s/%d/%d", in.Topic, in.Partition, in.Offset)
	item, ok := in.Body.(*schemas.PreIssue)
	if !ok {
		p.wrong("I-16", "the item is a %T", in.Body)
		return
	}
	want := map[string]string{}
	if terms := item.GetRequest().GetTerms(); terms != nil && d.GetOutcome() == schemas.Outcome_OUTCOME_DONE {
		want = p.apply(item.GetRequest(), terms)
	}
	p.changed(d, want)
}

// apply does what the verb means, and returns what it must have written: values by table and field.
func (p *preIssues) apply(r *schemas.IssuanceRequest, terms *schemas.Terms) map[string]string {
	id, digest := terms.GetInvitationId(), string(schemas.TermsDigest(terms))
	known := p.own[id]
	verb := verbOf(r)
	if verb == "" {
		if known != nil {
			p.wrong("I-8", "a second pre-issue of invitation %s; the first stands at %s", id, known.where)
			return nil
		}
		if other := p.facts.preIssues[id]; other != nil {
			p.wrong("I-8", "the pre-issue of invitation %s stands in another shard too, at %s", id,
				other.where)
		}
		known = &preIssue{shard: p.number, where: p.where, content: contentOfTerms(terms), offered: digest}
		p.own[id], p.facts.preIssues[id] = known, known
		return map[string]string{tableOpen + " " + id: termsRow(digest, known.content)}
	}
	switch {
	case known == nil:
		p.wrong("I-22", "a %s of invitation %s is decided, and nobody has offered", verb, id)
		return nil
	case known.verb != "":
		p.wrong("I-22", "a %s of invitation %s is decided after a %s", verb, id, known.verb)
		return nil
	case known.offered != digest:
		p.wrong("I-8", "a %s of invitation %s is decided on other terms than were offered", verb, id)
	}
	known.verb, known.terms, known.account = verb, digest, r.GetRequest().GetAccount()
	return map[string]string{
		tableOpen + " " + id:    "",
		tableDecided + " " + id: verb + " " + termsRow(digest, contentOfTerms(terms)),
	}
}

// verbOf names what decides a pre-issue; an offer does not.
func verbOf(r *schemas.IssuanceRequest) string {
	switch r.GetVerb().(type) {
	case *schemas.IssuanceRequest_Request:
		return verbRequest
	case *schemas.IssuanceRequest_Decline:
		return verbDecline
	case *schemas.IssuanceRequest_Withdraw:
		return verbWithdraw
	case *schemas.IssuanceRequest_Lapse:
		return verbLapse
	}
	return ""
}

// changed compares what an item says it has written with what it means.
func (p *preIssues) changed(d *schemas.Decision, want map[string]string) {
	got := map[string]string{}
	for _, c := range d.GetChanges() {
		switch table := half(c.GetTable()); {
		case c.GetField() == "": // a half of a rotating table is forgotten
		case table == tableOpen:
			got[table+" "+c.GetField()] = c.GetValue()
		case table == tableDecided:
			got[table+" "+c.GetField()] = decisionOf(c.GetValue())
		}
	}
	if !maps.Equal(got, want) {
		p.wrong("I-16", "the item has written %v, it means %v", got, want)
	}
}

// half returns the name of a rotating table of which this is one half.
func half(table string) string {
	if table == tableDecided+"0" || table == tableDecided+"1" {
		return tableDecided
	}
	return table
}

// decisionOf is the verb and the terms of a row.
func decisionOf(row string) string {
	f := strings.Split(row, " ")
	return strings.Join(f[:min(2, len(f))], " ")
}

// compare holds Redis against what the journal means, at one position. Decisions may be forgotten there; an
// open pre-issue never is.
func (p *preIssues) compare(tables map[string]map[string]string) map[string]Account {
	p.where = redisPlace(BookPreIssues, p.number, tableOpen)
	open := tables[tableOpen]
	for _, id := range slices.Sorted(maps.Keys(open)) {
		switch known := p.own[id]; {
		case known == nil:
			p.wrong("I-16", "invitation %s is open, and nobody has offered", id)
		case known.verb != "":
			p.wrong("I-22", "invitation %s is open again, after a %s", id, known.verb)
		case open[id] != termsRow(known.offered, known.content):
			p.wrong("I-16", "invitation %s is open with other terms than were offered", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.own)) {
		if _, ok := open[id]; !ok && p.own[id].verb == "" {
			p.wrong("I-16", "invitation %s is not there; it was offered, and nobody has decided", id)
		}
	}
	for _, table := range []string{tableDecided + "0", tableDecided + "1"} {
		p.where = redisPlace(BookPreIssues, p.number, table)
		for _, id := range slices.Sorted(maps.Keys(tables[table])) {
			known := p.own[id]
			row := tables[table][id]
			if known == nil || decisionOf(row) != known.verb+" "+termsRow(known.terms, known.content) {
				p.wrong("I-16", "invitation %s is %s; the journal means something else", id, row)
			}
		}
	}
	return nil
}
