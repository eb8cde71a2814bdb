package demo

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

// WindowDefault is how many rows, and how many accounts, wait for their answers at a time.
const WindowDefault = 2000

// Tracker knows what the logs say about a file's orders, and what its parties do next. It is pure: it has no
// clock and no effect. Not for use by several at once.
//
// First it is told every order (Plan), then what stands in the logs already (Fold), then that the rest is new
// (Live). From then on rows are handed in while there is Room, and what it wants published is taken out.
//
// Facts only ever add up, so it does not matter in which order the topics bring them, or how often.
type Tracker struct {
	window  int
	live    bool
	expired bool // some notices are gone; the journal says the same

	accounts map[string]*account
	order    []string // of accounts, as the file names them
	opened   int      // accounts that stand
	opening  int      // accounts whose opening is on its way
	next     int      // in order: the next one to open

	deals    map[string]*deal
	active   int // deals with a row on its way
	deferred int // rows that wait for an earlier one of their deal
	settled  int // rows that have their answer
	reported int // certificates that were told

	outbox []schemas.Message
	later  []schemas.Message // what was refused as untimely: taken again after a while
}

// account is a party's, and what it is opened as.
type account struct {
	open   *schemas.Open
	stands bool
}

// NewTracker returns a Tracker of no orders. A window of zero is WindowDefault.
func NewTracker(window int) *Tracker {
	if window == 0 {
		window = WindowDefault
	}
	return &Tracker{window: window, accounts: map[string]*account{}, deals: map[string]*deal{}}
}

// Plan takes note of an order: its deal, and the accounts that it needs, the buyer's with these funds. The
// first order of a deal says what the buyer does.
func (t *Tracker) Plan(o batch.Order, funds *schemas.Money) {
	kind := schemas.FundingKind(o.Funding)
	t.need(sellerAccount(o.SellerID, o.Currency), &schemas.Open{
		Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: o.SellerID,
		Funds: &schemas.Money{Currency: o.Currency},
	})
	t.need(buyerAccount(o.BuyerID, kind, o.Currency), &schemas.Open{Kind: kind, Holder: o.BuyerID, Funds: funds})
	id := schemas.InvitationID(ReceivingBank, o.SellerID, o.OrderID)
	if t.deals[id] == nil {
		t.deals[id] = &deal{status: statusOf(o)}
	}
}

func (t *Tracker) need(id string, open *schemas.Open) {
	if t.accounts[id] == nil {
		t.accounts[id] = &account{open: open}
		t.order = append(t.order, id)
	}
}

// Live says that what is folded from now on is new. Expired says that some notices were already gone.
func (t *Tracker) Live(expired bool) {
	t.live, t.expired = true, expired
	for _, d := range t.deals {
		t.answer(d)
	}
	t.openMore()
}

// Accounts says how many accounts stand, of how many.
func (t *Tracker) Accounts() (standing, all int) { return t.opened, len(t.order) }

// Room says whether another row may be handed in.
func (t *Tracker) Room() bool { return t.active < t.window && t.deferred < t.window }

// Idle says that every row that was handed in has its answer.
func (t *Tracker) Idle() bool { return t.active == 0 && t.deferred == 0 }

// Settled is how many rows have their answer.
func (t *Tracker) Settled() int { return t.settled }

// Submit hands a row in: its invitation. It waits for the rows before it that are of the same deal.
func (t *Tracker) Submit(x *schemas.Invitation) error {
	d := t.deals[x.GetId()]
	if d == nil {
		return fmt.Errorf("invitation %s was not planned: has the file of orders changed?", x.GetId())
	}
	d.line = append(d.line, x)
	if len(d.line) > 1 {
		t.deferred++
		return nil
	}
	t.active++
	t.begin(d)
	return nil
}

// Take returns up to so many messages that are to be published, without their time.
func (t *Tracker) Take(limit int) []schemas.Message {
	n := min(limit, len(t.outbox))
	taken := t.outbox[:n:n]
	t.outbox = t.outbox[n:]
	return taken
}

// Again puts what was refused as untimely into the outbox once more.
func (t *Tracker) Again() {
	t.outbox = append(t.outbox, t.later...)
	t.later = nil
}

// Outcome is what became of an invitation of this content; ok says whether that is known.
func (t *Tracker) Outcome(invitation string, content []byte) (a Answer, ok bool) {
	if d := t.deals[invitation]; d != nil {
		return d.outcome(string(content), t.expired)
	}
	return Answer{}, false
}

// begin sends the first row of the deal's line on its way.
func (t *Tracker) begin(d *deal) {
	d.head, d.met = string(schemas.ContentDigest(d.line[0])), false
	t.outbox = append(t.outbox, invitationMessage(d.line[0]))
}

// advance ends rows that have their answer, and begins those that waited for them.
func (t *Tracker) advance(d *deal) {
	for len(d.line) > 0 && d.met {
		if _, ok := d.outcome(d.head, t.expired); !ok {
			return
		}
		t.settled++
		if d.line = d.line[1:]; len(d.line) == 0 {
			d.line, d.head = nil, ""
			t.active--
			return
		}
		t.deferred--
		t.begin(d)
	}
}

// answer lets the buyer answer what is offered, if it is the buyer's turn.
func (t *Tracker) answer(d *deal) {
	if !t.live || d.terms == nil || d.answered {
		return
	}
	t.outbox = append(t.outbox, answerMessage(d.terms, d.status, d.cause, d.trace))
	d.terms, d.answered = nil, true
}

func (t *Tracker) openMore() {
	for t.live && t.opening < t.window && t.next < len(t.order) {
		id := t.order[t.next]
		t.next++
		if a := t.accounts[id]; !a.stands {
			t.opening++
			t.outbox = append(t.outbox, openMessage(id, a.open))
		}
	}
}

// Fold takes a message of one of the topics that the demo follows. An error means that the run cannot end
// well.
func (t *Tracker) Fold(in pipeline.In) error {
	switch body := in.Body.(type) {
	case *schemas.Entry:
		return t.foldEntry(body)
	case *schemas.PreIssue:
		return t.foldPreIssue(in.Attributes, body)
	case *schemas.Certificate:
		if d := t.deals[body.GetTerms().GetInvitationId()]; d != nil {
			d.certify(body)
			t.advance(d)
		}
	case *schemas.Refusal:
		t.foldRefusal(body)
	case *schemas.Notice:
		d := t.deals[body.GetInvitationId()]
		toBuyer := body.GetRecipient().GetRole() == schemas.Role_ROLE_BUYER
		if d != nil && toBuyer && body.GetSubject() == schemas.Subject_SUBJECT_REFUSED {
			d.tell(body.GetReason())
			t.advance(d)
		}
	}
	return nil
}

// Report is the outcome of a row, which is told now: its certificate is one of those that are written.
func (t *Tracker) Report(invitation string, content []byte) (a Answer, ok bool) {
	a, ok = t.Outcome(invitation, content)
	if d := t.deals[invitation]; ok && a.Outcome == Issued && !d.reported {
		d.reported = true
		t.reported++
	}
	return a, ok
}

// isReported says whether the certificate is one that a row was told.
func (t *Tracker) isReported(c *schemas.Certificate) bool {
	d := t.deals[c.GetTerms().GetInvitationId()]
	return d != nil && d.reported && d.certificate == c.GetId() &&
		d.issued == string(c.GetTerms().GetContentDigest())
}
