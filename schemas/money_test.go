package schemas_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/schemas"
)

func TestParseMoney(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text, currency string
		want           int64  // 0: an error
		err            string // that says so
	}{
		"exact":                     {text: "177.20", currency: "BRL", want: 17720},
		"one digit after the point": {text: "177.2", currency: "BRL", want: 17720},
		"no point":                  {text: "177", currency: "BRL", want: 17700},
		"zeros before":              {text: "0000000000000177", currency: "BRL", want: 17700},
		"the least":                 {text: "0.01", currency: "BRL", want: 1},
		"the most":                  {text: "90071992547409.91", currency: "BRL", want: schemas.AmountMax},
		"the most without point":    {text: "9007199254740991", currency: "JPY", want: schemas.AmountMax},
		"three digits":              {text: "1.050", currency: "KWD", want: 1050},
		"none":                      {text: "500", currency: "JPY", want: 500},
		"one above the most":        {text: "90071992547409.92", currency: "BRL", err: "too large"},
		"more than 64 bits":         {text: "9999999999999999.999", currency: "KWD", err: "too large"},
		"17 digits":                 {text: "00000000000000177", currency: "BRL", err: "17 digits"},
		"zero":                      {text: "0.00", currency: "BRL", err: "zero"},
		"three digits of two":       {text: "1.000", currency: "BRL", err: "3 digits after the point"},
		"a fraction of none": {
			text: "500.0", currency: "JPY", err: "1 digits after the point, JPY has 0",
		},
		"a point without digits after": {text: "1.", currency: "BRL", err: "must be digits"},
		"a point without digits":       {text: ".5", currency: "BRL", err: "must be digits"},
		"two points":                   {text: "1.0.0", currency: "BRL", err: "must be digits"},
		"comma":                        {text: "1,00", currency: "BRL", err: "must be digits"},
		"sign":                         {text: "-1", currency: "BRL", err: "must be digits"},
		"plus":                         {text: "+1", currency: "BRL", err: "must be digits"},
		"exponent":                     {text: "1e3", currency: "BRL", err: "must be digits"},
		"space":                        {text: " 1", currency: "BRL", err: "must be digits"},
		"other digits":                 {text: "١", currency: "BRL", err: "must be digits"},
		"empty":                        {text: "", currency: "BRL", err: "is empty"},
		"long": {
			text: strings.Repeat("x", 5000), currency: "BRL", err: "has 5000 bytes",
		},
		"unknown currency":       {text: "1", currency: "XXX", err: "ISO 4217"},
		"currency in lower case": {text: "1", currency: "brl", err: "ISO 4217"},
		"currency across two":    {text: "1", currency: "RL2", err: "ISO 4217"},
		"no currency":            {text: "1", currency: "", err: "ISO 4217"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := schemas.ParseMoney(test.text, test.currency)
			if test.want != 0 {
				if err != nil || !proto.Equal(got,
					&schemas.Money{MinorUnits: test.want, Currency: test.currency}) {
					t.Errorf("ParseMoney(%q, %s) = %v, %v, want %d", test.text, test.currency, got, err,
						test.want)
				}
				return
			}
			if err == nil || got != nil || !strings.Contains(err.Error(), test.err) ||
				len(err.Error()) > 200 {
				t.Errorf("ParseMoney(%.40q, %s) = %v, %v, want %q", test.text, test.currency, got, err,
					test.err)
			}
		})
	}
}

func TestFormatAmount(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]*schemas.Money{
		"177.20":                {MinorUnits: 17720, Currency: "BRL"},
		"500":                   {MinorUnits: 500, Currency: "JPY"},
		"1.050":                 {MinorUnits: 1050, Currency: "KWD"},
		"0.001":                 {MinorUnits: 1, Currency: "KWD"},
		"0.00":                  {Currency: "EUR"},
		"0":                     {},
		"-0.05":                 {MinorUnits: -5, Currency: "USD"},
		"-92233720368547758.08": {MinorUnits: math.MinInt64, Currency: "USD"},
		"90071992547409.91":     {MinorUnits: schemas.AmountMax, Currency: "CNY"},
		"12":                    {MinorUnits: 12, Currency: "XXX"},
	} {
		if got := m.Text(); got != want {
			t.Errorf("Text() of %v = %q, want %q", m, got, want)
		}
	}
}

func TestMoneyRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &schemas.Money{
			MinorUnits: rapid.Int64Range(1, schemas.AmountMax).Draw(t, "minor"),
			Currency:   rapid.SampledFrom(schemas.Currencies()).Draw(t, "currency"),
		}
		if got, err := schemas.ParseMoney(m.Text(), m.GetCurrency()); err != nil || !proto.Equal(got, m) {
			t.Fatalf("ParseMoney(%q, %s) = %v, %v, want %v", m.Text(), m.GetCurrency(), got, err, m)
		}
	})
}

func TestCurrencies(t *testing.T) {
	t.Parallel()
	want := strings.Fields("BRL USD EUR CNY JPY KRW CLP KWD BHD TND GBP CHF INR MXN CAD AUD SEK NOK DKK PLN " +
		"ARS COP ZAR SGD HKD NZD TRY THB IDR")
	if got := schemas.Currencies(); !slices.Equal(got, want) {
		t.Errorf("Currencies() = %v, want %v", got, want)
	}
	exponents := map[string]int{"JPY": 0, "KRW": 0, "CLP": 0, "KWD": 3, "BHD": 3, "TND": 3}
	for _, currency := range want {
		exponent, other := exponents[currency]
		if !other {
			exponent = 2
		}
		if got, ok := schemas.Exponent(currency); got != exponent || !ok {
			t.Errorf("Exponent(%s) = %d, %t, want %d", currency, got, ok, exponent)
		}
	}
}
