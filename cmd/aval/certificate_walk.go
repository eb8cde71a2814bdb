package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// topicOf is where the log tells that invitations come into a state.
func topicOf(state register.State) string {
	switch state {
	case register.StateIssued:
		return schemas.TopicCertificates
	case register.StateRequested:
		return schemas.TopicPreIssues
	case register.StateInvited:
		return schemas.TopicInvitations
	case register.StateRefused, register.StateDeclined, register.StateWithdrawn, register.StateLapsed,
		register.StateOpen:
	}
	return schemas.TopicRefusals
}

// back lists the newest ones first.
func (l *list) back(ctx context.Context) error {
	topic := topicOf(register.State(l.state))
	w := &walk[listed]{topic: topic, wants: l.wants, read: l.progress.Add}
	if err := w.begin(ctx, l.system.kafka, l.system.partitions, l.from, l.page); err != nil {
		return err
	}
	l.progress.Stage("look through "+topic, 0)
	defer l.progress.Done()
	for l.limit == 0 || l.count < l.limit {
		x, ok, err := w.newest(ctx)
		if err != nil {
			return errors.Join(err, l.close())
		}
		if !ok {
			return l.close()
		}
		if err := l.print(x); err != nil {
			return err
		}
	}
	page := w.page()
	if err := l.close(); err != nil || page == "" {
		return err
	}
	next(l.stderr, "--page %s", page)
	return nil
}

// candidate is a record that may be one of the list.
type candidate struct {
	fact  register.Fact
	state register.State // that it means by itself
	terms *agreed        // nil: to be read elsewhere
}

// wants returns what is listed of a chunk of a partition.
func (l *list) wants(ctx context.Context, partition int, records []pipeline.Record) ([]found[listed], error) {
	var candidates []candidate
	for _, r := range records {
		if c, ok := l.candidate(r); ok {
			candidates = append(candidates, c)
		}
	}
	if register.State(l.state) != register.StateIssued {
		var err error
		if candidates, err = l.settle(ctx, partition, candidates); err != nil {
			return nil, err
		}
	}
	var listing []found[listed]
	for _, c := range candidates {
		if c.terms == nil || !l.takes(*c.terms) || c.fact.Time.Before(l.from) {
			continue
		}
		x := listedOf(c.fact, c.state, *c.terms)
		switch body := c.fact.Body.(type) {
		case *schemas.Certificate:
			x.CertificateID, x.JWS = body.GetId(), body.GetJws()
		case *schemas.Refusal:
			x.Reason = body.GetReason().Word()
		}
		listing = append(listing, found[listed]{item: x, time: c.fact.Time, offset: c.fact.Offset})
	}
	return listing, nil
}

// mayBe says at a glance whether a record may be one of the list: most are not, and need not be read.
func (l *list) mayBe(r pipeline.Record) bool {
	texts := []string{l.seller, l.reference}
	if r.Topic != schemas.TopicRefusals { // which do not name the buyer
		texts = append(texts, l.buyer)
	}
	for _, text := range texts {
		if !bytes.Contains(r.Value, []byte(text)) {
			return false
		}
	}
	if r.Topic != schemas.TopicPreIssues {
		return true
	}
	g, ok := schemas.GlanceItem(r.Value)
	return !ok || g.Verb == schemas.VerbRequest && g.Outcome == schemas.Outcome_OUTCOME_DONE
}

// candidate reads a record, if what it says of itself does not rule it out.
func (l *list) candidate(r pipeline.Record) (candidate, bool) {
	if !l.mayBe(r) {
		return candidate{}, false
	}
	f, ok := register.FactOf(r)
	if !ok {
		return candidate{}, false
	}
	c := candidate{fact: f, state: register.State(l.state)}
	switch body := f.Body.(type) {
	case *schemas.Certificate:
		a := agreedIn(body.GetTerms())
		a.IssuingAccount = body.GetIssuingAccount()
		c.terms = &a
	case *schemas.Refusal:
		c.state = refusedAs(body.GetReason())
		ok = l.takesSide(body.GetSeller(), body.GetReference())
	case *schemas.PreIssue:
		request := body.GetRequest().GetRequest()
		ok = request != nil && body.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
		a := agreedIn(body.GetRequest().GetTerms())
		a.IssuingAccount = request.GetAccount()
		c.terms = &a
	case *schemas.Invitation:
		a := agreedWanted(body)
		c.terms = &a
	}
	return c, ok && string(c.state) == l.state && (c.terms == nil || l.takes(*c.terms))
}

