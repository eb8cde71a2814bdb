package batch

import (
	"fmt"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// Order is a valid row.
type Order struct {
	Row

	Money   *schemas.Money
	Funding schemas.Funding
}

// creditCard is the payment type that a line of credit secures; own money secures all others.
const creditCard = "credit_card"

// Parse returns the row's order, or the reason why it is none: every field that breaks a rule, and the rule.
// Identifiers are taken as they are, untrimmed.
func Parse(row Row) (order Order, reason string) {
	var reasons []string
	for _, id := range []struct{ name, text string }{
		{columnOrder, row.OrderID}, {columnSeller, row.SellerID}, {columnBuyer, row.BuyerID},
	} {
		switch {
		case id.text == "":
			reasons = append(reasons, id.name+": is empty")
		case len(id.text) > schemas.TextMax:
			reasons = append(reasons, fmt.Sprintf("%s: is longer than %d bytes", id.name, schemas.TextMax))
		}
	}
	money, why := parseMoney(row.Amount, row.Currency)
	reasons = append(reasons, why...)
	if len(reasons) > 0 {
		return Order{}, strings.Join(reasons, "; ")
	}
	funding := schemas.Funding_FUNDING_DEPOSIT
	if row.PaymentType == creditCard {
		funding = schemas.Funding_FUNDING_CREDIT
	}
	return Order{Row: row, Money: money, Funding: funding}, ""
}

func parseMoney(amount, currency string) (money *schemas.Money, reasons []string) {
	if _, ok := schemas.Exponent(currency); !ok {
		reasons = append(reasons, columnCurrency+": "+unknown(currency))
	}
	if amount == "" {
		return nil, append(reasons, columnAmount+": is empty")
	}
	if len(reasons) > 0 {
		return nil, reasons // what an amount may be depends on its currency
	}
	money, err := schemas.ParseMoney(amount, currency)
	if err != nil {
		return nil, []string{columnAmount + ": " + strings.TrimPrefix(err.Error(), "amount ")}
	}
	return money, nil
}

func unknown(currency string) string {
	const shownMax = 8 // bytes
	switch {
	case currency == "":
		return "is empty"
	case len(currency) > shownMax:
		return "is none of those that aval knows"
	default:
		return fmt.Sprintf("%q is none of those that aval knows", currency)
	}
}
