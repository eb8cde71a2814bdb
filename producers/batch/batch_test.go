package batch_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

func read(text string) ([]batch.Row, error) {
	r, err := batch.NewReader("orders.csv", iotest.OneByteReader(strings.NewReader(text)))
	if err != nil {
		return nil, err
	}
	var rows []batch.Row
	for row, err := range r.Rows() {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestReaderAgreesWithPython(t *testing.T) {
	t.Parallel()
	for name, test := range goldens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, mark := range []string{"", "\xef\xbb\xbf"} {
				rows, err := read(mark + test.text)
				if err != nil {
					t.Fatal(err)
				}
				got := make([][5]string, len(rows))
				for i, r := range rows {
					got[i] = [5]string{r.OrderID, r.SellerID, r.BuyerID, r.Amount, r.Currency}
					if r.Line != i+2 {
						t.Errorf("row %d is line %d, want %d", i, r.Line, i+2)
					}
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("read %q\n got %q\nwant %q", test.text, got, test.want)
				}
			}
		})
	}
}

func TestWriterIsReadBack(t *testing.T) {
	t.Parallel()
	for name, test := range goldens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString(header)
			w := batch.NewWriter(&b)
			for _, fields := range test.want {
				if err := w.Write(fields[:]...); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			rows, err := read(b.String())
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range rows {
				if got := [5]string{r.OrderID, r.SellerID, r.BuyerID, r.Amount, r.Currency}; got != test.want[i] {
					t.Errorf("wrote %q, read %q", test.want[i], got)
				}
			}
		})
	}
}

func TestOptionalColumns(t *testing.T) {
	t.Parallel()
	rows, err := read("order_status,order_id,seller_id,payment_type,buyer_id,amount,currency\n" +
		"canceled,o,s,credit_card,b,1.00,BRL\n")
	if err != nil {
		t.Fatal(err)
	}
	want := batch.Row{
		Line: 2, OrderID: "o", SellerID: "s", BuyerID: "b", Amount: "1.00", Currency: "BRL",
		PaymentType: "credit_card", OrderStatus: "canceled",
	}
	if rows[0] != want {
		t.Errorf("read %+v, want %+v", rows[0], want)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", batch.RecordMax)
	tests := map[string]struct {
		text         string
		record, line int
		says         string
		rows         int
	}{
		"nothing":         {"", 0, 0, "is empty", 0},
		"a mark alone":    {"\xef\xbb\xbf", 0, 0, "is empty", 0},
		"line ends alone": {"\n\r\n\n", 0, 0, "is empty", 0},
		"a missing column": {
			"order_id,seller_id,buyer,amount,currency\n", 0, 1,
			`buyer_id is missing; the columns are "order_id", "seller_id", "buyer"`, 0,
		},
		"two missing columns": {
			"\norder_id,seller_id,buyer_id\n", 0, 2,
			"amount is missing, column currency is missing", 0,
		},
		"a doubled column": {
			"order_id,seller_id,buyer_id,amount,amount,currency\n", 0, 1,
			"amount stands twice", 0,
		},
		"a doubled optional one": {
			"order_status," + strings.TrimSpace(header) + ",order_status\n", 0, 1,
			"order_status stands twice", 0,
		},
		"not UTF-8":             {header + "1,2,3,4,5\n\"\r\n\r\",M\xfcller,3,4,5\n", 2, 5, "UTF-8", 1},
		"halves of a character": {header + "\"\xc3\"\xa9,2,3,4,5\n", 1, 2, "UTF-8", 0},
		"a header not UTF-8":    {"\xff\xfeo\x00r\x00", 0, 1, "UTF-8", 0},
		"an unclosed quote": {
			header + "1,2,3,4,5\n\n6,\"7\r\n\",8,\"9,\n10,5\n1,2,3,4,5\n", 2, 5,
			"a quote begins here that is never closed", 1,
		},
		"an unclosed header": {"order_id,\"seller_id\n", 0, 1, "never closed", 0},
		"a record too long": {
			header + "1,2,3,4,5\n" + long + ",2,3,4,5\n", 2, 3,
			"longer than 1048576 bytes", 1,
		},
		"a quote too long":  {header + "1,2,\n3,\"4\n" + long + "\",5\n", 2, 3, "a quote begins here", 1},
		"a blank before it": {header + "\n\r\n\"", 1, 4, "never closed", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, err := read(test.text)
			var f batch.FaultError
			if !errors.As(err, &f) {
				t.Fatalf("read: %v, want a fault", err)
			}
			if f.Record != test.record || f.Line != test.line || !strings.Contains(f.Problem, test.says) {
				t.Errorf("fault %+v, want record %d, line %d, %q", f, test.record, test.line, test.says)
			}
			if len(rows) != test.rows || !strings.HasPrefix(f.Error(), "orders.csv: ") {
				t.Errorf("%d rows before %q, want %d", len(rows), f.Error(), test.rows)
			}
		})
	}
}

