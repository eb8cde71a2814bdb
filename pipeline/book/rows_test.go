package book_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// TestRowsAreThoseOfTheState reads a state row by row, with rows of both halves of what rotates and one that stands
// in both, and compares it with the state as a whole.
func TestRowsAreThoseOfTheState(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			shard := booktest.New(t, toy{1 << 40}, server.Address)
			const many = 1300 // more than a page
			var earlier, later []booktest.Command
			for i := range many {
				earlier = append(earlier, at(0, fmt.Sprintf("a%d", i), movementOf(1)))
				later = append(later, at(20, fmt.Sprintf("b%d", i), movementOf(1)))
			}
			shard.Decide(append([]booktest.Command{at(0, "t0", tickOf(10))}, earlier...)...)
			shard.Decide(at(10, "t1", tickOf(10)), at(20, "t2", tickOf(10)))
			shard.Decide(later...)
			tables := shard.Tables()
			if len(tables["seen0"]) == 0 || len(tables["seen1"]) == 0 {
				t.Fatalf("one half is empty: %d and %d", len(tables["seen0"]), len(tables["seen1"]))
			}
			store := shard.Store()
			for name, table := range tables {
				mustRows(ctx, t, store, name, table)
				if n, err := store.Len(ctx, 0, name); err != nil || n != int64(len(table)) {
					t.Errorf("Len of %s = %d, %v, want %d", name, n, err, len(table))
				}
			}
			n, err := store.Len(ctx, 0, "seen")
			if err != nil || n != int64(len(tables["seen0"])+len(tables["seen1"])) {
				t.Errorf("Len of both halves = %d, %v", n, err)
			}
			both := maps.Clone(tables["seen0"])
			maps.Copy(both, tables["seen1"])
			mustRows(ctx, t, store, "seen", both)
			if _, found, err := store.Row(ctx, 0, "seen", "c"); found || err != nil {
				t.Errorf("a row that is not there: found %v, %v", found, err)
			}
			if _, _, err := store.Row(ctx, 0, "sees", "c"); err == nil || !strings.Contains(err.Error(), "seen0") {
				t.Errorf("a table that is not there: %v", err)
			}
		})
	}
}

// at is a command of a time, in ms.
func at(ms int64, id string, m *schemas.Movement) booktest.Command {
	return booktest.Command{Message: schemas.Message{
		Attributes: schemas.Attributes{ID: id, Source: "/test", Time: time.UnixMilli(1e12 + ms)}, Body: m,
	}}
}

func tickOf(ms int64) *schemas.Movement {
	retention := durationpb.New(time.Duration(ms) * time.Millisecond)
	return &schemas.Movement{Verb: &schemas.Movement_Tick{Tick: &schemas.Tick{Retention: retention}}}
}

// mustRows reads each row of a table, and all of them.
func mustRows(ctx context.Context, t *testing.T, store *book.Store, name string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := store.Rows(ctx, 0, name, func(field, value string) error {
		got[field] = value
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%s: %d rows (%v), want %d", name, len(got), err, len(want))
	}
	for field := range want {
		value, found, err := store.Row(ctx, 0, name, field)
		if err != nil || !found || value != want[field] {
			t.Fatalf("%s %s is %q (%v, %v), want %q", name, field, value, found, err, want[field])
		}
	}
}

// TestRowsOfAStateThatIsRebuiltMeanwhileSaySo has the state's keys change their generation between two pages.
func TestRowsOfAStateThatIsRebuiltMeanwhileSaySo(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	store := book.NewStore(client, "test", toy{30})
	for field, value := range map[string]string{
		"generation": "7", "layout": "3", "history": "h", "depth": "5", "split": "", "rows": "1", "era": "0",
	} {
		server.HSet(headerKey, field, value)
	}
	server.HSet(headerKey+":7:sums", "a", "1", "b", "2")
	server.HSet(headerKey+":7:rows", "00000", "\x00\x00\x00\x00\x00\x02a\x02\x01x")
	for _, table := range []string{"seen", "sums"} {
		server.HSet(headerKey, "generation", "7")
		err := store.Rows(t.Context(), 0, table, func(string, string) error {
			server.HSet(headerKey, "generation", "8")
			return nil
		})
		if table == "seen" && !strings.Contains(fmt.Sprint(err), "rebuilt") { // a small plain table is one page
			t.Errorf("rows of %s of two states were visited as if they were of one: %v", table, err)
		}
	}
	if _, found, err := store.Row(t.Context(), 0, "sums", "a"); found || err != nil {
		t.Errorf("a row of the former state: found %v, %v", found, err)
	}
}
