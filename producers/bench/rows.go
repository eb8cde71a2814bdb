package bench

import (
	"bufio"
	"fmt"
	"io"

	"github.com/aval-systems/aval/producers/demo"
)

// WriteRows writes a file of invitations, CSV as package invite reads it: of so many sellers and buyers.
func WriteRows(w io.Writer, rows, parties int, run string) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintln(out, "receiving_account,seller,reference,buyer,amount,currency,issuing_bank")
	for n := range rows {
		seller, buyer := sellerOf(n%parties), buyerOf((n+n/parties)%parties)
		_, _ = fmt.Fprintf(out, "%s,%s,%s-%d,%s,10.50,%s,%s\n", seller.account, seller.id, run, n, buyer.id, currency,
			demo.IssuingBank)
	}
	if err := out.Flush(); err != nil { // it says what went wrong before, too
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}
