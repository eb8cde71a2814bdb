package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/book/booktest"
)

// verified verifies the shard, and returns the differences as KEY FIELD REDIS|JOURNAL.
func verified(t booktest.T, shard *booktest.Shard) (found []string, items int64, err error) {
	t.Helper()
	v := book.Verifier{
		Book: ledger.Book{}, Store: shard.Store(), Log: shard.Log(), Attempts: 3, Pause: time.Millisecond,
		Report: func(d book.Difference) {
			if d.Book != "accounts" || d.Shard != 0 {
				t.Fatalf("a difference of %s/%d", d.Book, d.Shard)
			}
			if d.Field == "bucket" { // whose name is by chance
				d.Key = "rows …"
			}
			found = append(found, fmt.Sprintf("%s: %s %s|%s", d.Key, d.Field, d.Redis, d.Journal))
		},
	}
	items, err = v.Shard(t.Context(), 0)
	slices.Sort(found)
	return found, items, err
}

// played has accounts, holds, remembered identifiers and a clock.
func played(t *testing.T, address string) *booktest.Shard {
	t.Helper()
	shard := booktest.New(t, ledger.Book{}, address)
	line := usual("open", "o2", "b", 50)
	line.kind = "credit"
	tick := order{verb: "tick", id: "t1", at: 1000, keep: 5000}
	shard.Decide(usual("open", "o1", "a", 100).command(), line.command(), tick.command())
	hold := usual("hold", "h1", "a", 30)
	hold.at = 1000
	refused := usual("hold", "h2", "a", 300)
	refused.at = 1000
	shard.Decide(hold.command(), refused.command())
	return shard
}

// TestVerifyFindsWhatWasPlanted changes Redis by hand, in each way, and wants just that to be found.
func TestVerifyFindsWhatWasPlanted(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		for name, c := range map[string]struct {
			plant func(*booktest.Shard, map[string]map[string]string)
			want  func(map[string]map[string]string) []string
		}{
			"nothing": {
				func(*booktest.Shard, map[string]map[string]string) {},
				func(map[string]map[string]string) []string { return nil },
			},
			"a byte of a balance": {
				func(s *booktest.Shard, tables map[string]map[string]string) {
					row := tables["accounts"][bank+"a"]
					s.PlantPlain("accounts", bank+"a", row[:17]+"9"+row[18:]) // deposit BRL open 100 30 0
				},
				func(map[string]map[string]string) []string {
					return []string{"accounts AVALBRSP/a: ledger 900|100"}
				},
			},
			"a limit": {
				func(s *booktest.Shard, tables map[string]map[string]string) {
					row := tables["accounts"][bank+"b"]
					s.PlantPlain("accounts", bank+"b", "credit BRL open 51"+row[len("credit BRL open 50"):])
				},
				func(map[string]map[string]string) []string {
					return []string{"accounts AVALBRSP/b: limit 51|50"}
				},
			},
			"a row of no form": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantPlain("accounts", bank+"b", "x") },
				func(tables map[string]map[string]string) []string {
					return []string{"accounts AVALBRSP/b: row x|" + tables["accounts"][bank+"b"]}
				},
			},
			"an account that is gone": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantPlain("accounts", bank+"b", "") },
				func(tables map[string]map[string]string) []string {
					return []string{"accounts AVALBRSP/b: row |" + tables["accounts"][bank+"b"]}
				},
			},
			"an account too many": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantPlain("accounts", bank+"z", "x") },
				func(map[string]map[string]string) []string { return []string{"accounts AVALBRSP/z: row x|"} },
			},
			"a byte of a hold": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantBytes("/a 30 0 0 ", "/a 31 0 0 ") },
				func(map[string]map[string]string) []string { return []string{"holds h1: amount 31|30"} },
			},
			"a byte of a remembered reason": {
				func(s *booktest.Shard, _ map[string]map[string]string) {
					s.PlantBytes(" insufficient", " insufficienz")
				},
				func(map[string]map[string]string) []string {
					return []string{"seen0 h2: reason insufficienz|insufficient"}
				},
			},
			"a hold under another name": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantBytes("\x02h1\x02", "\x02h7\x02") },
				func(tables map[string]map[string]string) []string {
					return []string{"holds h1: row |" + tables["holds"]["h1"], "rows …: bucket unreadable|"}
				},
			},
			"an identifier without an end": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantBytes("\x02h1\x02", "\x02h1\x03") },
				func(tables map[string]map[string]string) []string {
					return []string{"holds h1: row |" + tables["holds"]["h1"], "rows …: bucket unreadable|"}
				},
			},
			"the clock": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantPlain("clock", "time", "1001") },
				func(map[string]map[string]string) []string { return []string{"clock: time 1001|1000"} },
			},
			"the header's digest": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantHeader("digest", "d") },
				func(map[string]map[string]string) []string { return nil }, // see below
			},
			"the header's position": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantHeader("at", "9") },
				func(map[string]map[string]string) []string { return []string{"header: at 9|5"} },
			},
			"a position that is none": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantHeader("at", "5x") },
				func(map[string]map[string]string) []string { return []string{"header: at 5x|0"} },
			},
			"the header's epoch": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantHeader("epoch", "77") },
				func(map[string]map[string]string) []string { return []string{"header: epoch 77|0"} },
			},
			"no header": {
				func(s *booktest.Shard, _ map[string]map[string]string) { s.PlantHeader("generation", "") },
				func(map[string]map[string]string) []string { return []string{"header: at |5"} },
			},
		} {
			t.Run(server.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				shard := played(t, server.Address)
				tables := shard.Tables()
				c.plant(shard, tables)
				found, items, err := verified(t, shard)
				want := c.want(tables)
				if name == "the header's digest" {
					if len(found) != 1 || found[0][:len("header: digest d|")] != "header: digest d|" {
						t.Errorf("found %q", found)
					}
					return
				}
				if err != nil || !slices.Equal(found, want) {
					t.Errorf("found %q (%v), want %q", found, err, want)
				}
				if items != 5 && name != "a position that is none" {
					t.Errorf("%d answers, want 5", items)
				}
			})
		}
	}
}

