package invite

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

// Column is one of a CSV of invitations.
type Column struct {
	Name   string
	Needed bool   // the header must name it
	Help   string // what it holds, and what it is taken for where it is empty
	set    func(*draft, string)
}

// Columns are those that a CSV of invitations may have, in any order.
func Columns() []Column {
	return []Column{
		{"receiving_account", true, "the seller's account, BANK/NUMBER: AVALBRSP/0001-7", setReceivingAccount},
		{"seller", true, "who is paid: a party", func(d *draft, t string) { d.x.Seller = t }},
		{"reference", true, "the seller's own; with bank and seller it makes the invitation one", setReference},
		{"buyer", true, "who pays: a party", func(d *draft, t string) { d.x.Buyer = t }},
		{"amount", true, "with a point before the minor units: 177.20", func(d *draft, t string) { d.amount = t }},
		{"currency", true, "code of ISO 4217: BRL", func(d *draft, t string) { d.currency = t }},
		{"receiving_bank", false, "BIC (empty: the bank of the receiving account)", setReceivingBank},
		{"funding", false, "deposit or credit (empty: deposit)", setFunding},
		{"issuing_bank", false, "BIC; one of issuing_bank, issuing_account, issuing_contact is needed", setIssuingBank},
		{"issuing_account", false, "the buyer's account, BANK/NUMBER", setIssuingAccount},
		{"issuing_contact", false, "the buyer's e-mail address or telephone number, +551199999999", setIssuingContact},
		{"route", false, "direct or via-seller (empty: direct)", setRoute},
		{
			"account_source", false, "entered or confirmed (empty: confirmed with issuing_account, else entered)",
			setSource,
		},
		{"accept_by", false, "until when the buyer may agree: 2026-01-31T10:00:00Z (empty: no limit)", setAcceptBy},
		{"present_by", false, "until when the certificate may be presented", setPresentBy},
		{"settle_by", false, "until when it is settled", setSettleBy},
		{"directory_version", false, "with which banks are resolved (empty: the newest)", setVersion},
	}
}

// setters says for each field of a row what it sets. An error names every column that is wrong.
func setters(header []string) ([]Column, error) {
	known := Columns()
	names := make([]string, len(known))
	for i, c := range known {
		names[i] = c.Name
	}
	columns := make([]Column, len(header))
	var errs []error
	for i, name := range header {
		at := slices.IndexFunc(known, func(c Column) bool { return c.Name == name })
		switch {
		case at < 0:
			errs = append(errs, fmt.Errorf("column %q is unknown: did you mean %s?",
				schemas.Shorten(name, schemas.IDMax), nearest(name, names)))
		case slices.Contains(header[:i], name):
			errs = append(errs, fmt.Errorf("column %s stands twice: leave one", name))
		default:
			columns[i] = known[at]
		}
		if len(errs) == faultsMax {
			break
		}
	}
	for _, c := range known {
		if c.Needed && !slices.Contains(header, c.Name) {
			errs = append(errs, fmt.Errorf("column %s is missing: add it", c.Name))
		}
	}
	return columns, errors.Join(errs...)
}

const faultsMax = 16 // of a row, or of a header, that are told

// nearest is the name that is the most like it.
func nearest(name string, known []string) string {
	name = strings.ToLower(schemas.Shorten(name, schemas.IDMax))
	return slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is how many letters must be changed, added or left out to make one text of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}

// draft is an invitation that is being read.
type draft struct {
	x                *schemas.Invitation
	amount, currency string
	issuing          []string // the columns of issuing information that are not empty
	faults           []fault
}

// fault is what is wrong with a field of a row.
type fault struct{ field, problem string }

func (d *draft) fault(field, format string, args ...any) {
	if len(d.faults) < faultsMax {
		d.faults = append(d.faults, fault{field, fmt.Sprintf(format, args...)})
	}
}

func setReceivingAccount(d *draft, text string) { d.x.ReceivingAccount = text }

