package certificate

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

// Claims are what a certificate says, in the order in which its JWS says it. Names and meanings stay for
// ever; new ones may join.
type Claims struct {
	CertificateID    string `json:"certificate_id"`
	InvitationID     string `json:"invitation_id"`
	ContentDigest    string `json:"content_digest"` // of the invitation, hexadecimal
	TermsDigest      string `json:"terms_digest"`   // hexadecimal
	Seller           string `json:"seller"`
	Reference        string `json:"reference"`
	Buyer            string `json:"buyer"`
	Amount           string `json:"amount"`      // with exactly the digits that the currency has: 177.20
	MinorUnits       string `json:"minor_units"` // 17720: a text, since not every reader has such integers
	Currency         string `json:"currency"`
	Funding          string `json:"funding"` // deposit, credit
	ReceivingBank    string `json:"receiving_bank"`
	ReceivingAccount string `json:"receiving_account"`
	IssuingBank      string `json:"issuing_bank"`
	IssuingAccount   string `json:"issuing_account"`
	AccountSource    string `json:"account_source"` // entered, confirmed
	Route            string `json:"route"`          // direct, via-seller
	HoldID           string `json:"hold_id"`
	DirectoryVersion string `json:"directory_version"`
	AcceptBy         string `json:"accept_by,omitempty"` // RFC 3339, UTC
	PresentBy        string `json:"present_by,omitempty"`
	SettleBy         string `json:"settle_by,omitempty"`
}

// ClaimsOf are the claims of a certificate.
func ClaimsOf(x *schemas.Certificate) Claims {
	terms := x.GetTerms()
	return Claims{
		CertificateID:    x.GetId(),
		InvitationID:     terms.GetInvitationId(),
		ContentDigest:    hex.EncodeToString(terms.GetContentDigest()),
		TermsDigest:      hex.EncodeToString(schemas.TermsDigest(terms)),
		Seller:           terms.GetSeller(),
		Reference:        terms.GetReference(),
		Buyer:            terms.GetBuyer(),
		Amount:           terms.GetAmount().Text(),
		MinorUnits:       strconv.FormatInt(terms.GetAmount().GetMinorUnits(), 10),
		Currency:         terms.GetAmount().GetCurrency(),
		Funding:          word(terms.GetFunding(), "FUNDING_"),
		ReceivingBank:    terms.GetReceivingBank(),
		ReceivingAccount: terms.GetReceivingAccount(),
		IssuingBank:      terms.GetIssuingBank(),
		IssuingAccount:   x.GetIssuingAccount(),
		AccountSource:    word(terms.GetAccountSource(), "ACCOUNT_SOURCE_"),
		Route:            word(terms.GetRoute(), "ROUTE_"),
		HoldID:           x.GetHoldId(),
		DirectoryVersion: strconv.FormatUint(terms.GetDirectoryVersion(), 10),
		AcceptBy:         when(terms.GetDeadlines().GetAcceptBy()),
		PresentBy:        when(terms.GetDeadlines().GetPresentBy()),
		SettleBy:         when(terms.GetDeadlines().GetSettleBy()),
	}
}

// Payload is the claims as JSON of printable ASCII alone, as Python's json.dumps writes texts: equal claims
// are equal bytes, and no reader needs to guess an encoding.
func (c Claims) Payload() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return nil, fmt.Errorf("write claims: %w", err)
	}
	return ascii(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// ascii escapes what is not printable ASCII in JSON whose control characters are escaped: it stands in texts.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch high, low := utf16.EncodeRune(r); {
		case r < 0x7f:
			out = append(out, text[0])
		case r > 0xffff:
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// word is the value's name without its prefix, as the books' words are written.
func word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value.String(), prefix), "_", "-"))
}

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

// Claim is one of them: its name and what it says.
type Claim struct{ Name, Value string }

// List is what the certificate says, in its order, without what it does not say.
func (c Claims) List() []Claim {
	return slices.DeleteFunc(c.list(), func(c Claim) bool { return c.Value == "" })
}

