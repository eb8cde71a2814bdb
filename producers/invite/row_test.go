package invite_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

func taken() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// read returns the invitation of a row, or the report's words on it.
func read(t *testing.T, header []string, text string) (*schemas.Invitation, invite.Told) {
	t.Helper()
	told, record, err := invite.Read(header, text, 3, taken())
	if err != nil {
		t.Fatal(err)
	}
	if told.Line != 7 {
		t.Errorf("%q is told as line %d", text, told.Line)
	}
	if told.Outcome == invite.Invalid {
		if told.ID != "" || told.Reason == "" || len(told.Reason) > 1100 {
			t.Errorf("%q is told as %+v", text, told)
		}
		return nil, told
	}
	in, err := pipeline.Decode(record)
	if err != nil {
		t.Fatal(err)
	}
	x, ok := in.Body.(*schemas.Invitation)
	if !ok || record.Topic != schemas.TopicInvitations || !in.Time.Equal(taken()) ||
		pipeline.CheckKey(pipeline.In{Key: string(record.Key), Body: x}, 1) != nil {
		t.Fatalf("the record is %+v", record)
	}
	if faults := schemas.InvitationFaults(x); len(faults) > 0 || told.ID != x.GetId() || told.Outcome != invite.Sent ||
		told.Reference != x.GetReference() || in.ID != schemas.SubmissionID(x.GetId(), schemas.ContentDigest(x)) {
		t.Errorf("%q is told as %+v, and has the faults %v", text, told, faults)
	}
	return x, told
}

func whole() *schemas.Invitation {
	at := func(hour int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2027, 1, 1, hour, 0, 0, 0, time.UTC))
	}
	return &schemas.Invitation{
		Id:            schemas.InvitationID("AVALBRSP", "Loja, \"A\"", "r 1"),
		ReceivingBank: "AVALBRSP", ReceivingAccount: "AVALBRSP/1", Seller: "Loja, \"A\"", Reference: "r 1", Buyer: "b",
		Amount:  &schemas.Money{MinorUnits: 1250, Currency: "BRL"},
		Funding: schemas.Funding_FUNDING_CREDIT, Route: schemas.Route_ROUTE_VIA_SELLER,
		AccountSource: schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED, DirectoryVersion: 2,
		Issuing: &schemas.IssuingInformation{
			Kind: &schemas.IssuingInformation_Account{Account: "QUAYUS33XXX/9"},
		},
		Deadlines: &schemas.Deadlines{AcceptBy: at(1), PresentBy: at(2), SettleBy: at(3)},
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	all := make([]string, 0, len(invite.Columns()))
	for _, c := range invite.Columns() {
		all = append(all, c.Name)
	}
	few := []string{"receiving_account", "seller", "reference", "buyer", "amount", "currency"}
	small := whole()
	small.Funding, small.Route = schemas.Funding_FUNDING_DEPOSIT, schemas.Route_ROUTE_DIRECT
	small.AccountSource, small.Deadlines = schemas.AccountSource_ACCOUNT_SOURCE_ENTERED, nil
	small.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: "QUAYUS33XXX"}}
	small.DirectoryVersion = 3
	confirmed := proto.CloneOf(small)
	confirmed.Issuing = whole().GetIssuing()
	confirmed.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
	contact := proto.CloneOf(small)
	contact.Issuing = &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{Contact: "+5511999"}}
	text, err := schemas.ToJSON(whole())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		header []string
		text   string
		want   *schemas.Invitation
	}{
		"all columns": {
			all, `AVALBRSP/1,"Loja, ""A""",r 1,b,12.5,BRL,AVALBRSP,credit,,QUAYUS33XXX/9,,via-seller,confirmed,` +
				`2027-01-01T01:00:00Z,2027-01-01T03:00:00+01:00,2027-01-01T03:00:00.000Z,2`, whole(),
		},
		"the schema's words": {
			all, `AVALBRSP/1,"Loja, ""A""",r 1,b,12.5,BRL,AVALBRSP,FUNDING_CREDIT,,QUAYUS33XXX/9,,ROUTE_VIA_SELLER,` +
				`Confirmed,2027-01-01T01:00:00Z,2027-01-01T02:00:00Z,2027-01-01T03:00:00Z,2`, whole(),
		},
		"empty columns": {all, `AVALBRSP/1,"Loja, ""A""",r 1,b,12.50,BRL,,,QUAYUS33XXX,,,,,,,,`, small},
		"few columns":   {append(few, "issuing_bank"), `AVALBRSP/1,"Loja, ""A""",r 1,b,12.50,BRL,QUAYUS33XXX`, small},
		"an account": {
			append(few, "issuing_account"), `AVALBRSP/1,"Loja, ""A""",r 1,b,12.50,BRL,QUAYUS33XXX/9`,
			confirmed,
		},
		"a contact":  {append(few, "issuing_contact"), `AVALBRSP/1,"Loja, ""A""",r 1,b,12.50,BRL,+5511999`, contact},
		"JSON":       {nil, string(text), whole()},
		"spaced out": {nil, " " + string(text) + " \r", whole()},
		"little JSON": {
			nil, `{"receiving_account":"AVALBRSP/1","seller":"Loja, \"A\"","reference":"r 1","buyer":"b",` +
				`"amount":{"minor_units":"1250","currency":"BRL"},"issuing":{"bank":"QUAYUS33XXX"}}`, small,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, told := read(t, test.header, test.text); !proto.Equal(got, test.want) {
				t.Errorf("%s is %v (%s), want %v", test.text, got, told.Reason, test.want)
			}
		})
	}
}