func TestLongestRecord(t *testing.T) {
	t.Parallel()
	record := strings.Repeat("x", batch.RecordMax-len(",2,3,4,5\n")) + ",2,3,4,5\n"
	rows, err := read(header + record)
	if err != nil || len(rows) != 1 || rows[0].Currency != "5" {
		t.Errorf("read %d rows: %v, want one", len(rows), err)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if n, err := batch.Scan(file("good", header+"1,2,3,4,5\n\n6,7,8,9,10")); n != 2 || err != nil {
		t.Errorf("Scan: %d, %v; want 2 rows", n, err)
	}
	if n, err := batch.Scan(file("bare", header)); n != 0 || err != nil {
		t.Errorf("Scan of a header: %d, %v; want no rows", n, err)
	}
	absent := filepath.Join(dir, "absent")
	for _, path := range []string{dir, absent, file("empty", ""), file("open", header+"\"")} {
		var f batch.FaultError
		if _, err := batch.Scan(path); !errors.As(err, &f) || f.File != path {
			t.Errorf("Scan(%s): %v, want a fault", path, err)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	row := func(change func(*batch.Row)) batch.Row {
		r := batch.Row{Line: 2, OrderID: "o", SellerID: "s", BuyerID: "b", Amount: "10.50", Currency: "BRL"}
		change(&r)
		return r
	}
	amount := func(text, currency string) batch.Row {
		return row(func(r *batch.Row) { r.Amount, r.Currency = text, currency })
	}
	tests := map[string]struct {
		row    batch.Row
		minor  int64
		reason string // words of it; empty where the row is an order
	}{
		"good":               {amount("10.50", "BRL"), 1050, ""},
		"fewer decimals":     {amount("10.5", "BRL"), 1050, ""},
		"leading zeros":      {amount("000010", "BRL"), 1000, ""},
		"no decimals":        {amount("500", "JPY"), 500, ""},
		"three decimals":     {amount("0.001", "KWD"), 1, ""},
		"the largest":        {amount("90071992547409.91", "BRL"), schemas.AmountMax, ""},
		"beyond the largest": {amount("90071992547409.92", "BRL"), 0, "amount: is too large"},
		"17 digits":          {amount("00000000000000001", "BRL"), 0, "amount: has 17 digits"},
		"empty amount":       {amount("", "BRL"), 0, "amount: is empty"},
		"zero":               {amount("0", "BRL"), 0, "amount: is zero"},
		"zero with decimals": {amount("0.00", "BRL"), 0, "amount: is zero"},
		"below zero":         {amount("-5.00", "BRL"), 0, "amount: "},
		"too fine":           {amount("1.234", "BRL"), 0, "amount: has 3 digits after the point, BRL has 2"},
		"too fine for none":  {amount("1.0", "JPY"), 0, "amount: has 1 digits after the point, JPY has 0"},
		"an exponent":        {amount("1e3", "BRL"), 0, "amount: "},
		"separators":         {amount("1,000.00", "BRL"), 0, "amount: "},
		"not a number":       {amount("NaN", "BRL"), 0, "amount: "},
		"digits of others":   {amount("١٢", "BRL"), 0, "amount: "},
		"a bare point":       {amount("1.", "BRL"), 0, "amount: "},
		"no digit before":    {amount(".5", "BRL"), 0, "amount: "},
		"spaces":             {amount(" 1.00", "BRL"), 0, "amount: "},
		"a line end":         {amount("1.00\n", "BRL"), 0, "amount: "},
		"a sign":             {amount("+1.00", "BRL"), 0, "amount: "},
		"unknown currency":   {amount("1.00", "XYZ"), 0, `currency: "XYZ" is none`},
		"lower case":         {amount("1.00", "brl"), 0, `currency: "brl" is none`},
		"long currency":      {amount("1.00", strings.Repeat("B", 99)), 0, "currency: is none"},
		"empty currency":     {amount("1.00", ""), 0, "currency: is empty"},
		"neither":            {amount("", ""), 0, "currency: is empty; amount: is empty"},
		"no order":           {row(func(r *batch.Row) { r.OrderID = "" }), 0, "order_id: is empty"},
		"no seller, no buyer": {
			row(func(r *batch.Row) { r.SellerID, r.BuyerID = "", "" }), 0,
			"seller_id: is empty; buyer_id: is empty",
		},
		"a long id": {
			row(func(r *batch.Row) { r.BuyerID = strings.Repeat("b", schemas.TextMax+1) }), 0,
			"buyer_id: is longer than 16384 bytes",
		},
		"as long as may be": {
			row(func(r *batch.Row) { r.BuyerID = strings.Repeat("b", schemas.TextMax) }), 1050, "",
		},
		"an id of a space":       {row(func(r *batch.Row) { r.OrderID = " " }), 1050, ""},
		"an id that is anything": {row(func(r *batch.Row) { r.SellerID = "\x00\r\n,\"ü店" }), 1050, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order, reason := batch.Parse(test.row)
			switch {
			case test.reason != "":
				if !strings.Contains(reason, test.reason) || len(reason) > 200 {
					t.Errorf("Parse: %q, want %q", reason, test.reason)
				}
			case reason != "" || order.Money.GetMinorUnits() != test.minor || order.Row != test.row:
				t.Errorf("Parse: %+v, %q; want %d", order, reason, test.minor)
			}
		})
	}
}

func TestFundingFollowsPaymentType(t *testing.T) {
	t.Parallel()
	for payment, want := range map[string]schemas.Funding{
		"credit_card":  schemas.Funding_FUNDING_CREDIT,
		"":             schemas.Funding_FUNDING_DEPOSIT,
		"boleto":       schemas.Funding_FUNDING_DEPOSIT,
		"Credit_Card":  schemas.Funding_FUNDING_DEPOSIT,
		"credit_card ": schemas.Funding_FUNDING_DEPOSIT,
	} {
		order, reason := batch.Parse(batch.Row{
			OrderID: "o", SellerID: "s", BuyerID: "b", Amount: "1", Currency: "BRL", PaymentType: payment,
		})
		if order.Funding != want || reason != "" {
			t.Errorf("payment type %q: %v (%s), want %v", payment, order.Funding, reason, want)
		}
	}
}

// FuzzReader looks for texts that are not read as what writing them again says.
func FuzzReader(f *testing.F) {
	for _, test := range goldens() {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := read(header + text)
		if err != nil {
			var fault batch.FaultError
			if !errors.As(err, &fault) || fault.Line == 0 {
				t.Fatalf("read %q: %v, want a fault with its line", text, err)
			}
			return
		}
		var b strings.Builder
		b.WriteString(header)
		w := batch.NewWriter(&b)
		for _, r := range rows {
			if err := w.Write(r.OrderID, r.SellerID, r.BuyerID, r.Amount, r.Currency); err != nil {
				t.Fatal(err)
			}
			batch.Parse(r)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		again, err := read(b.String())
		if err != nil || !slices.Equal(again, rows) {
			t.Errorf("read %q as %+v, wrote %q, read %+v (%v)", text, rows, b.String(), again, err)
		}
	})
}
