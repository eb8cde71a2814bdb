package demo

import "github.com/aval-systems/aval/schemas"

// Outcome is what became of a row.
type Outcome string

// Outcomes.
const (
	Issued   Outcome = "issued"
	Refused  Outcome = "refused"
	Declined Outcome = "declined"
	Waiting  Outcome = "waiting"
	Invalid  Outcome = "invalid"
)

// outcomes are all of them, in the order in which people are told.
func outcomes() []Outcome { return []Outcome{Issued, Refused, Declined, Waiting, Invalid} }

// Answer is what a row is answered.
type Answer struct {
	Outcome     Outcome
	Certificate string // of an issued one
	Reason      string // of a refused or an invalid one
}

// deal is all that is known about one seller's reference: what the logs say of it, and the rows that ask for
// it.
type deal struct {
	status Status // what the buyer does

	offered  string         // the content that was offered
	terms    *schemas.Terms // the offer, until the buyer has answered it
	cause    string         // the offer's item
	trace    schemas.Trace  // of that
	answerID string         // the buyer's answer
	answered bool           // whether it was given in this run
	decided  bool           // somebody's answer was accepted

	issued      string // the content that is certified
	certificate string
	refusals    []refusal
	told        schemas.Reason // why the money was refused: what the buyer was told
	held        schemas.Reason // and what the journal says

	reported bool // whether a row was told of the certificate

	line []*schemas.Invitation // rows without answer; the first is on its way
	head string                // its content
	met  bool                  // whether the first book has answered it
}

// refusal is why a content was refused.
type refusal struct {
	content string
	reason  schemas.Reason
}

func (d *deal) offer(terms *schemas.Terms, item schemas.Attributes) {
	d.offered = string(terms.GetContentDigest())
	if d.status == NeverAnswer {
		return
	}
	d.terms, d.cause, d.trace = terms, item.ID, item.Trace
	d.answerID = answerMessage(terms, d.status, item.ID, item.Trace).ID
}

func (d *deal) certify(c *schemas.Certificate) {
	d.issued, d.certificate = string(c.GetTerms().GetContentDigest()), c.GetId()
}

// tell takes note of why the money was refused, as the buyer was told first.
func (d *deal) tell(reason schemas.Reason) {
	if d.told == schemas.Reason_REASON_UNSPECIFIED {
		d.told = reason
	}
}

func (d *deal) refuse(content string, reason schemas.Reason) {
	for _, r := range d.refusals {
		if r.content == content {
			return // the first stands
		}
	}
	d.refusals = append(d.refusals, refusal{content: content, reason: reason})
}

// outcome is the answer to a row of that content; ok says whether it is known.
func (d *deal) outcome(content string, expired bool) (a Answer, ok bool) {
	if d.certificate != "" && d.issued == content {
		return Answer{Outcome: Issued, Certificate: d.certificate}, true
	}
	for _, r := range d.refusals {
		if r.content == content {
			return d.refused(r.reason, expired)
		}
	}
	if d.status == NeverAnswer && d.offered == content && !d.decided {
		return Answer{Outcome: Waiting}, true
	}
	return Answer{}, false
}

func (d *deal) refused(reason schemas.Reason, expired bool) (a Answer, ok bool) {
	switch reason { //nolint:exhaustive // every other reason is told as it is
	case schemas.Reason_REASON_DECLINED:
		return Answer{Outcome: Declined}, true
	case schemas.Reason_REASON_NOT_GUARANTEED: // so much the seller knows; the buyer knows why
		reason = d.told
		if reason == schemas.Reason_REASON_UNSPECIFIED && expired {
			reason = d.held
		}
		if reason == schemas.Reason_REASON_UNSPECIFIED {
			return Answer{}, false
		}
	}
	return Answer{Outcome: Refused, Reason: reason.Word()}, true
}
