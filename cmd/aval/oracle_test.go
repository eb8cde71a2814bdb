package main_test

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// evidence is what a run was given and what it gave. The oracle knows nothing else, and none of the program's code.
type evidence struct {
	orders, report, summary, certificates, keys []byte
	funds                                       string // of each account: of a buyer, a kind and a currency
}

// oracle collects every difference between what the evidence says and what the orders should have led to.
type oracle struct {
	evidence

	found []string

	orders []order
	told   []told // beside the orders
	valid  []bool // beside the orders

	first     map[[2]string]int // of a seller and its reference: the row that stands
	refused   map[account][]int // rows
	held      map[account]*big.Int
	certified map[string]int // of a certificate: the row that it was issued for
}

// order is a row of the orders' file.
type order struct{ id, seller, buyer, amount, currency, payment, status string }

// told is a row of the report.
type told struct {
	order
	line, invitation, certificate, outcome, reason string
}

// account is one of a buyer, by what it pays with.
type account struct{ buyer, kind, currency string }

func (o order) account() account {
	kind := "deposit"
	if o.payment == "credit_card" {
		kind = "credit"
	}
	return account{o.buyer, kind, o.currency}
}

// differences returns everything that is wrong.
func (e evidence) differences() []string {
	o := &oracle{
		evidence: e, first: map[[2]string]int{}, refused: map[account][]int{}, held: map[account]*big.Int{},
		certified: map[string]int{},
	}
	o.read()
	if len(o.orders) != len(o.told) {
		o.differ(0, "%d orders, %d rows in the report", len(o.orders), len(o.told))
		return o.found
	}
	invitations := map[string][2]string{}
	for i := range o.orders {
		o.row(i, invitations)
	}
	o.money()
	o.checkSummary()
	o.checkCertificates()
	return o.found
}

func (o *oracle) differ(row int, format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	if row > 0 {
		text = fmt.Sprintf("line %d: %s", row, text)
	}
	o.found = append(o.found, text)
}

// row judges a row by itself and by the rows before it.
func (o *oracle) row(i int, invitations map[string][2]string) {
	want, got, line := o.orders[i], o.told[i], i+2
	if got.line != strconv.Itoa(line) {
		o.differ(line, "the report says line %q", got.line)
	}
	asked := want
	asked.payment, asked.status = "", "" // which no report repeats
	if repeated := got.order; repeated != asked {
		o.differ(line, "the report repeats %+v, the order is %+v", repeated, want)
	}
	_, o.valid[i] = minorUnits(want.amount, want.currency)
	o.valid[i] = o.valid[i] && want.id != "" && want.seller != "" && want.buyer != ""
	if !o.valid[i] {
		if got.outcome != "invalid" || got.reason == "" || got.certificate != "" || got.invitation != "" {
			o.differ(line, "is invalid and was answered %+v", got)
		}
		return
	}
	name := [2]string{want.seller, want.id}
	if got.invitation == "" {
		o.differ(line, "has no invitation")
	} else if other, again := invitations[got.invitation]; again && other != name {
		o.differ(line, "has the invitation of %q", other)
	}
	invitations[got.invitation] = name
	if before, again := o.first[name]; again {
		o.again(i, before)
		return
	}
	o.first[name] = i
	o.judgeFirst(i)
}

// again judges a row whose seller and reference came before.
func (o *oracle) again(i, before int) {
	got, stands, line := o.told[i], o.told[before], i+2
	amount, _ := minorUnits(o.orders[i].amount, o.orders[i].currency)
	standing, _ := minorUnits(o.orders[before].amount, o.orders[before].currency)
	if o.orders[i].account() != o.orders[before].account() || amount != standing {
		if got.outcome != "refused" || got.reason != "conflict" || got.certificate != "" {
			o.differ(line, "contradicts line %d and was answered %s (%s)", before+2, got.outcome, got.reason)
		}
		return
	}
	same := got.invitation == stands.invitation && got.certificate == stands.certificate &&
		got.outcome == stands.outcome && got.reason == stands.reason
	if !same {
		o.differ(line, "repeats line %d and was answered %s (%s), not %s (%s)", before+2, got.outcome, got.reason,
			stands.outcome, stands.reason)
	}
}

// judgeFirst judges a row that stands.
func (o *oracle) judgeFirst(i int) {
	got, from, line := o.told[i], o.orders[i].account(), i+2
	amount, _ := minorUnits(o.orders[i].amount, o.orders[i].currency)
	want := map[string]string{"canceled": "declined", "unavailable": "waiting"}[o.orders[i].status]
	switch {
	case want != "" && got.outcome != want:
		o.differ(line, "is %s and was answered %s (%s)", o.orders[i].status, got.outcome, got.reason)
	case want != "":
	case got.outcome == "issued":
		o.held[from] = sum(o.held[from], amount)
	case got.outcome == "refused" && got.reason == "insufficient":
		o.refused[from] = append(o.refused[from], i)
	default:
		o.differ(line, "was answered %s (%s)", got.outcome, got.reason)
	}
	switch before, again := o.certified[got.certificate]; {
	case got.outcome != "issued" && got.certificate != "":
		o.differ(line, "is %s and has certificate %s", got.outcome, got.certificate)
	case got.outcome == "issued" && got.certificate == "":
		o.differ(line, "has no certificate")
	case got.outcome == "issued" && again:
		o.differ(line, "has the certificate of line %d", before+2)
	case got.outcome == "issued":
		o.certified[got.certificate] = i
	}
}

