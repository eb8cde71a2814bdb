package schemas

import "strings"

const numberMax = 40 // bytes of an account's number

// BankOf returns the bank that keeps an account. An account is BANK/NUMBER: a BIC, and a number of
// 1 to 40 bytes of 0-9 A-Z a-z and . _ - alone.
func BankOf(account string) (string, bool) {
	bank, number, _ := strings.Cut(account, "/")
	if !isBank(bank) || number == "" || len(number) > numberMax ||
		!isOf(number, digits|1<<'.'|1<<'-', letters|1<<('_'-64)) {
		return "", false
	}
	return bank, true
}

// isBank says whether the text is a BIC (ISO 9362): four letters or digits, two letters of the country, two
// letters or digits, and perhaps three more of the branch.
func isBank(text string) bool {
	if len(text) != 8 && len(text) != 11 {
		return false
	}
	for i, r := range text {
		letter, digit := r >= 'A' && r <= 'Z', r >= '0' && r <= '9'
		country := i == 4 || i == 5
		if !letter && (country || !digit) {
			return false
		}
	}
	return true
}

// FundingKind is the kind of account that funds so.
func FundingKind(f Funding) AccountKind {
	switch f {
	case Funding_FUNDING_DEPOSIT:
		return AccountKind_ACCOUNT_KIND_DEPOSIT
	case Funding_FUNDING_CREDIT:
		return AccountKind_ACCOUNT_KIND_CREDIT
	case Funding_FUNDING_UNSPECIFIED:
	}
	return AccountKind_ACCOUNT_KIND_UNSPECIFIED
}
