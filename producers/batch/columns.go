package batch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Columns that an order has; the last two are optional, and all others are ignored.
const (
	columnOrder    = "order_id"
	columnSeller   = "seller_id"
	columnBuyer    = "buyer_id"
	columnAmount   = "amount"
	columnCurrency = "currency"
	columnPayment  = "payment_type"
	columnStatus   = "order_status"
)

// columns says where each column stands.
type columns map[string]int

func findColumns(header []string) (columns, error) {
	needed := []string{columnOrder, columnSeller, columnBuyer, columnAmount, columnCurrency}
	known := append(slices.Clone(needed), columnPayment, columnStatus)
	found := columns{}
	var errs []string
	for i, name := range header {
		if !slices.Contains(known, name) {
			continue
		}
		if _, doubled := found[name]; doubled {
			errs = append(errs, fmt.Sprintf("column %s stands twice", name))
		}
		found[name] = i
	}
	for _, name := range needed {
		if _, ok := found[name]; !ok {
			errs = append(errs, fmt.Sprintf("column %s is missing", name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.New(strings.Join(errs, ", ") + "; the columns are " + listed(header))
	}
	return found, nil
}

// listed tells a header's names, as far as people read.
func listed(header []string) string {
	const namesMax, nameMax = 16, 32
	names := make([]string, 0, namesMax)
	for i, name := range header {
		if i == namesMax {
			names = append(names, fmt.Sprintf("and %d more", len(header)-i))
			break
		}
		if len(name) > nameMax {
			cut := nameMax
			for !utf8.RuneStart(name[cut]) {
				cut--
			}
			name = name[:cut] + "…"
		}
		names = append(names, strconv.Quote(name))
	}
	return strings.Join(names, ", ")
}