// money judges each account: never more than it had, and nothing refused that would have fitted.
func (o *oracle) money() {
	for at, held := range o.held {
		if held.Cmp(o.fundsOf(at)) > 0 {
			o.differ(0, "%+v: %s minor units are held of %s", at, held, o.fundsOf(at))
		}
	}
	for at, rows := range o.refused {
		for _, i := range rows {
			amount, _ := minorUnits(o.orders[i].amount, o.orders[i].currency)
			if sum(o.held[at], amount).Cmp(o.fundsOf(at)) <= 0 {
				o.differ(i+2, "was refused, but fits: %s minor units are held of %s", o.held[at], o.fundsOf(at))
			}
		}
	}
}

func (o *oracle) fundsOf(at account) *big.Int {
	funds, ok := minorUnits(o.funds, at.currency)
	if !ok {
		o.differ(0, "funds of %s %s: no amount", o.funds, at.currency)
	}
	return big.NewInt(funds)
}

// read takes the files apart.
func (o *oracle) read() {
	for _, r := range o.table("orders", o.evidence.orders, "order_id", "seller_id", "buyer_id", "amount", "currency") {
		o.orders = append(o.orders, orderOf(r))
	}
	o.valid = make([]bool, len(o.orders))
	const header = "line,order_id,seller_id,buyer_id,amount,currency,invitation_id,certificate_id,outcome,reason\n"
	if !strings.HasPrefix(string(o.report), header) {
		o.differ(0, "the report begins with %.120q", o.report)
	}
	for _, r := range o.table("report", o.report, strings.Split(strings.TrimSpace(header), ",")...) {
		o.told = append(o.told, told{
			orderOf(r), r["line"], r["invitation_id"], r["certificate_id"], r["outcome"], r["reason"],
		})
	}
}

func orderOf(r map[string]string) order {
	return order{
		r["order_id"], r["seller_id"], r["buyer_id"], r["amount"], r["currency"], r["payment_type"], r["order_status"],
	}
}

func (o *oracle) table(name string, text []byte, columns ...string) []map[string]string {
	records := splitCSV(string(text))
	if len(records) == 0 {
		o.differ(0, "%s: empty", name)
		return nil
	}
	for _, column := range columns {
		if !slices.Contains(records[0], column) {
			o.differ(0, "%s: no column %s", name, column)
		}
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, column := range records[0] {
			if i < len(record) {
				row[column] = record[i]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// splitCSV reads well-formed CSV and keeps every byte of quoted text, line ends included.
func splitCSV(text string) (records [][]string) {
	const field = `(?s)"((?:[^"]|"")*)"|([^,\r\n]*)`
	form := regexp.MustCompile(`^(?:` + field + `)(,|\r\n|\n|\r|$)`)
	var record []string
	for text != "" {
		part := form.FindStringSubmatch(text)
		if part == nil {
			return append(records, []string{"not CSV: " + tail(text, 100)})
		}
		text = text[len(part[0]):]
		record = append(record, strings.ReplaceAll(part[1], `""`, `"`)+part[2])
		if part[3] != "," {
			if len(record) > 1 || record[0] != "" {
				records = append(records, record)
			}
			record = nil
		}
	}
	return records
}

// exponentOf is how many decimals an amount of a currency may have; it says no to what is no currency.
func exponentOf(currency string) (int, bool) {
	const known = " BRL USD EUR CNY JPY KRW CLP KWD BHD TND GBP CHF INR MXN CAD AUD SEK NOK DKK PLN ARS COP ZAR SGD " +
		"HKD NZD TRY THB IDR "
	if len(currency) != 3 || !strings.Contains(known, " "+currency+" ") {
		return 0, false
	}
	switch currency {
	case "JPY", "KRW", "CLP":
		return 0, true
	case "KWD", "BHD", "TND":
		return 3, true
	}
	return 2, true
}

// minorUnits reads an amount of at least one minor unit.
func minorUnits(text, currency string) (int64, bool) {
	exponent, ok := exponentOf(currency)
	whole, fraction, point := strings.Cut(text, ".")
	digits := regexp.MustCompile(`^[0-9]{1,16}$`)
	if !ok || !digits.MatchString(whole) || point && !digits.MatchString(fraction) || len(fraction) > exponent {
		return 0, false
	}
	value, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", exponent-len(fraction)), 10)
	if !ok || value.Sign() <= 0 || value.Cmp(big.NewInt(1<<53-1)) > 0 {
		return 0, false
	}
	return value.Int64(), true
}

func sum(before *big.Int, amount int64) *big.Int {
	if before == nil {
		before = new(big.Int)
	}
	return new(big.Int).Add(before, big.NewInt(amount))
}