// TestVerifyWhileItGoesOn has batches decided between the looks: none of what changes is a difference, and what was
// planted is found.
func TestVerifyWhileItGoesOn(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			shard := booktest.New(t, ledger.Book{}, server.Address)
			const accounts = 600
			var opened []booktest.Command
			for i := range accounts {
				opened = append(opened, usual("open", fmt.Sprint("o", i), fmt.Sprint("a", i), 100).command())
			}
			shard.Decide(opened...)
			n := 0
			step := func(int) { // each few records and rows
				if n++; n > 50 {
					return
				}
				var moved []booktest.Command
				for i := range 20 {
					id, account := fmt.Sprint("c", n, "-", i), fmt.Sprint("a", (n*37+i)%accounts)
					moved = append(moved, usual("credit", id, account, 1).command())
				}
				moved = append(moved, order{
					verb: "tick", id: fmt.Sprint("t", n), at: int64(n) * 1000, keep: 1000,
				}.command())
				shard.Decide(moved...)
				shard.PlantPlain("accounts", "planted", "x")
			}
			var found []book.Difference
			v := book.Verifier{
				Book: ledger.Book{}, Store: shard.Store(), Log: shard.Log(), Attempts: 3, Pause: time.Millisecond,
				Report: func(d book.Difference) { found = append(found, d) }, Progress: step,
			}
			items, err := v.Shard(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || found[0].Key != "accounts planted" || found[0].Redis != "x" {
				t.Errorf("found %+v", found)
			}
			if n < 3 || items <= accounts {
				t.Errorf("nothing went on: %d steps, %d answers", n, items)
			}
		})
	}
}

// TestVerifyRandom verifies random histories, with a random row changed or not.
func TestVerifyRandom(t *testing.T) {
	t.Parallel()
	address := booktest.Servers(t)[0].Address
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{model: newModel(), shard: booktest.New(t, ledger.Book{}, address)}
		m.batch(t, opening()...)
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			m.batch(t)
		}
		if found, _, err := verified(t, m.shard); err != nil || len(found) > 0 {
			t.Fatalf("found %q, %v", found, err)
		}
		tables := m.shard.Tables()
		table := rapid.SampledFrom([]string{"accounts", "clock"}).Draw(t, "table")
		field := rapid.SampledFrom(append(slices.Sorted(maps.Keys(tables[table])), "new")).Draw(t, "field")
		m.shard.PlantPlain(table, field, rapid.SampledFrom([]string{"y", tables[table][field] + "0"}).Draw(t, "value"))
		found, _, err := verified(t, m.shard)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s %s was changed: found %q, %v", table, field, found, err)
		}
	})
}
