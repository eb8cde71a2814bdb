package schemas

import "strings"

// currencies lists every currency that aval knows. This is the only list: a code, and how many digits its
// amounts have after the point (ISO 4217).
const currencies = "BRL2 USD2 EUR2 CNY2 JPY0 KRW0 CLP0 KWD3 BHD3 TND3 GBP2 CHF2 INR2 MXN2 CAD2 AUD2 " +
	"SEK2 NOK2 DKK2 PLN2 ARS2 COP2 ZAR2 SGD2 HKD2 NZD2 TRY2 THB2 IDR2"

const codeSize = 3 // bytes of a currency's code

// Exponent says how many digits after the point the currency's amounts have, and whether it is known.
func Exponent(currency string) (int, bool) {
	for rest := currencies; len(rest) > codeSize; rest = strings.TrimPrefix(rest[codeSize+1:], " ") {
		if rest[:codeSize] == currency {
			return int(rest[codeSize] - '0'), true
		}
	}
	return 0, false
}

// Currencies returns the codes of all known currencies.
func Currencies() []string {
	codes := strings.Fields(currencies)
	for i, code := range codes {
		codes[i] = code[:codeSize]
	}
	return codes
}
