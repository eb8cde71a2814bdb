package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// summary is what the program prints with -o json.
type summary struct {
	Orders     int                          `json:"orders"`
	Outcomes   map[string]int               `json:"outcomes"`
	Amounts    map[string]map[string]string `json:"amounts"`
	Balances   map[string]balance           `json:"balances"`
	Invariants invariants                   `json:"invariants"`
	Seconds    json.Number                  `json:"seconds"`
	Kafka      string                       `json:"kafka"`
	Redis      string                       `json:"redis"`
}

type balance struct {
	Frozen string `json:"frozen"`
}

type invariants struct {
	Checked  int `json:"checked"`
	Violated int `json:"violated"`
}

// invariantsLeast are those that a run has to check.
const invariantsLeast = 12

// checkSummary compares the summary with the report, and what is frozen with what is certified.
func (o *oracle) checkSummary() {
	var s summary
	if err := strict(o.summary, &s); err != nil {
		o.differ(0, "summary: %v", err)
		return
	}
	if s.Orders != len(o.orders) {
		o.differ(0, "summary: %d orders, the file has %d", s.Orders, len(o.orders))
	}
	outcomes, amounts := map[string]int{}, map[string]map[string]*big.Int{}
	for i, row := range o.told {
		outcomes[row.outcome]++
		if !o.valid[i] {
			continue
		}
		currency := o.orders[i].currency
		if amounts[currency] == nil {
			amounts[currency] = map[string]*big.Int{}
		}
		if o.first[[2]string{o.orders[i].seller, o.orders[i].id}] == i {
			minor, _ := minorUnits(o.orders[i].amount, currency)
			amounts[currency][row.outcome] = sum(amounts[currency][row.outcome], minor)
		}
	}
	for _, outcome := range []string{"issued", "refused", "declined", "waiting", "invalid"} {
		if s.Outcomes[outcome] != outcomes[outcome] {
			o.differ(0, "summary: %d %s, the report has %d", s.Outcomes[outcome], outcome, outcomes[outcome])
		}
		delete(s.Outcomes, outcome)
		delete(outcomes, outcome)
	}
	if len(s.Outcomes)+len(outcomes) > 0 {
		o.differ(0, "there are no outcomes such as %v and %v", s.Outcomes, outcomes)
	}
	o.checkAmounts(s, amounts)
	if s.Invariants.Violated != 0 || s.Invariants.Checked < invariantsLeast {
		o.differ(0, "summary: invariants %+v", s.Invariants)
	}
	if took, err := s.Seconds.Float64(); err != nil || took <= 0 || s.Kafka == "" || s.Redis == "" {
		o.differ(0, "summary: seconds %q, kafka %q, redis %q", s.Seconds, s.Kafka, s.Redis)
	}
}

func (o *oracle) checkAmounts(s summary, amounts map[string]map[string]*big.Int) {
	if len(s.Amounts) != len(amounts) || len(s.Balances) != len(amounts) {
		o.differ(0, "summary: amounts of %d currencies, balances of %d; valid rows have %d", len(s.Amounts),
			len(s.Balances), len(amounts))
	}
	for currency, byOutcome := range amounts {
		for _, outcome := range []string{"issued", "refused", "declined", "waiting"} {
			want := decimal(byOutcome[outcome], currency)
			if got := s.Amounts[currency][outcome]; got != want {
				o.differ(0, "summary: %q %s %s, the report adds up to %s", got, currency, outcome, want)
			}
		}
		want := decimal(byOutcome["issued"], currency)
		if got := s.Balances[currency].Frozen; got != want {
			o.differ(0, "summary: %q %s are frozen, %s are certified", got, currency, want)
		}
	}
}

// decimal writes minor units with exactly the decimals that the currency has.
func decimal(minor *big.Int, currency string) string {
	if minor == nil {
		minor = new(big.Int)
	}
	exponent, _ := exponentOf(currency)
	digits := fmt.Sprintf("%0*s", exponent+1, minor.String())
	if exponent == 0 {
		return digits
	}
	return digits[:len(digits)-exponent] + "." + digits[len(digits)-exponent:]
}

// certificate is a line of the file of certificates.
type certificate struct {
	ID         string `json:"certificate_id"`
	Invitation string `json:"invitation_id"`
	JWS        string `json:"jws"`
}

// claims are the terms inside a certificate, those that the oracle compares.
type claims struct {
	Certificate string `json:"certificate_id"`
	Invitation  string `json:"invitation_id"`
	Seller      string `json:"seller"`
	Buyer       string `json:"buyer"`
	Reference   string `json:"reference"`
	Amount      string `json:"amount"`
	MinorUnits  string `json:"minor_units"`
	Currency    string `json:"currency"`
	Funding     string `json:"funding"`
}

// checkCertificates verifies each certificate with the keys beside it, and compares it with its row.
func (o *oracle) checkCertificates() {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(o.keys, &keys); err != nil {
		o.differ(0, "public keys: %v", err)
	}
	for _, key := range keys.Keys {
		if !key.IsPublic() {
			o.differ(0, "key %s is not a public one", key.KeyID)
		}
	}
	missing := maps.Clone(o.certified)
	for text := range bytes.Lines(o.certificates) {
		var c certificate
		if err := strict(text, &c); err != nil {
			o.differ(0, "certificates: %v", err)
			continue
		}
		row, ok := missing[c.ID]
		if !ok {
			o.differ(0, "certificate %s belongs to no row, or stands twice", c.ID)
			continue
		}
		delete(missing, c.ID)
		o.checkCertificate(c, row, keys)
	}
	for id, row := range missing {
		o.differ(row+2, "certificate %s was not written", id)
	}
}

func (o *oracle) checkCertificate(c certificate, row int, keys jose.JSONWebKeySet) {
	order, line := o.orders[row], row+2
	got, err := verify(c.JWS, keys)
	if err != nil {
		o.differ(line, "certificate %s: %v", c.ID, err)
		return
	}
	minor, _ := minorUnits(order.amount, order.currency)
	want := claims{
		Certificate: c.ID, Invitation: o.told[row].invitation,
		Seller: order.seller, Buyer: order.buyer, Reference: order.id,
		Amount: decimal(big.NewInt(minor), order.currency), MinorUnits: strconv.FormatInt(minor, 10),
		Currency: order.currency, Funding: order.account().kind,
	}
	if c.Invitation != want.Invitation || got != want {
		o.differ(line, "certificate %s of invitation %s says %+v, want %+v", c.ID, c.Invitation, got, want)
	}
}

// verify checks a certificate as anybody can who has the keys.
func verify(token string, keys jose.JSONWebKeySet) (claims, error) {
	var c claims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return c, err
	}
	known := keys.Key(signed.Signatures[0].Protected.KeyID)
	if len(known) != 1 {
		return c, fmt.Errorf("there are %d keys %q", len(known), signed.Signatures[0].Protected.KeyID)
	}
	payload, err := signed.Verify(known[0])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}

// strict reads one JSON value without fields that nobody knows.
func strict(text []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("there is more: %.100q", text)
	}
	return nil
}