func (c Claims) list() []Claim {
	return []Claim{
		{"certificate_id", c.CertificateID},
		{"invitation_id", c.InvitationID},
		{"content_digest", c.ContentDigest},
		{"terms_digest", c.TermsDigest},
		{"seller", c.Seller},
		{"reference", c.Reference},
		{"buyer", c.Buyer},
		{"amount", c.Amount},
		{"minor_units", c.MinorUnits},
		{"currency", c.Currency},
		{"funding", c.Funding},
		{"receiving_bank", c.ReceivingBank},
		{"receiving_account", c.ReceivingAccount},
		{"issuing_bank", c.IssuingBank},
		{"issuing_account", c.IssuingAccount},
		{"account_source", c.AccountSource},
		{"route", c.Route},
		{"hold_id", c.HoldID},
		{"directory_version", c.DirectoryVersion},
		{"accept_by", c.AcceptBy},
		{"present_by", c.PresentBy},
		{"settle_by", c.SettleBy},
	}
}

// certificate is the certificate of which the claims tell. What is no number, no time, no digest and no word is an
// error; the rest is for its validation, and for the comparison with what follows.
func (c Claims) certificate(keyID, jws string) (*schemas.Certificate, error) {
	var p parsing
	terms := &schemas.Terms{
		InvitationId:     c.InvitationID,
		ContentDigest:    p.digest("content_digest", c.ContentDigest),
		Seller:           c.Seller,
		Reference:        c.Reference,
		Buyer:            c.Buyer,
		Amount:           &schemas.Money{MinorUnits: p.units("minor_units", c.MinorUnits), Currency: c.Currency},
		Funding:          schemas.Funding(p.word("funding", c.Funding, schemas.Funding_value, "FUNDING_")),
		ReceivingBank:    c.ReceivingBank,
		ReceivingAccount: c.ReceivingAccount,
		IssuingBank:      c.IssuingBank,
		AccountSource: schemas.AccountSource(
			p.word("account_source", c.AccountSource, schemas.AccountSource_value, "ACCOUNT_SOURCE_")),
		Route: schemas.Route(p.word("route", c.Route, schemas.Route_value, "ROUTE_")),
		Deadlines: &schemas.Deadlines{
			AcceptBy: p.time("accept_by", c.AcceptBy), PresentBy: p.time("present_by", c.PresentBy),
			SettleBy: p.time("settle_by", c.SettleBy),
		},
		KeyId:            keyID,
		DirectoryVersion: p.number("directory_version", c.DirectoryVersion),
	}
	if c.AcceptBy+c.PresentBy+c.SettleBy == "" {
		terms.Deadlines = nil
	}
	if terms.GetAccountSource() == schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED {
		terms.IssuingAccount = c.IssuingAccount
	}
	return &schemas.Certificate{
		Id: c.CertificateID, Terms: terms, IssuingAccount: c.IssuingAccount, HoldId: c.HoldID, Jws: jws,
	}, errors.Join(p.faults...)
}

// parsing reads claims, and remembers which are not what they should be.
type parsing struct{ faults []error }

func (p *parsing) fault(name, what string) {
	p.faults = append(p.faults, fmt.Errorf("%s is no %s", name, what))
}

func (p *parsing) digest(name, text string) []byte {
	digest, err := hex.DecodeString(text)
	if err != nil {
		p.fault(name, "digest in hexadecimal")
	}
	return digest
}

func (p *parsing) number(name, text string) uint64 {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		p.fault(name, "number")
	}
	return number
}

func (p *parsing) units(name, text string) int64 {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.fault(name, "number")
	}
	return number
}

func (p *parsing) word(name, text string, values map[string]int32, prefix string) int32 {
	value, ok := values[prefix+strings.ToUpper(strings.ReplaceAll(text, "-", "_"))]
	if !ok || value == 0 {
		p.fault(name, "word for one")
	}
	return value
}

func (p *parsing) time(name, text string) *timestamppb.Timestamp {
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		p.fault(name, "time")
	}
	return timestamppb.New(t)
}