// settle keeps the candidates of which the register says that they have come so far and no further, and reads what
// their own record does not tell.
func (l *list) settle(ctx context.Context, partition int, candidates []candidate) ([]candidate, error) {
	ids := make([]string, len(candidates))
	for i, c := range candidates {
		ids[i] = c.fact.Invitation()
	}
	rows, err := l.stories.Rows(ctx, partition, ids...)
	if err != nil {
		return nil, err
	}
	var kept []candidate
	missing := map[string][]int64{} // where the terms stand, by topic
	for i, c := range candidates {
		row := rows[i]
		if len(row) > 0 && string(row.State()) != l.state || !l.knows(row, c) {
			continue
		}
		kept = append(kept, c)
		if m, ok := termsMark(row); ok && c.terms == nil {
			missing[m.Kind.Topic()] = append(missing[m.Kind.Topic()], m.Offset)
		}
	}
	known, err := l.termsAt(ctx, partition, missing)
	if err != nil {
		return nil, err
	}
	for i := range kept {
		kept[i].complete(known)
	}
	return kept, nil
}

// complete gives a candidate the terms that its own record does not tell: at least what a refusal says.
func (c *candidate) complete(known map[string]agreed) {
	if c.terms != nil {
		return
	}
	a, ok := known[c.fact.Invitation()]
	if refusal, is := c.fact.Body.(*schemas.Refusal); is && !ok {
		a = agreed{Seller: refusal.GetSeller(), Reference: refusal.GetReference()}
	}
	c.terms = &a
}

// knows says whether the register has heard of the candidate. What it has forgotten was in its time what it says; but a
// journal's record that it never took in is one that does not count.
func (l *list) knows(row register.Row, c candidate) bool {
	if c.fact.Topic != schemas.TopicPreIssues {
		return len(row) > 0 || c.fact.Topic == schemas.TopicRefusals
	}
	for _, m := range row {
		if m.Kind == register.KindRequested && m.Offset == c.fact.Offset {
			return true
		}
	}
	return false
}

// termsMark is where the terms are told, or at least what was asked for.
func termsMark(row register.Row) (register.Mark, bool) {
	if m, ok := row.Offer(); ok {
		return m, true
	}
	for _, m := range row {
		if m.Kind == register.KindInvited {
			return m, true
		}
	}
	return register.Mark{}, false
}

// termsAt reads terms, by their invitations.
func (l *list) termsAt(
	ctx context.Context, partition int, offsets map[string][]int64,
) (map[string]agreed, error) {
	known := map[string]agreed{}
	for topic, at := range offsets {
		err := l.stories.Facts(ctx, topic, partition, at, func(f register.Fact) error {
			switch body := f.Body.(type) {
			case *schemas.PreIssue:
				known[f.Invitation()] = agreedIn(body.GetRequest().GetTerms())
			case *schemas.Invitation:
				known[f.Invitation()] = agreedWanted(body)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// followOn lists those that come from now on, or from the time on that was given.
func (l *list) followOn(ctx context.Context) error {
	topic := topicOf(register.State(l.state))
	from := make([]int64, l.system.partitions)
	for p := range from {
		start, end, err := l.system.kafka.Since(ctx, topic, p, l.from)
		if err != nil {
			return err
		}
		if from[p] = end; !l.from.IsZero() {
			from[p] = start
		}
	}
	err := l.system.kafka.Tail(ctx, topic, from, func(partition int, records []pipeline.Record) error {
		return l.came(ctx, partition, records)
	})
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		err = nil // whoever follows stops when they have seen enough
	}
	return errors.Join(err, l.close())
}

// came lists what of the records that come is wanted.
func (l *list) came(ctx context.Context, partition int, records []pipeline.Record) error {
	if err := l.heard(ctx, partition, records); err != nil {
		return err
	}
	listing, err := l.wants(ctx, partition, records)
	if err != nil {
		return err
	}
	for _, f := range listing {
		if err := l.print(f.item); err != nil {
			return err
		}
		if l.limit > 0 && l.count >= l.limit {
			return errEnough
		}
	}
	return l.printer.flush()
}

// heard waits until the register has heard of refusals that come, since it knows more of them; for a while.
func (l *list) heard(ctx context.Context, partition int, records []pipeline.Record) error {
	if register.State(l.state) == register.StateIssued || len(records) == 0 {
		return nil
	}
	last, ok := register.FactOf(records[len(records)-1])
	if !ok {
		return nil
	}
	for until := time.Now().Add(finalPatience); time.Now().Before(until); {
		rows, err := l.stories.Rows(ctx, partition, last.Invitation())
		if err != nil {
			return fmt.Errorf("look up %s: %w", last.Invitation(), err)
		}
		for _, m := range rows[0] {
			if m.Kind.Topic() == last.Topic && m.Offset >= last.Offset {
				return nil
			}
		}
		if err := pipeline.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}
