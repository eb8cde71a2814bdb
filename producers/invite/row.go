package invite

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	source = "/aval/invite"
	// reasonMax bounds what the report says of a row, in bytes.
	reasonMax = 1000
)

// row is a row of the input, and what became of it.
type row struct {
	line      int
	reference string
	id        string // the invitation's; empty where the row makes none
	digest    string // its content's, as bytes
	outcome   Outcome
	reason    string

	certificate string // its id, of an issued one
	decided     bool   // nobody waits for it
}

// rows makes invitations of rows.
type rows struct {
	columns []Column // what each field of a CSV row sets; nil of NDJSON
	version uint64   // the newest of the directory
	headers []pipeline.Header
}

// read makes a row's invitation and its record, or says why it is none: every field that breaks a rule, and the rule.
func (r *rows) read(line int, text []byte, taken time.Time) (row, pipeline.Record) {
	d := &draft{x: &schemas.Invitation{}}
	switch {
	case r.columns != nil:
		r.csv(d, text)
	default:
		ndjson(d, text)
	}
	out := row{line: line, reference: d.x.GetReference(), outcome: Invalid}
	if len(d.faults) == 0 || r.columns != nil {
		r.complete(d)
	}
	if len(d.faults) > 0 {
		out.reason = listed(d.faults)
		return out, pipeline.Record{}
	}
	digest := schemas.ContentDigest(d.x)
	record, err := pipeline.Encode(schemas.TopicInvitations, schemas.Message{
		Attributes: schemas.Attributes{
			ID: schemas.SubmissionID(d.x.GetId(), digest), Source: source, Time: taken,
		},
		Body: d.x,
	})
	if err != nil {
		out.reason = schemas.Shorten(err.Error(), reasonMax)
		return out, pipeline.Record{}
	}
	record.Headers = append(record.Headers, r.headers...)
	out.id, out.digest, out.outcome = d.x.GetId(), string(digest), Sent
	return out, record
}

// csv takes a row of CSV.
func (r *rows) csv(d *draft, text []byte) {
	var space [24]string
	all := fields(string(text), space[:0])
	if len(all) != len(r.columns) {
		d.fault("row", "has %d fields, the header names %d: give as many, and put quotes around a text with commas",
			len(all), len(r.columns))
	}
	for i, field := range all[:min(len(all), len(r.columns))] {
		if !utf8.ValidString(field) {
			d.fault(r.columns[i].Name, "%s: save the file in that encoding", shape(field))
			continue
		}
		r.columns[i].set(d, field)
	}
	if len(d.issuing) > 1 {
		d.fault(strings.Join(d.issuing, " and "), "are given: leave one")
	}
	amount(d)
}

func amount(d *draft) {
	_, known := schemas.Exponent(d.currency)
	switch {
	case !known:
		d.fault("currency", "%s, must be a known code of ISO 4217: %s", shape(d.currency),
			strings.Join(schemas.Currencies(), " "))
	case d.amount == "":
		d.fault("amount", "is empty, must be digits: 177.20")
	default:
		money, err := schemas.ParseMoney(d.amount, d.currency)
		if err != nil {
			d.fault("amount", "%s", strings.TrimPrefix(err.Error(), "amount "))
		}
		d.x.Amount = money
	}
}

// ndjson takes a line of JSON.
func ndjson(d *draft, text []byte) {
	text = bytes.TrimSpace(text)
	switch kind := kindOf(text); {
	case !utf8.Valid(text):
		d.fault("line", "has bytes that are not UTF-8: save the file in that encoding")
	case kind != "":
		d.fault("line", "is %s, must be one object, {...}, with the fields of an invitation", kind)
	case quickly(string(text), d.x):
	default:
		d.x = &schemas.Invitation{}
		if err := schemas.FromJSON(text, d.x); err != nil {
			d.fault("line", "%s", problem(err))
		}
	}
}

// problem says why a line is no invitation.
func problem(err error) string {
	text := schemas.Shorten(strings.TrimPrefix(err.Error(), "read aval.v1.Invitation from JSON: proto: "), reasonMax/2)
	_, name, found := strings.Cut(text, `unknown field "`)
	if !found {
		return text
	}
	var names []string
	all := (&schemas.Invitation{}).ProtoReflect().Descriptor().Fields()
	for i := range all.Len() {
		names = append(names, string(all.Get(i).Name()))
	}
	return text + ": did you mean " + nearest(strings.TrimSuffix(name, `"`), names) + "?"
}

// kindOf says what a line is that is no object.
func kindOf(text []byte) string {
	if len(text) == 0 {
		return "blank"
	}
	switch b := text[0]; {
	case b == '{':
		return ""
	case b == '[':
		return "an array"
	case b == '"':
		return "a text"
	case b == '-' || b >= '0' && b <= '9':
		return "a number"
	case bytes.Equal(text, []byte("true")), bytes.Equal(text, []byte("false")), bytes.Equal(text, []byte("null")):
		return string(text)
	default:
		return "no JSON"
	}
}

// complete fills in what was left out, and finds what is wrong with the whole.
func (r *rows) complete(d *draft) {
	x := d.x
	if x.ReceivingBank == "" {
		x.ReceivingBank, _ = schemas.BankOf(x.GetReceivingAccount())
	}
	if x.Funding == schemas.Funding_FUNDING_UNSPECIFIED {
		x.Funding = schemas.Funding_FUNDING_DEPOSIT
	}
	if x.Route == schemas.Route_ROUTE_UNSPECIFIED {
		x.Route = schemas.Route_ROUTE_DIRECT
	}
	if x.AccountSource == schemas.AccountSource_ACCOUNT_SOURCE_UNSPECIFIED {
		x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED
		if x.GetIssuing().GetAccount() != "" {
			x.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
		}
	}
	if x.DirectoryVersion == 0 {
		x.DirectoryVersion = r.version
	}
	if x.Id == "" {
		x.Id = schemas.InvitationID(x.GetReceivingBank(), x.GetSeller(), x.GetReference())
	}
	told := len(d.faults)
	for _, f := range schemas.InvitationFaults(x) {
		field, problem := f.Field, f.Problem
		if r.columns != nil {
			field, problem = columnOf(f)
		}
		if !d.tells(told, field) {
			d.fault(field, "%s", problem)
		}
	}
}

// tells says whether a field is among the first faults already.
func (d *draft) tells(first int, field string) bool {
	for _, f := range d.faults[:first] {
		if f.field == field || field == "amount" && f.field == "currency" {
			return true
		}
	}
	return false
}

// columnOf is the fault of a message's field in the words of its column.
func columnOf(f schemas.FaultError) (column, problem string) {
	switch column = f.Field; column {
	case "issuing":
		return "issuing_bank, issuing_account or issuing_contact",
			strings.NewReplacer("one of bank, account, contact", "one",
				"account_source CONFIRMED", "account_source confirmed").Replace(f.Problem)
	case "amount.minor_units":
		return "amount", f.Problem
	}
	column = strings.TrimPrefix(strings.TrimPrefix(column, "deadlines."), "amount.")
	if of, ok := strings.CutPrefix(column, "issuing."); ok {
		column = "issuing_" + of
	}
	return column, f.Problem
}

// listed is what is wrong with a row, in one line.
func listed(faults []fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.field + " " + f.problem
	}
	return schemas.Shorten(strings.Join(texts, "; "), reasonMax)
}
