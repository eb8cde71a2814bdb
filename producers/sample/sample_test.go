package sample_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

func generate(t *testing.T, seed uint64, rows int) string {
	t.Helper()
	var b bytes.Buffer
	if err := sample.Generate(&b, seed, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	first := generate(t, 7, sample.RowsDefault)
	if again := generate(t, 7, sample.RowsDefault); again != first {
		t.Error("two samples of one seed differ")
	}
	if other := generate(t, 9, sample.RowsDefault); other == first {
		t.Error("two seeds give one sample")
	}
	if err := sample.Generate(&bytes.Buffer{}, 1, sample.RowsMin-1); err == nil {
		t.Error("a sample that is too small was made")
	}
}

// TestEveryBranch counts what a sample holds: each branch, whatever the seed.
func TestEveryBranch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			counts := branches(t, generate(t, seed, sample.RowsMin))
			for _, branch := range []string{
				"request", "decline", "no answer", "repeat", "other buyer", "other amount", "other currency",
				"other kind", "too much", "too much together", "credit", "deposit", "JPY", "KWD", "BRL",
				"comma", "quote", "line feed", "carriage return", "non-ASCII", "space",
				"order_id: is empty", "seller_id: is empty", "buyer_id: is empty", "amount: is empty",
				"amount: is zero", "amount: is too large", "amount: has 3 digits after", "JPY has 0", "KWD has 3",
				"must be digits", "currency: is empty", "currency: \"XYZ\"",
			} {
				if counts[branch] == 0 {
					t.Errorf("no %s among %v", branch, counts)
				}
			}
		})
	}
}

func branches(t *testing.T, text string) map[string]int {
	t.Helper()
	r, err := batch.NewReader("sample", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	first := map[string]batch.Order{}
	spent := map[string]int64{}
	for row, err := range r.Rows() {
		if err != nil {
			t.Fatal(err)
		}
		order, reason := batch.Parse(row)
		if reason != "" {
			for _, part := range []string{
				"order_id: is empty", "seller_id: is empty", "buyer_id: is empty", "amount: is empty",
				"amount: is zero", "amount: is too large", "amount: has 3 digits after", "JPY has 0", "KWD has 3",
				"must be digits", "currency: is empty", "currency: \"XYZ\"",
			} {
				if strings.Contains(reason, part) {
					counts[part]++
				}
			}
			continue
		}
		name := fmt.Sprintf("%q %q", order.SellerID, order.OrderID)
		stands, again := first[name]
		if again {
			counts[compare(stands, order)]++
			continue
		}
		first[name] = order
		count(t, counts, spent, order)
	}
	return counts
}

func compare(stands, order batch.Order) string {
	switch {
	case stands.BuyerID != order.BuyerID:
		return "other buyer"
	case stands.Currency != order.Currency:
		return "other currency"
	case stands.Money.GetMinorUnits() != order.Money.GetMinorUnits():
		return "other amount"
	case stands.Funding != order.Funding:
		return "other kind"
	}
	return "repeat"
}

func count(t *testing.T, counts map[string]int, spent map[string]int64, order batch.Order) {
	t.Helper()
	counts[order.Currency]++
	counts[map[schemas.Funding]string{1: "deposit", 2: "credit"}[order.Funding]]++
	for text, branch := range map[string]string{
		",": "comma", `"`: "quote", "\n": "line feed", "\r": "carriage return", "Ü": "non-ASCII",
	} {
		if strings.Contains(order.OrderID+order.SellerID+order.BuyerID, text) {
			counts[branch]++
		}
	}
	if strings.HasPrefix(order.SellerID, " ") {
		counts["space"]++
	}
	switch order.OrderStatus {
	case "canceled":
		counts["decline"]++
		return
	case "unavailable":
		counts["no answer"]++
		return
	}
	funds, err := schemas.ParseMoney(sample.Funds, order.Currency)
	if err != nil {
		t.Fatal(err)
	}
	account := fmt.Sprintf("%q %v %s", order.BuyerID, order.Funding, order.Currency)
	amount := order.Money.GetMinorUnits()
	switch {
	case amount > funds.GetMinorUnits():
		counts["too much"]++
	case amount > funds.GetMinorUnits()-spent[account]:
		counts["too much together"]++
	default:
		spent[account] += amount
		counts["request"]++
	}
}
