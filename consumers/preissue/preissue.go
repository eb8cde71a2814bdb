// Package preissue is the pre-issues book: it records the first decision on each pre-issue and answers
// everyone else with it. That is what makes two requests with two accounts yield one certificate.
//
//	reads   issuance-requests
//	effect  decides the pre-issues of the shard, in preissue.lua
//	emits   pre-issues: one for each request, with its outcome
package preissue

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// Book is the pre-issues book.
//
//	            ┌─ request ──▶ requested
//	            ├─ decline ──▶ declined
//	offer ─▶ open ┤
//	            ├─ withdraw ─▶ withdrawn
//	            └─ lapse ────▶ lapsed
type Book struct{}

var _ book.Book = Book{}

//go:embed preissue.lua
var script string

// Tables of the book, besides the protocol's. Each is a HASH of one row a field.
const (
	// TableOpen holds, under the invitation's id, TERMS: what stands for the terms that were offered and that
	// nobody has decided on. 48 hexadecimal digits, of which the first 32 are the digest of the terms, and the
	// last 16 the beginning of the digest of the invitation's content. A row stays until then, however long
	// that takes.
	TableOpen = "open"
	// TableDecided holds, under the invitation's id, the decision: VERB TERMS COMMAND DIGEST, that is what
	// was decided (request, decline, withdraw or lapse), the terms as in TableOpen, and the identifier and
	// the digest of the command. It rotates: the rows stand in decided0 and decided1 and are forgotten as
	// identifiers are.
	TableDecided = "decided"
)

// Name is the book's.
func (Book) Name() string { return "pre-issues" }

// Commands is the topic of what it is asked.
func (Book) Commands() string { return schemas.TopicIssuanceRequests }

// Journal is the topic of what it answers.
func (Book) Journal() string { return schemas.TopicPreIssues }

// Lua is the book's part of the script.
func (Book) Lua() string { return script }

// Tables are the book's own: TableOpen stays, TableDecided rotates.
func (Book) Tables() book.Tables {
	return book.Tables{Packed: []string{TableOpen}, Rotating: []string{TableDecided}}
}

// Fields are those that Plan makes of a request, behind the first four.
func (Book) Fields() []book.Field {
	return []book.Field{
		{Kind: book.RowField},    // the invitation
		{Kind: book.DigestField}, // the terms
		{Kind: book.SharedField}, // what is wrong
	}
}

// Item is the journal's record of a request.
func (Book) Item(in pipeline.In, d *schemas.Decision) proto.Message {
	request, _ := in.Body.(*schemas.IssuanceRequest)
	return &schemas.PreIssue{Decision: d, Id: in.ID, Request: request}
}

// Unreadable is the journal's record of what is no request.
func (Book) Unreadable(u *schemas.Unreadable, d *schemas.Decision) proto.Message {
	return &schemas.PreIssue{Decision: d, Unreadable: u}
}

// Plan makes the script's fields of a request. Whether the request contradicts the terms that it carries is
// said here, and becomes a refusal that is recorded.
func (Book) Plan(in pipeline.In) ([]string, error) {
	r, ok := in.Body.(*schemas.IssuanceRequest)
	if !ok {
		return nil, fmt.Errorf("body is a %T, must be an issuance request", in.Body)
	}
	if err := schemas.Validate(r); err != nil {
		return nil, err
	}
	if tick := r.GetTick(); tick != nil {
		return book.TickFields(in, tick), nil
	}
	verb, said := answer(r)
	if verb == "" {
		return nil, fmt.Errorf("verb is %T, which the book does not know", r.GetVerb())
	}
	terms := termsField(r.GetTerms())
	var fault string
	if why := faultOf(r, in.Time); why != schemas.Reason_REASON_UNSPECIFIED {
		fault = why.Word()
	}
	return []string{
		verb, in.ID, book.Millis(in.Time), book.Digest(append([]string{"pre-issue", verb, terms}, said...)...),
		r.GetTerms().GetInvitationId(), terms, fault,
	}, nil
}

// answer is what the request does, and what it says of its own besides the terms.
func answer(r *schemas.IssuanceRequest) (verb string, said []string) {
	switch v := r.GetVerb().(type) {
	case *schemas.IssuanceRequest_Offer:
		return "offer", nil
	case *schemas.IssuanceRequest_Request:
		return "request", []string{v.Request.GetBuyer(), v.Request.GetAccount()}
	case *schemas.IssuanceRequest_Decline:
		return "decline", []string{v.Decline.GetBuyer()}
	case *schemas.IssuanceRequest_Withdraw:
		return "withdraw", []string{v.Withdraw.GetSeller()}
	case *schemas.IssuanceRequest_Lapse:
		return "lapse", nil
	}
	return "", nil
}

// termsField stands for the terms in the book, which compares terms and does not know them: equal where they
// are the same, and at its end, contentDigits long, where only the invitation's content is. See TableOpen.
func termsField(t *schemas.Terms) string {
	content := hex.EncodeToString(t.GetContentDigest())
	return hex.EncodeToString(schemas.TermsDigest(t)) + content[:contentDigits]
}

const contentDigits = 16 // preissue.lua counts them too

// faultOf says in what the request, whose own time is at, contradicts the terms that it carries.
func faultOf(r *schemas.IssuanceRequest, at time.Time) schemas.Reason {
	terms := r.GetTerms()
	switch v := r.GetVerb().(type) {
	case *schemas.IssuanceRequest_Request:
		bank, _ := schemas.BankOf(v.Request.GetAccount())
		confirmed := terms.GetAccountSource() == schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
		switch {
		case v.Request.GetBuyer() != terms.GetBuyer():
			return schemas.Reason_REASON_BUYER
		case confirmed && v.Request.GetAccount() != terms.GetIssuingAccount():
			return schemas.Reason_REASON_ACCOUNT_PREFILLED
		case bank != terms.GetIssuingBank():
			return schemas.Reason_REASON_ACCOUNT_BANK
		}
	case *schemas.IssuanceRequest_Decline:
		if v.Decline.GetBuyer() != terms.GetBuyer() {
			return schemas.Reason_REASON_BUYER
		}
	case *schemas.IssuanceRequest_Withdraw:
		if v.Withdraw.GetSeller() != terms.GetSeller() {
			return schemas.Reason_REASON_SELLER
		}
	case *schemas.IssuanceRequest_Lapse: // without a deadline it never passes
		by := terms.GetDeadlines().GetAcceptBy()
		if by == nil || by.AsTime().After(at) {
			return schemas.Reason_REASON_EARLY
		}
	}
	return schemas.Reason_REASON_UNSPECIFIED
}
