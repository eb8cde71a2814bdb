package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// AmountMax is the largest amount, and the largest balance, in minor units. Lua inside Redis counts in
// float64, which is exact only up to here.
const AmountMax = 1<<53 - 1

const integerDigitsMax = 16 // digits before the point: those of AmountMax without any after it

// ParseMoney reads an amount above zero, as people and files write it: 1 to 16 digits, and at most as many
// after a point as the currency has. The error names the rule that is broken, not the field.
func ParseMoney(text, currency string) (*Money, error) {
	exponent, ok := Exponent(currency)
	if !ok {
		return nil, fmt.Errorf("currency %s, must be a known code of ISO 4217", sized(currency))
	}
	integer, fraction, point := strings.Cut(text, ".")
	switch {
	case !isDigits(integer) || point && !isDigits(fraction):
		return nil, fmt.Errorf("amount %s, must be digits, with a point before the minor units: %s",
			sized(text), FormatAmount(1050, currency))
	case len(integer) > integerDigitsMax:
		return nil, fmt.Errorf("amount has %d digits, must have at most %d", len(integer), integerDigitsMax)
	case len(fraction) > exponent:
		return nil, fmt.Errorf("amount has %d digits after the point, %s has %d",
			len(fraction), currency, exponent)
	}
	minor, err := strconv.ParseUint(integer+fraction+strings.Repeat("0", exponent-len(fraction)), 10, 64)
	switch {
	case err != nil || minor > AmountMax:
		return nil, fmt.Errorf("amount is too large, must be at most %s %s",
			FormatAmount(AmountMax, currency), currency)
	case minor == 0:
		return nil, fmt.Errorf("amount is zero, must be at least %s %s", FormatAmount(1, currency), currency)
	}
	return &Money{MinorUnits: int64(minor), Currency: currency}, nil
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// Text is the amount with exactly the digits that its currency has: "177.20" of BRL, "500" of JPY.
func (x *Money) Text() string { return FormatAmount(x.GetMinorUnits(), x.GetCurrency()) }

// FormatAmount writes minor units with exactly the digits that the currency has; of an unknown currency, none
// after the point.
func FormatAmount(minor int64, currency string) string {
	exponent, _ := Exponent(currency)
	digits := strings.TrimPrefix(strconv.FormatInt(minor, 10), "-")
	if exponent > 0 {
		digits = strings.Repeat("0", max(0, exponent+1-len(digits))) + digits
		digits = digits[:len(digits)-exponent] + "." + digits[len(digits)-exponent:]
	}
	if minor < 0 {
		return "-" + digits
	}
	return digits
}

// money checks an amount of at least low minor units.
func (c check) money(field string, m *Money, low int64) {
	if m == nil {
		c.fault(field, "is missing")
		return
	}
	c = c.in(field)
	if m.GetMinorUnits() < low || m.GetMinorUnits() > AmountMax {
		c.fault("minor_units", "is %d, must be %d to %d", m.GetMinorUnits(), low, int64(AmountMax))
	}
	c.currency("currency", m.GetCurrency())
}