func setReceivingBank(d *draft, text string) { d.x.ReceivingBank = text }

func setReference(d *draft, text string) { d.x.Reference = text }

func setFunding(d *draft, text string) {
	switch text { // what most rows say, at once
	case "":
		return
	case "deposit":
		d.x.Funding = schemas.Funding_FUNDING_DEPOSIT
		return
	}
	d.x.Funding = schemas.Funding(word(d, "funding", text, "FUNDING_", schemas.Funding_value))
}

func setRoute(d *draft, text string) {
	switch text {
	case "":
		return
	case "direct":
		d.x.Route = schemas.Route_ROUTE_DIRECT
		return
	}
	d.x.Route = schemas.Route(word(d, "route", text, "ROUTE_", schemas.Route_value))
}

func setSource(d *draft, text string) {
	switch text {
	case "":
		return
	case "entered":
		d.x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		return
	}
	d.x.AccountSource = schemas.AccountSource(
		word(d, "account_source", text, "ACCOUNT_SOURCE_", schemas.AccountSource_value))
}

// word reads one of an enumeration's words: via-seller, or as the schema writes it.
func word(d *draft, field, text, prefix string, values map[string]int32) int32 {
	name := strings.TrimPrefix(strings.ReplaceAll(strings.ToUpper(text), "-", "_"), prefix)
	if value, ok := values[prefix+name]; ok && value != 0 {
		return value
	}
	var words []string
	for name, value := range values {
		if value != 0 {
			words = append(words, strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", "-")))
		}
	}
	slices.Sort(words)
	d.fault(field, "%s, must be %s", shape(text), strings.Join(words, " or "))
	return 0
}

func setIssuingBank(d *draft, text string) {
	d.issue("issuing_bank", text, &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: text}})
}

func setIssuingAccount(d *draft, text string) {
	d.issue("issuing_account", text,
		&schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Account{Account: text}})
}

func setIssuingContact(d *draft, text string) {
	d.issue("issuing_contact", text,
		&schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{Contact: text}})
}

func (d *draft) issue(column, text string, information *schemas.IssuingInformation) {
	if text == "" {
		return
	}
	d.issuing = append(d.issuing, column)
	d.x.Issuing = information
}

func setAcceptBy(d *draft, text string) {
	if t := moment(d, "accept_by", text); t != nil {
		d.deadlines().AcceptBy = t
	}
}

func setPresentBy(d *draft, text string) {
	if t := moment(d, "present_by", text); t != nil {
		d.deadlines().PresentBy = t
	}
}

func setSettleBy(d *draft, text string) {
	if t := moment(d, "settle_by", text); t != nil {
		d.deadlines().SettleBy = t
	}
}

// deadlines are the invitation's, which has none until one is given.
func (d *draft) deadlines() *schemas.Deadlines {
	if d.x.Deadlines == nil {
		d.x.Deadlines = &schemas.Deadlines{}
	}
	return d.x.Deadlines
}

func moment(d *draft, field, text string) *timestamppb.Timestamp {
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		d.fault(field, "%s, must be a time of RFC 3339: 2026-01-31T10:00:00Z", shape(text))
		return nil
	}
	return timestamppb.New(t)
}

func setVersion(d *draft, text string) {
	if text == "" {
		return
	}
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil || version == 0 {
		d.fault("directory_version", "%s, must be a whole number of at least 1", shape(text))
		return
	}
	d.x.DirectoryVersion = version
}

// shape tells what a value looks like, not a long one itself.
func shape(text string) string {
	const shownMax = 32 // bytes
	switch {
	case text == "":
		return "is empty"
	case !utf8.ValidString(text):
		return fmt.Sprintf("has %d bytes that are not UTF-8", len(text))
	case len(text) > shownMax:
		return fmt.Sprintf("has %d bytes", len(text))
	default:
		return "is " + strconv.Quote(text)
	}
}
