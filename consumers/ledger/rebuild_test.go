package ledger_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/pipeline/fold"
)

func rebuilder(shard *booktest.Shard, store *book.Store) *book.Rebuilder {
	return &book.Rebuilder{Book: ledger.Book{}, Store: store, Log: shard.Log()}
}

// state reads all that a store has.
func state(t booktest.T, store *book.Store) book.State {
	t.Helper()
	s, err := store.State(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sameState(t booktest.T, got, want book.State) {
	t.Helper()
	if got.At != want.At || got.Digest != want.Digest || got.Epoch != want.Epoch {
		t.Fatalf("it stands at %d %s, epoch %d, want %d %s, epoch %d",
			got.At, got.Digest, got.Epoch, want.At, want.Digest, want.Epoch)
	}
	for name, table := range want.Tables {
		if !maps.Equal(got.Tables[name], table) {
			t.Fatalf("table %s is\n%v, want\n%v", name, got.Tables[name], table)
		}
	}
}

// TestRebuiltIsTheOriginal rebuilds random histories elsewhere, and has the book go on there as the original would.
func TestRebuiltIsTheOriginal(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := &machine{model: newModel(), shard: booktest.New(t, ledger.Book{}, server.Address)}
				m.batch(t, opening()...)
				for range rapid.IntRange(1, 5).Draw(t, "batches") {
					m.batch(t)
				}
				want, other := state(t, m.shard.Store()), m.shard.Other()
				r := rebuilder(m.shard, other)
				done, err := r.Shard(t.Context(), 0, fold.ToTheEnd, 0)
				if err != nil || done.Kept || done.To != want.At {
					t.Fatalf("rebuilt %+v, %v", done, err)
				}
				sameState(t, state(t, other), want)
				if done, err = r.Shard(t.Context(), 0, fold.ToTheEnd, 0); err != nil || !done.Kept {
					t.Fatalf("again: %+v, %v", done, err)
				}
				m.shard.Move(other)
				m.batch(t)
				m.check(t)
			})
		})
	}
}

// TestRebuildRefusesAStateThatIsThere writes in place of one with force alone, and its owner goes on.
func TestRebuildRefusesAStateThatIsThere(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			shard := played(t, server.Address)
			want := state(t, shard.Store())
			r := rebuilder(shard, shard.Store())
			_, err := r.Shard(t.Context(), 0, fold.ToTheEnd, 0)
			if full := (*book.NotEmptyError)(nil); !errors.As(err, &full) || full.At != 5 {
				t.Fatalf("it was not refused: %v", err)
			}
			sameState(t, state(t, shard.Store()), want)
			shard.PlantPlain("accounts", bank+"a", "x")
			r.Force = true
			if _, err := r.Shard(t.Context(), 0, fold.ToTheEnd, 0); err != nil {
				t.Fatal(err)
			}
			sameState(t, state(t, shard.Store()), want)
			if _, err := r.Shard(t.Context(), 0, 3, 0); err != nil { // a moment of the past
				t.Fatal(err)
			}
			if past := state(t, shard.Store()); past.At != 3 || len(past.Tables["holds"]) != 0 {
				t.Errorf("the past stands at %d", past.At)
			}
			shard.Recover()
			shard.Decide(usual("credit", "later", "a", 1).command())
			shard.Tables()
		})
	}
}

// TestRebuildThatIsCutOff leaves a half written shard, which nobody takes for whole: another rebuild, or an owner,
// begins it anew.
func TestRebuildThatIsCutOff(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		for name, goesOn := range map[string]func(t *testing.T, shard *booktest.Shard, other *book.Store){
			"a rebuild": func(t *testing.T, shard *booktest.Shard, other *book.Store) {
				t.Helper()
				if _, err := rebuilder(shard, other).Shard(t.Context(), 0, fold.ToTheEnd, 0); err != nil {
					t.Fatal(err)
				}
			},
			"an owner": func(t *testing.T, shard *booktest.Shard, other *book.Store) {
				t.Helper()
				shard.Move(other)
				shard.Tables()
			},
		} {
			t.Run(server.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				shard := played(t, server.Address)
				want := state(t, shard.Store())
				other := shard.Other()
				calls := 1
				for ; ; calls++ { // each call of Redis is the last one once
					_, err := rebuilder(shard, shard.CutOff(other, calls)).Shard(t.Context(), 0, fold.ToTheEnd, 0)
					if err == nil || calls > 50 {
						break
					}
					place, err := other.Place(t.Context(), 0)
					if err != nil || place.Found && place.Digest != book.Loading && place.Digest != "" {
						t.Fatalf("after %d calls it is taken for whole: %+v, %v", calls, place, err)
					}
				}
				if calls < 5 || calls > 50 {
					t.Errorf("it took %d calls", calls)
				}
				other = shard.Other()
				_, err := rebuilder(shard, shard.CutOff(other, calls-2)).Shard(t.Context(), 0, fold.ToTheEnd, 0)
				if err == nil {
					t.Fatal("it was not cut off")
				}
				goesOn(t, shard, other)
				got := state(t, other)
				got.Epoch = want.Epoch // an owner has its own
				sameState(t, got, want)
				if found, _, err := verified(t, shard); err != nil || len(found) > 0 {
					t.Errorf("found %q, %v", found, err)
				}
			})
		}
	}
}

// TestRebuildOfAShorterJournalIsRefused: what Redis has seen is more than the log has (rule 16).
func TestRebuildOfAShorterJournalIsRefused(t *testing.T) {
	t.Parallel()
	for _, server := range booktest.Servers(t) {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			shard := played(t, server.Address)
			shard.PlantHeader("epoch", "99")
			r := rebuilder(shard, shard.Store())
			r.Force = true
			_, err := r.Shard(t.Context(), 0, fold.ToTheEnd, 0)
			if wrong := (*book.LogError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "epoch 99") {
				t.Errorf("it was not refused: %v", err)
			}
		})
	}
}
