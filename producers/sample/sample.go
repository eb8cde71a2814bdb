// Package sample makes a file of orders that walks every branch of the system.
//
//	reads   nothing
//	effect  none
//	emits   CSV: the same for the same seed, byte for byte
package sample

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

// Funds is what each buyer's account should have, so that some orders of the sample exceed it. It has no
// decimals, since some of the sample's currencies have none.
const Funds = "1000"

// Rows of a sample.
const (
	RowsMin     = 500
	RowsDefault = 600
)

// Generate writes a sample of at least RowsMin rows.
func Generate(w io.Writer, seed uint64, rows int) error {
	if rows < RowsMin {
		return fmt.Errorf("a sample of %d rows cannot hold all branches, at least %d can", rows, RowsMin)
	}
	g := &generator{rand: rand.New(rand.NewPCG(seed, 0))}
	for len(g.rows) < rows {
		g.row(len(g.rows))
	}
	return write(w, g.rows, seed%2 == 1)
}

// generator makes rows; what came before is repeated and contradicted.
type generator struct {
	rand     *rand.Rand
	rows     []batch.Row
	invalids int // rows made so far that are no orders
}

// period is after how many rows the special ones come again. The rest are orders like any other.
const period = 25

// row makes a row. The first of the special rows of a period repeats what stands just before it, so that the
// pipeline has not decided it yet; the others repeat anything.
func (g *generator) row(n int) {
	switch n % period {
	case 5:
		g.rows = append(g.rows, g.rows[n-1])
	case 9, 19:
		g.rows = append(g.rows, g.contradiction(n/period))
	case 13:
		g.rows = append(g.rows, g.earlier())
	case 3, 11, 17, 23:
		g.rows = append(g.rows, g.invalid(n))
	default:
		g.rows = append(g.rows, g.order(n))
	}
}

const (
	buyers  = 16 // few enough that one has several orders, and the funds of some do not suffice
	sellers = 12
)

func (g *generator) order(n int) batch.Row {
	row := batch.Row{
		OrderID:     fmt.Sprintf("order-%06d-%08x", n, g.rand.Uint32()),
		SellerID:    g.odd("seller", g.rand.IntN(sellers)),
		BuyerID:     g.odd("buyer", g.rand.IntN(buyers)),
		Currency:    pick(g, "BRL", "BRL", "BRL", "BRL", "EUR", "USD", "JPY", "KWD"),
		PaymentType: pick(g, "credit_card", "credit_card", "boleto", "voucher", "debit_card", ""),
		OrderStatus: pick(g, "delivered", "delivered", "delivered", "shipped", "invoiced", "canceled",
			"unavailable", ""),
	}
	if g.rand.IntN(10) == 0 {
		odd := pick(g, `a "quoted"`, "comma, and", "two\r\nlines", "two\nlines", "two\rlines", "заказ",
			"注文", " spaced ")
		row.OrderID = odd + " " + row.OrderID
	}
	exponent, _ := schemas.Exponent(row.Currency)
	row.Amount = strconv.Itoa(1 + g.rand.IntN(400))
	switch {
	case g.rand.IntN(20) == 0:
		row.Amount = strconv.Itoa(1001 + g.rand.IntN(2000)) // more than anyone has
	case exponent > 0 && g.rand.IntN(8) > 0:
		digits := 1 + g.rand.IntN(exponent)
		row.Amount += "." + fmt.Sprintf("%03d", g.rand.IntN(1000))[:digits]
	}
	return row
}

// odd names a party; some have names that files find hard to carry.
func (g *generator) odd(role string, n int) string {
	switch n {
	case 0:
		return role + `, "the first" & sons`
	case 1:
		return role + " Ümläut 店 №1"
	case 2:
		return role + "\r\nof two lines"
	case 3:
		return " " + role + " with spaces "
	default:
		return fmt.Sprintf("%s-%03d", role, n)
	}
}

// earlier returns a row that came before, an order or not.
func (g *generator) earlier() batch.Row { return g.rows[g.rand.IntN(len(g.rows))] }

// contradiction returns an order that came before, changed in one thing that counts.
func (g *generator) contradiction(n int) batch.Row {
	for {
		row := g.earlier()
		order, reason := batch.Parse(row)
		if reason != "" {
			continue
		}
		switch n % 4 {
		case 0:
			row.BuyerID += "'s sister"
		case 1:
			row.Amount = schemas.FormatAmount(order.Money.GetMinorUnits()+1, row.Currency)
		case 2:
			row.Currency = map[string]string{"BRL": "EUR"}[row.Currency]
			if row.Currency == "" {
				row.Currency = "BRL"
			}
		case 3:
			row.PaymentType = map[schemas.Funding]string{
				schemas.Funding_FUNDING_DEPOSIT: "credit_card", schemas.Funding_FUNDING_CREDIT: "boleto",
			}[order.Funding]
		}
		if _, reason := batch.Parse(row); reason == "" { // a third decimal of a dinar is none of a real
			return row
		}
		n++
	}
}

// invalid returns a row that is no order: each kind in its turn.
func (g *generator) invalid(n int) batch.Row {
	row := g.order(n)
	row.Currency = "BRL"
	kinds := invalidKinds()
	kinds[g.invalids%len(kinds)](&row)
	g.invalids++
	return row
}

func invalidKinds() []func(*batch.Row) {
	amount := func(text string) func(*batch.Row) { return func(r *batch.Row) { r.Amount = text } }
	return []func(*batch.Row){
		func(r *batch.Row) { r.OrderID = "" },
		func(r *batch.Row) { r.SellerID = "" },
		func(r *batch.Row) { r.BuyerID = "" },
		amount(""), amount("0"), amount("0.00"), amount("-5.00"), amount("1.234"), amount("1e3"),
		amount("1,000.00"), amount("NaN"), amount("١٢.٥٠"), amount("90071992547409.92"), amount("12."),
		amount(" 12.00"),
		func(r *batch.Row) { r.Currency = "XYZ" },
		func(r *batch.Row) { r.Currency = "brl" },
		func(r *batch.Row) { r.Currency = "" },
		func(r *batch.Row) { r.Currency, r.Amount = "JPY", "100.5" },
		func(r *batch.Row) { r.Currency, r.Amount = "KWD", "1.2345" },
	}
}

func pick(g *generator, texts ...string) string { return texts[g.rand.IntN(len(texts))] }

// write writes the rows; turned, its columns stand in another order, with one that means nothing.
func write(w io.Writer, rows []batch.Row, turned bool) error {
	arrange := func(fields ...string) []string {
		if turned {
			fields = append(fields, "a note")
			slices.Reverse(fields)
		}
		return fields
	}
	out := batch.NewWriter(w)
	header := arrange("order_id", "seller_id", "buyer_id", "amount", "currency", "payment_type", "order_status")
	if turned {
		header[0] = "note"
	}
	if err := out.Write(header...); err != nil {
		return err
	}
	for _, r := range rows {
		fields := arrange(r.OrderID, r.SellerID, r.BuyerID, r.Amount, r.Currency, r.PaymentType, r.OrderStatus)
		if err := out.Write(fields...); err != nil {
			return err
		}
	}
	return out.Flush()
}
