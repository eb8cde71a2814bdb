package demo_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// told is a line of a report, read by its own reader: no code of the demo's.
type told struct {
	line                                                     string
	order, seller, buyer, amount, currency                   string
	invitation, certificate, outcome, reason, content, party string
	parsed                                                   batch.Order
}

// checkReport compares a report with the orders, knowing nothing of how it came to be: the first valid row of
// a seller's reference stands, an equal one is answered equally, another one is a conflict; money suffices or
// not.
func checkReport(t *testing.T, orders, report, funds string) []told {
	t.Helper()
	rows := rowsOf(t, orders)
	lines := linesOf(t, report)
	if len(rows) != len(lines) {
		t.Fatalf("%d rows, %d lines in the report", len(rows), len(lines))
	}
	first := map[string]told{}
	held, refused := map[string]int64{}, map[string]int64{} // the smallest amount that was refused
	for i, row := range rows {
		got := lines[i]
		want := []string{strconv.Itoa(row.Line), row.OrderID, row.SellerID, row.BuyerID, row.Amount, row.Currency}
		if fmt.Sprint(want) != fmt.Sprint([]string{
			got.line, got.order, got.seller, got.buyer, got.amount, got.currency,
		}) {
			t.Errorf("the report repeats %q as %+v", want, got)
		}
		order, reason := batch.Parse(row)
		if reason != "" {
			if got.outcome != "invalid" || got.reason == "" || got.invitation != "" {
				t.Errorf("line %s is invalid and was told %q (%s)", got.line, got.outcome, got.reason)
			}
			continue
		}
		got.content = fmt.Sprintf("%q %v %v", order.BuyerID, order.Money, order.Funding)
		got.party = fmt.Sprintf("%q %v %s", order.BuyerID, order.Funding, order.Currency)
		got.parsed = order
		name := fmt.Sprintf("%q %q", order.SellerID, order.OrderID)
		if stands, again := first[name]; again {
			checkAgain(t, stands, got)
			continue
		}
		first[name] = got
		checkFirst(t, got, held, refused)
	}
	for party, least := range refused {
		all, _ := schemas.ParseMoney(funds, party[len(party)-3:])
		if held[party]+least <= all.GetMinorUnits() {
			t.Errorf("%s: %d was refused, %d are held of %d", party, least, held[party], all.GetMinorUnits())
		}
	}
	for party, sum := range held {
		if all, _ := schemas.ParseMoney(funds, party[len(party)-3:]); sum > all.GetMinorUnits() {
			t.Errorf("%s: %d are held of %d", party, sum, all.GetMinorUnits())
		}
	}
	return lines
}

func checkAgain(t *testing.T, stands, got told) {
	t.Helper()
	if stands.content != got.content {
		if got.outcome != "refused" || got.reason != "conflict" || got.certificate != "" {
			t.Errorf("line %s contradicts %s and was told %s (%s)", got.line, stands.line, got.outcome, got.reason)
		}
		return
	}
	same := stands.outcome == got.outcome && stands.reason == got.reason &&
		stands.certificate == got.certificate && stands.invitation == got.invitation
	if !same {
		t.Errorf("line %s repeats %s and was told %s, not %s", got.line, stands.line, got.outcome, stands.outcome)
	}
}

func checkFirst(t *testing.T, got told, held, refused map[string]int64) {
	t.Helper()
	if got.invitation != schemas.InvitationID(demo.ReceivingBank, got.seller, got.order) {
		t.Errorf("line %s has invitation %q", got.line, got.invitation)
	}
	minor := got.parsed.Money.GetMinorUnits()
	want := map[string]string{"canceled": "declined", "unavailable": "waiting"}[got.parsed.OrderStatus]
	switch {
	case want != "":
		if got.outcome != want {
			t.Errorf("line %s was told %s (%s), want %s", got.line, got.outcome, got.reason, want)
		}
	case got.outcome == "issued":
		held[got.party] += minor
		if got.certificate != schemas.CertificateID(schemas.HoldID(got.invitation)) {
			t.Errorf("line %s has certificate %q", got.line, got.certificate)
		}
	case got.outcome != "refused" || got.reason != "insufficient":
		t.Errorf("line %s was told %s (%s)", got.line, got.outcome, got.reason)
	case refused[got.party] == 0 || minor < refused[got.party]:
		refused[got.party] = minor
	}
}