func TestInvalidRows(t *testing.T) {
	t.Parallel()
	header := strings.Split("receiving_account,seller,reference,buyer,amount,currency,issuing_bank,"+
		"issuing_account,funding,route,account_source,accept_by,present_by,directory_version", ",")
	good := map[string]string{
		"receiving_account": "AVALBRSP/1", "seller": "s", "reference": "r", "buyer": "b", "amount": "1.00",
		"currency": "BRL", "issuing_bank": "QUAYUS33XXX",
	}
	row := func(column, text string) string {
		var texts []string
		for _, name := range header {
			if name == column {
				texts = append(texts, text)
			} else {
				texts = append(texts, good[name])
			}
		}
		return strings.Join(texts, ",")
	}
	for _, test := range []struct{ column, text, says string }{
		{"receiving_account", "1", `receiving_account is "1" of 1 bytes, must be BANK/NUMBER`},
		{"receiving_account", "", "receiving_bank is empty, must be a BIC"},
		{"seller", "", "seller is empty"},
		{"seller", strings.Repeat("x", schemas.TextMax+1), "seller has 16385 bytes, must have 1 to 16384"},
		{"reference", "", "reference is empty"},
		{"reference", "a\xffb", "reference has 3 bytes that are not UTF-8: save the file in that encoding"},
		{"buyer", "", "buyer is empty"},
		{"amount", "", "amount is empty, must be digits: 177.20"},
		{"amount", "1.234", "amount has 3 digits after the point, BRL has 2"},
		{"amount", "0", "amount is zero, must be at least 0.01 BRL"},
		{"amount", "-1", `amount is "-1" of 2 bytes, must be digits`},
		{"amount", "1e3", "must be digits"},
		{"amount", `"1,00"`, "must be digits"},
		{"currency", "brl", `currency is "brl", must be a known code of ISO 4217: BRL`},
		{"currency", "", "currency is empty"},
		{"issuing_bank", "", "issuing_bank, issuing_account or issuing_contact is missing; give one"},
		{"issuing_bank", "bank", `issuing_bank is "bank" of 4 bytes, must be a BIC`},
		{"issuing_account", "QUAYUS33XXX/9", "issuing_bank and issuing_account are given: leave one"},
		{"funding", "depost", `funding is "depost", must be credit or deposit`},
		{"funding", "unspecified", "must be credit or deposit"},
		{"route", "x", `route is "x", must be direct or via-seller`},
		{"account_source", "confirmed", "has no account, which account_source confirmed needs; give it"},
		{"account_source", strings.Repeat("y", 40), "account_source has 40 bytes, must be confirmed or entered"},
		{"accept_by", "tomorrow", `accept_by is "tomorrow", must be a time of RFC 3339: 2026-01-31T10:00:00Z`},
		{"accept_by", "1492-10-12T00:00:00Z", "accept_by is no time between 1970 and 9999"},
		{"directory_version", "0", "directory_version is \"0\", must be a whole number of at least 1"},
		{"directory_version", "x", "must be a whole number"},
		{"present_by", ",", "row has 15 fields, the header names 14"},
	} {
		text := row(test.column, test.text)
		_, told := read(t, header, text)
		if told.Outcome != invite.Invalid || !strings.Contains(told.Reason, test.says) ||
			strings.Count(told.Reason, ";") > 1 {
			t.Errorf("%s %.50q is told as %s: %s; want %q", test.column, test.text, told.Outcome, told.Reason,
				test.says)
		}
		if test.column != "reference" && told.Reference != "r" {
			t.Errorf("%.50q is told under the reference %q", text, told.Reference)
		}
	}
	if _, told := read(t, header, row("accept_by", "2027-01-02T00:00:00Z,2027-01-01T00:00:00Z")); told.Outcome !=
		invite.Invalid {
		t.Errorf("a row with a field too many is told as %+v", told)
	}
	if _, told := read(t, header, "AVALBRSP/1,s,r,b"); !strings.Contains(told.Reason, "row has 4 fields") {
		t.Errorf("a row that is cut off is told as %+v", told)
	}
	_, told := read(t, header, row("seller", "")[:0]+",,,,,,,,,,,,,")
	for _, field := range []string{"receiving_bank", "receiving_account", "seller", "reference", "buyer", "currency"} {
		if !strings.Contains(told.Reason, field+" is empty") {
			t.Errorf("an empty row's faults lack %s: %s", field, told.Reason)
		}
	}
}

