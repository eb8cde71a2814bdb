package audit

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// facts is what was read of the way from invitations to certificates, over all shards.
type facts struct {
	invitations  map[content]*invitation
	vouched      map[content]bool
	preIssues    map[string]*preIssue // by invitation
	holds        map[string]*hold     // by id: all that were ever made
	certificates map[string]*certificate
	refusals     map[content]map[schemas.Reason]string // and where
	letters      map[string]bool                       // places of records that nobody can read
	illegible    []pipeline.Record                     // on the topic of invitations
	reserved     map[int]map[string]int64              // by shard and currency, as Redis has it
}

func newFacts() *facts {
	return &facts{
		invitations:  map[content]*invitation{},
		vouched:      map[content]bool{},
		preIssues:    map[string]*preIssue{},
		holds:        map[string]*hold{},
		certificates: map[string]*certificate{},
		refusals:     map[content]map[schemas.Reason]string{},
		letters:      map[string]bool{},
		reserved:     map[int]map[string]int64{},
	}
}

// content is an invitation's identifier, and the digest of what one under it says.
type content struct{ invitation, digest string }

func contentOf(x *schemas.Invitation) content {
	return content{x.GetId(), string(schemas.ContentDigest(x))}
}

func contentOfTerms(t *schemas.Terms) content {
	return content{t.GetInvitationId(), string(t.GetContentDigest())}
}

// invitation is what a certificate must repeat of an invitation.
type invitation struct {
	partition int // -1: known from the vouch alone
	offset    int64
	amount    int64
	currency  string
	account   string
}

// preIssue is a pre-issue and the decision on it.
type preIssue struct {
	shard   int
	where   string
	content content
	offered string // digest of the terms
	verb    string // that decided it; empty while it is open
	terms   string // digest of the terms that were decided on
	account string // of a request
}

// hold is a hold, and whose it is.
type hold struct {
	holdRow

	id       string
	shard    int
	offset   int64 // of its command
	where    string
	currency string
	met      int64 // what remained when Redis was compared; 0 of one that was not live there

	invitation string // of an issuance request; empty of another reference
	terms      string // digest of the request's
}

// certificate is a certificate, and what it says.
type certificate struct {
	where    string
	id       string
	hold     string
	account  string
	terms    string // digest
	content  content
	amount   int64
	currency string
	receives string // the receiving account
	sum      uint64 // of the whole
}

// vouch notes an invitation that somebody asked to be vouched for, or that was.
func (f *facts) vouch(m *schemas.Movement) {
	x := &schemas.Invitation{}
	if m.GetVouch() == nil || !m.GetReference().MessageIs(x) || m.GetReference().UnmarshalTo(x) != nil {
		return
	}
	key := contentOf(x)
	f.vouched[key] = true
	if f.invitations[key] == nil {
		f.invitations[key] = invitationOf(x, -1, -1)
	}
}

func invitationOf(x *schemas.Invitation, partition int, offset int64) *invitation {
	return &invitation{
		partition: partition, offset: offset, account: x.GetReceivingAccount(),
		amount: x.GetAmount().GetMinorUnits(), currency: x.GetAmount().GetCurrency(),
	}
}

func (a *auditor) invitation(r pipeline.Record, in pipeline.In, err error) {
	x, ok := in.Body.(*schemas.Invitation)
	if err != nil || !ok {
		a.facts.illegible = append(a.facts.illegible, pipeline.Record{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		})
		return
	}
	key := contentOf(x)
	if known := a.facts.invitations[key]; known == nil || known.partition < 0 {
		a.facts.invitations[key] = invitationOf(x, r.Partition, r.Offset)
	}
}

func (a *auditor) refusal(r pipeline.Record, in pipeline.In, err error) {
	x, ok := in.Body.(*schemas.Refusal)
	if err != nil || !ok {
		return
	}
	key := content{x.GetInvitationId(), string(x.GetContentDigest())}
	if a.facts.refusals[key] == nil {
		a.facts.refusals[key] = map[schemas.Reason]string{}
	}
	a.facts.refusals[key][x.GetReason()] = place(r)
}

func (a *auditor) deadLetter(_ pipeline.Record, in pipeline.In, err error) {
	if x, ok := in.Body.(*schemas.DeadLetter); err == nil && ok {
		a.facts.letters[fmt.Sprintf("%s/%d/%d", x.GetTopic(), x.GetPartition(), x.GetOffset())] = true
	}
}

func (a *auditor) certificate(r pipeline.Record, in pipeline.In, err error) {
	wrong := func(invariant, format string, args ...any) {
		a.violate(Violation{invariant, r.Partition, place(r), fmt.Sprintf(format, args...)})
	}
	x, ok := in.Body.(*schemas.Certificate)
	if err != nil || !ok {
		wrong("I-5", "this is no certificate that can be read: %v", err)
		return
	}
	t := x.GetTerms()
	c := &certificate{
		where: place(r), id: x.GetId(), hold: x.GetHoldId(), account: x.GetIssuingAccount(),
		terms: string(schemas.TermsDigest(t)), content: contentOfTerms(t),
		amount: t.GetAmount().GetMinorUnits(), currency: t.GetAmount().GetCurrency(),
		receives: t.GetReceivingAccount(), sum: sum(marshal(x)),
	}
	known := a.facts.certificates[t.GetInvitationId()]
	switch {
	case known == nil:
		a.facts.certificates[t.GetInvitationId()] = c
	case known.id != c.id:
		wrong("I-8", "a second certificate of the invitation; the first stands at %s", known.where)
	case known.sum != c.sum:
		wrong("I-8", "the certificate says something else than before, at %s", known.where)
	}
}

// count tells how much there was.
func (f *facts) count(r *Report) {
	for _, x := range f.invitations {
		if x.partition >= 0 {
			r.Invitations++
		}
	}
	for _, reasons := range f.refusals {
		r.Refusals += len(reasons)
	}
	for _, h := range f.holds {
		if h.remaining() > 0 {
			r.Holds++
		}
	}
	r.Certificates = len(f.certificates)
}
