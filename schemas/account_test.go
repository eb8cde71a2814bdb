package schemas_test

import (
	"strings"
	"testing"

	"github.com/aval-systems/aval/schemas"
)

func TestBankOf(t *testing.T) {
	t.Parallel()
	for account, want := range map[string]string{
		"AVALBRSP/1":                          "AVALBRSP",
		"AVALBRSPXXX/0001-7._z":               "AVALBRSPXXX",
		"1234BR00/1":                          "1234BR00",
		"AVALBRSP/" + strings.Repeat("9", 40): "AVALBRSP",
		"AVALBRSP/" + strings.Repeat("9", 41): "",
		"":                                    "",
		"/":                                   "",
		"AVALBRSP":                            "",
		"AVALBRSP/":                           "",
		"/1":                                  "",
		"AVALBRSP/1/2":                        "",
		"AVALBRSP/1 ":                         "",
		"AVALBRSP/1\n":                        "",
		"AVALBRSP/é":                          "",
		"AVALBRSP/\xff":                       "",
		"avalbrsp/1":                          "",
		"AVAL1RSP/1":                          "",
		"AVALBR/1":                            "",
		"AVALBRSPX/1":                         "",
		"AVALBRSPXXXX/1":                      "",
		"ÄVALBRS/1":                           "",
		"genesis/BRL":                         "",
	} {
		if bank, ok := schemas.BankOf(account); bank != want || ok != (want != "") {
			t.Errorf("BankOf(%q) = %q, %t, want %q", account, bank, ok, want)
		}
	}
}

func TestFundingKind(t *testing.T) {
	t.Parallel()
	for funding, want := range map[schemas.Funding]schemas.AccountKind{
		schemas.Funding_FUNDING_DEPOSIT:     schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
		schemas.Funding_FUNDING_CREDIT:      schemas.AccountKind_ACCOUNT_KIND_CREDIT,
		schemas.Funding_FUNDING_UNSPECIFIED: schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED,
		99:                                  schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED,
	} {
		if got := schemas.FundingKind(funding); got != want {
			t.Errorf("FundingKind(%v) = %v, want %v", funding, got, want)
		}
	}
}