func rowsOf(t *testing.T, orders string) []batch.Row {
	t.Helper()
	r, err := batch.NewReader("orders", strings.NewReader(orders))
	if err != nil {
		t.Fatal(err)
	}
	var rows []batch.Row
	for row, err := range r.Rows() {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// linesOf reads a report. The names of its columns are turned into those that the reader knows, twice.
func linesOf(t *testing.T, report string) []told {
	t.Helper()
	const columns = "line,order_id,seller_id,buyer_id,amount,currency," +
		"invitation_id,certificate_id,outcome,reason"
	body, ok := strings.CutPrefix(report, columns+"\n")
	if !ok {
		t.Fatalf("the report begins with %.200q", report)
	}
	texts := rowsOf(t, "x,order_id,seller_id,buyer_id,amount,currency,1,2,3,4\n"+body)
	answers := rowsOf(t, "order_id,1,2,3,4,5,seller_id,buyer_id,amount,currency\n"+body)
	lines := make([]told, len(texts))
	for i, r := range texts {
		a := answers[i]
		lines[i] = told{
			line: a.OrderID, order: r.OrderID, seller: r.SellerID, buyer: r.BuyerID,
			amount: r.Amount, currency: r.Currency,
			invitation: a.SellerID, certificate: a.BuyerID, outcome: a.Amount, reason: a.Currency,
		}
	}
	return lines
}

// checkSummary compares a summary with the report.
func checkSummary(t *testing.T, s demo.Summary, lines []told) {
	t.Helper()
	counts := map[demo.Outcome]int{}
	amounts := map[string]map[demo.Outcome]*big.Int{}
	seen := map[string]bool{}
	for _, l := range lines {
		counts[demo.Outcome(l.outcome)]++
		if l.outcome == "invalid" || seen[l.invitation] {
			continue
		}
		seen[l.invitation] = true
		money, err := schemas.ParseMoney(l.amount, l.currency)
		if err != nil {
			t.Fatal(err)
		}
		if amounts[l.currency] == nil {
			amounts[l.currency] = map[demo.Outcome]*big.Int{}
		}
		sum := amounts[l.currency][demo.Outcome(l.outcome)]
		if sum == nil {
			sum = new(big.Int)
		}
		amounts[l.currency][demo.Outcome(l.outcome)] = sum.Add(sum, big.NewInt(money.GetMinorUnits()))
	}
	if s.Orders != len(lines) {
		t.Errorf("the summary has %d orders, the report %d", s.Orders, len(lines))
	}
	for _, outcome := range []demo.Outcome{
		demo.Issued, demo.Refused, demo.Declined, demo.Waiting, demo.Invalid,
	} {
		if s.Outcomes[outcome] != counts[outcome] {
			t.Errorf("the summary has %d %s, the report %d", s.Outcomes[outcome], outcome, counts[outcome])
		}
		for currency, by := range amounts {
			want := "" // such a row has no amount
			if by[outcome] != nil {
				want = schemas.FormatAmount(by[outcome].Int64(), currency)
			} else if outcome != demo.Invalid {
				want = schemas.FormatAmount(0, currency)
			}
			if got := s.Amounts[currency][outcome]; got != want {
				t.Errorf("the summary has %q %s %s, the report %q", got, currency, outcome, want)
			}
			if outcome == demo.Issued && s.Balances[currency].Frozen != want {
				t.Errorf("%s %s are frozen, %s are certified", s.Balances[currency].Frozen, currency, want)
			}
		}
	}
}

// checkCertificates verifies the certificates with nothing but the keys beside them.
func checkCertificates(t *testing.T, text, keys string, lines []told) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(keys), &set); err != nil {
		t.Fatal(err)
	}
	public, err := certificate.LoadPublicKeys(strings.NewReader(keys))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]told{}
	for _, l := range lines {
		if l.certificate != "" {
			wanted[l.certificate] = l
		}
	}
	for line := range strings.Lines(text) {
		var c struct {
			CertificateID string `json:"certificate_id"`
			InvitationID  string `json:"invitation_id"`
			JWS           string `json:"jws"`
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		claims, err := certificate.Verify(c.JWS, public)
		row, ok := wanted[c.CertificateID]
		named := claims.Seller == row.seller && claims.Buyer == row.buyer && claims.Reference == row.order
		if err != nil || !ok || !named {
			t.Errorf("certificate %s: %v, row %+v", c.CertificateID, err, row)
		}
		delete(wanted, c.CertificateID)
	}
	if len(wanted) > 0 {
		t.Errorf("%d certificates were not written", len(wanted))
	}
}
