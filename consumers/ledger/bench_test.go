package ledger_test

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

//nolint:gochecknoglobals // flags have to stand before a test begins
var live = flag.Int("live", 0, "holds that are live before a benchmark begins")

// BenchmarkPairs is a hold and its capture, a batch later, in batches of so many movements, on one account and on
// many. It does not know what Kafka costs.
func BenchmarkPairs(b *testing.B) {
	for _, server := range booktest.Servers(b) {
		for _, accounts := range []int{1, 1000} {
			for _, batch := range []int{100, 500, 1000} {
				b.Run(fmt.Sprintf("%s/accounts=%d/batch=%d", server.Name, accounts, batch), func(b *testing.B) {
					benchmarkPairs(b, server.Address, accounts, batch)
				})
			}
		}
	}
}

func benchmarkPairs(b *testing.B, address string, accounts, batch int) {
	b.Helper()
	driver := booktest.NewDriver(b, ledger.Book{}, address)
	p := pairs{b: b, accounts: accounts}
	driver.Handle(p.opening())
	for p.held < *live {
		driver.Handle(p.holds(min(batch, *live-p.held)))
	}
	p.captured = max(0, p.held-batch/2)
	if p.held == 0 {
		driver.Handle(p.holds(batch / 2))
	}
	const batches = 20
	before := driver.Usage()
	var movements int
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		var made [batches][]pipeline.Record
		for i := range made {
			made[i] = append(p.holds(batch/2), p.captures(batch/2)...)
		}
		start := driver.Usage()
		b.StartTimer()
		for _, records := range made {
			driver.Handle(records)
			movements += len(records)
		}
		b.StopTimer()
		spent += driver.Usage().Process - start.Process
		b.StartTimer()
	}
	after := driver.Usage()
	b.ReportMetric(float64(after.Store-before.Store)/float64(movements), "redis-ns/movement")
	b.ReportMetric(float64(spent)/float64(movements), "go-ns/movement")
	b.ReportMetric(float64(b.Elapsed())/float64(movements), "ns/movement")
	b.ReportMetric(0, "ns/op")
}

// pairs makes holds, and captures of the same.
type pairs struct {
	b              *testing.B
	accounts       int
	held, captured int
}

func (p *pairs) account(i int) string { return "AVALBRSP/" + strconv.Itoa(10000000+i%p.accounts) }

func (p *pairs) record(id string, m *schemas.Movement) pipeline.Record {
	record, err := pipeline.Encode(schemas.TopicMovements, schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/bench", Time: time.UnixMilli(1e12)}, Body: m,
	})
	if err != nil {
		p.b.Fatal(err)
	}
	return record
}

func (p *pairs) opening() []pipeline.Record {
	var records []pipeline.Record
	for i := range p.accounts {
		records = append(records, p.record("open-"+strconv.Itoa(i), &schemas.Movement{
			Account: p.account(i), Verb: &schemas.Movement_Open{Open: &schemas.Open{
				Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: "holder",
				Funds: &schemas.Money{MinorUnits: schemas.AmountMax / int64(p.accounts), Currency: "BRL"},
			}},
		}))
	}
	return records
}

func (p *pairs) id(kind string, i int) string { return schemas.DeriveID(kind, strconv.Itoa(i)) }

func (p *pairs) holds(n int) []pipeline.Record {
	var records []pipeline.Record
	for range n {
		reference, err := anypb.New(&schemas.Money{MinorUnits: int64(p.held + 1), Currency: "BRL"})
		if err != nil {
			p.b.Fatal(err)
		}
		records = append(records, p.record(p.id("hold", p.held), &schemas.Movement{
			Account: p.account(p.held), Reference: reference, Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
				Amount: &schemas.Money{MinorUnits: 12345, Currency: "BRL"}, Holder: "holder",
				Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT,
			}},
		}))
		p.held++
	}
	return records
}

func (p *pairs) captures(n int) []pipeline.Record {
	var records []pipeline.Record
	for range n {
		records = append(records, p.record(p.id("capture", p.captured), &schemas.Movement{
			Account: p.account(p.captured), Verb: &schemas.Movement_Capture{Capture: &schemas.Capture{
				Hold: p.id("hold", p.captured), Amount: &schemas.Money{MinorUnits: 12345, Currency: "BRL"},
			}},
		}))
		p.captured++
	}
	return records
}
