package certificate_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

// issued is a certificate over the terms.
func issued(t *schemas.Terms) *schemas.Certificate {
	hold := schemas.HoldID(t.GetInvitationId())
	return &schemas.Certificate{
		Id: schemas.CertificateID(hold), HoldId: hold, Terms: t, IssuingAccount: mariaAccount,
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	plain := `{"certificate_id":"CERTIFICATE","invitation_id":"INVITATION",` +
		`"content_digest":"CONTENT","terms_digest":"TERMS","seller":"shop",` +
		`"reference":"order 1","buyer":"maria",` +
		`"amount":"177.20","minor_units":"17720","currency":"BRL","funding":"deposit",` +
		`"receiving_bank":"AVALBRSP","receiving_account":"AVALBRSP/0001",` +
		`"issuing_bank":"PAGABRRJ","issuing_account":"PAGABRRJ/0002",` +
		`"account_source":"entered","route":"direct",` +
		`"hold_id":"HOLD","directory_version":"1"}`
	tests := map[string]struct {
		change func(*schemas.Terms)
		want   string
	}{
		"plain": {func(*schemas.Terms) {}, plain},
		"everything": {
			func(y *schemas.Terms) {
				y.Seller, y.Buyer = "São <Paulo> & \"filhos\"", "\u6c49\U0001F600\x7f"
				y.Reference = "a\nb\\c/\u2028"
				y.Amount = &schemas.Money{MinorUnits: schemas.AmountMax, Currency: "JPY"}
				y.Funding, y.Route = schemas.Funding_FUNDING_CREDIT, schemas.Route_ROUTE_VIA_SELLER
				y.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
				y.Deadlines = &schemas.Deadlines{AcceptBy: at(1790000000), SettleBy: at(1790000001)}
				y.Deadlines.SettleBy.Nanos = 5_000_000
				y.DirectoryVersion = 1<<64 - 1
			},
			strings.NewReplacer(
				`"shop"`, `"S\u00e3o <Paulo> & \"filhos\""`, `"maria"`, `"\u6c49\ud83d\ude00\u007f"`,
				`"order 1"`, `"a\nb\\c/\u2028"`, `"177.20"`, `"9007199254740991"`,
				`"17720"`, `"9007199254740991"`, `BRL"`, `JPY"`, `deposit`, `credit`,
				`direct"`, `via-seller"`, `entered`, `confirmed`,
				`"1"}`, `"18446744073709551615","accept_by":"2026-09-21T14:13:20Z",`+
					`"settle_by":"2026-09-21T14:13:21.005Z"}`,
			).Replace(plain),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := issued(terms(test.change))
			want := strings.NewReplacer(
				"CERTIFICATE", x.GetId(), "INVITATION", invitation().GetId(), "HOLD", x.GetHoldId(),
				"CONTENT", hex.EncodeToString(x.GetTerms().GetContentDigest()),
				"TERMS", hex.EncodeToString(schemas.TermsDigest(x.GetTerms())),
			).Replace(test.want)
			got, err := certificate.ClaimsOf(x).Payload()
			if err != nil || string(got) != want {
				t.Errorf("Payload() = %v\n\t%s\nwant\n\t%s", err, got, want)
			}
		})
	}
}

// TestPayloadIsASCII compares with what Python's json.dumps wrote.
func TestPayloadIsASCII(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, python string }{
		{"", `""`},
		{"plain", `"plain"`},
		{"q\"uote", `"q\"uote"`},
		{"back\\slash", `"back\\slash"`},
		{"a/b", `"a/b"`},
		{"<b>&'</b>", `"<b>&'</b>"`},
		{"\x00\x01\x1f", `"\u0000\u0001\u001f"`},
		{"\n\r\t\b\f\v", `"\n\r\t\b\f\u000b"`},
		{"\x7e\x7f\xc2\x80\xc2\x9f", `"~\u007f\u0080\u009f"`},
		{"\xc3\xa9", `"\u00e9"`},
		{"\xc3\xa7\xc3\xa3o S\xc3\xa3o Paulo", `"\u00e7\u00e3o S\u00e3o Paulo"`},
		{"\xe6\xb1\x89\xe5\xad\x97", `"\u6c49\u5b57"`},
		{"\xe2\x80\xa8\xe2\x80\xa9", `"\u2028\u2029"`},
		{"\xef\xbf\xbd\xef\xbb\xbf\xef\xbf\xbf", `"\ufffd\ufeff\uffff"`},
		{"\xf0\x9f\x98\x80", `"\ud83d\ude00"`},
		{"\xf4\x8f\xbf\xbf\xf0\x90\x80\x80", `"\udbff\udfff\ud800\udc00"`},
		{"e\xcc\x81", `"e\u0301"`},
		{"\xed\x9f\xbf\xee\x80\x80", `"\ud7ff\ue000"`},
	}
	for _, test := range tests {
		payload, err := certificate.Claims{Seller: test.text}.Payload()
		if err != nil || !strings.Contains(string(payload), `"seller":`+test.python+`,"reference"`) {
			t.Errorf("Payload() of %q = %s, %v, want it to hold %s", test.text, payload, err, test.python)
		}
	}
}

// Whatever the parties are called, the claims can be read back, and are printable ASCII.
func TestPayloadReadsBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := certificate.Claims{
			Seller: rapid.String().Draw(t, "seller"),
			Buyer:  rapid.String().Draw(t, "buyer"),
		}
		payload, err := want.Payload()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range payload {
			if b < 0x20 || b > 0x7e {
				t.Fatalf("payload %q holds the byte %#x", payload, b)
			}
		}
		var got certificate.Claims
		if err := json.Unmarshal(payload, &got); err != nil || got != want {
			t.Fatalf("read back %+v, %v, want %+v", got, err, want)
		}
	})
}