func TestInvalidLines(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`[]`:                    "line is an array, must be one object",
		`"x"`:                   "line is a text",
		`-7`:                    "line is a number",
		`null`:                  "line is null",
		`seller: x`:             "line is no JSON",
		`{"seller":"s"`:         "unexpected",
		`{"seller":"s"}}`:       "unexpected",
		`{"sellr":"s"}`:         `unknown field "sellr": did you mean seller?`,
		`{"seller":7}`:          "invalid value",
		`{"route":"x"}`:         "invalid value",
		"{\"seller\":\"\xff\"}": "not UTF-8",
		`{}`:                    "seller is empty",
		`{"id":"x"}`:            "id is not the one derived",
		`{"seller":"` + strings.Repeat("x", 20000) + `"}`: "seller has 20000 bytes",
	} {
		if _, told := read(t, nil, text); !strings.Contains(told.Reason, says) {
			t.Errorf("%.50s is told as %s: %s; want %q", text, told.Outcome, told.Reason, says)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	few := "receiving_account,seller,reference,buyer,amount,currency"
	for header, says := range map[string][]string{
		few + ",isuing_bank":        {`column "isuing_bank" is unknown: did you mean issuing_bank?`},
		few + ",Amount":             {"did you mean amount?"},
		few + ",":                   {`column "" is unknown`},
		few + ",amount":             {"column amount stands twice: leave one"},
		"seller,reference,buyer":    {"column receiving_account is missing", "column amount is missing"},
		strings.Repeat("x,", 10000): {`"x" is unknown`},
	} {
		_, _, err := invite.Read(strings.Split(header, ","), "", 1, taken())
		for _, text := range says {
			if err == nil || !strings.Contains(err.Error(), text) || len(err.Error()) > 3000 {
				t.Errorf("header %.80s: %v, want %q", header, err, text)
			}
		}
	}
}

// FuzzRow looks for rows that break the reader, or that make an invitation that is none.
func FuzzRow(f *testing.F) {
	header := strings.Split("receiving_account,seller,reference,buyer,amount,currency,issuing_bank,route,"+
		"accept_by", ",")
	for _, text := range []string{
		"AVALBRSP/1,s,r,b,1.00,BRL,QUAYUS33XXX,direct,2027-01-01T00:00:00Z", ",,,,,,,,", "\"a,\"\"b\",c", "\xff,\x00",
		`{"receiving_account":"AVALBRSP/1","seller":"s","reference":"r","buyer":"b","amount":{"minor_units":1,` +
			`"currency":"BRL"},"issuing":{"bank":"QUAYUS33XXX"}}`, `{"deadlines":{"accept_by":"2027-01-01T00:00:00Z"}}`,
		`[{}]`, `{"amount":{"minor_units":1e3}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read(t, header, text)
		x, _ := read(t, nil, text)
		if x == nil {
			return
		}
		again, err := schemas.ToJSON(x)
		if err != nil {
			t.Fatal(err)
		}
		if y, told := read(t, nil, string(again)); !proto.Equal(x, y) {
			t.Errorf("%s makes %v (%s), want %v", again, y, told.Reason, x)
		}
	})
}
