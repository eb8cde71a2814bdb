package invite_test

import (
	"strings"
	"testing"

	"github.com/aval-systems/aval/producers/invite"
)

// BenchmarkRow makes invitations' records of rows, which is most of what handing in costs.
func BenchmarkRow(b *testing.B) {
	header := strings.Split("receiving_account,seller,reference,buyer,amount,currency,issuing_bank,funding,route,"+
		"account_source,accept_by,present_by,settle_by", ",")
	text := "AVALBRSPRCV/0001-7,seller-0001,order-2026-00000001,buyer-000001,12.25,BRL,AVALBRSPISS,deposit,direct," +
		"entered,2027-01-31T10:00:00Z,2027-02-28T10:00:00Z,2027-03-31T10:00:00Z"
	object := `{"receiving_account":"AVALBRSPRCV/0001-7","seller":"seller-0001","reference":"order-2026-00000001",` +
		`"buyer":"buyer-000001","amount":{"minor_units":"1225","currency":"BRL"},"issuing":{"bank":"AVALBRSPISS"},` +
		`"funding":"FUNDING_DEPOSIT","route":"ROUTE_DIRECT","account_source":"ACCOUNT_SOURCE_ENTERED","deadlines":` +
		`{"accept_by":"2027-01-31T10:00:00Z","present_by":"2027-02-28T10:00:00Z","settle_by":"2027-03-31T10:00:00Z"}}`
	for name, test := range map[string]struct {
		header []string
		text   string
	}{"csv": {header, text}, "ndjson": {nil, object}} {
		b.Run(name, func(b *testing.B) {
			read, err := invite.Reader(test.header)
			if err != nil {
				b.Fatal(err)
			}
			row := []byte(test.text)
			b.SetBytes(int64(len(row)))
			b.ReportAllocs()
			for b.Loop() {
				if told := read(row); told.Outcome != invite.Sent {
					b.Fatal(told)
				}
			}
		})
	}
}
