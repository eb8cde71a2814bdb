package timer_test

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book/booktest"
	"github.com/aval-systems/aval/schemas"
)

// What nobody answers lapses with the first tick at or after its end, and nothing else does.
func TestLapse(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, address string) {
		t.Helper()
		w := newWorld(t, address, 0)
		w.tick(noon)
		w.offer("i1", noon.Add(10*time.Minute))
		w.offer("i2", noon.Add(20*time.Minute))
		w.offer("i3", noon.Add(10*time.Minute))
		w.offer("i4", time.Time{})
		w.decline("i3", noon.Add(10*time.Minute))
		for _, step := range []struct {
			at   time.Duration
			want []string
		}{
			{10*time.Minute - time.Millisecond, nil},
			{10 * time.Minute, []string{"i1"}},
			{11 * time.Minute, []string{"i1"}},
			{21 * time.Minute, []string{"i1", "i2"}},
			{60 * time.Minute, []string{"i1", "i2"}},
		} {
			w.tick(noon.Add(step.at))
			w.must(w.follow())
			w.decide()
			if got := slices.Sorted(maps.Keys(w.lapsed)); !slices.Equal(got, step.want) {
				t.Errorf("%v after noon %v have lapsed, want %v", step.at, got, step.want)
			}
		}
		if at := w.lapsed["i2"]; !at.Equal(noon.Add(21 * time.Minute)) {
			t.Errorf("i2 has lapsed at %v, want the time of the tick", at)
		}
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// A lapse that could not be written is written later; one that is written twice is decided once.
func TestLapseAgain(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, address string) {
		t.Helper()
		w := newWorld(t, address, 0)
		w.offer("i1", noon)
		w.tick(noon)
		w.publisher.down = true
		if err := w.follow(); !errors.Is(err, errDown) {
			t.Fatalf("the batch ends with %v, want that nothing can be written", err)
		}
		w.publisher.down = false
		w.must(w.follow())
		first := w.publisher.take()
		w.committed = pipeline.Mark{Offset: -1} // another timer, which knows nothing
		w.restart()
		w.tick(noon.Add(time.Minute))
		w.must(w.follow())
		w.publisher.records = append(first, w.publisher.records...)
		if len(first) != 1 || len(w.publisher.records) != 2 || w.decide() != 1 {
			t.Errorf("%d lapses were written and %v have lapsed, want one that was written twice",
				len(first), w.lapsed)
		}
		w.committed = pipeline.Mark{Offset: -1}
		w.restart()
		w.tick(noon.Add(2 * time.Minute))
		w.must(w.follow())
		if again := w.publisher.take(); len(again) > 0 {
			t.Errorf("a timer that reads from the beginning writes %d lapses of what is decided", len(again))
		}
	})
}

// TestLapseIsItsModel has offers, answers, ticks and restarts come in any order, and a timer that forgets what it
// cannot keep: what is open in the end has not come to its end.
func TestLapseIsItsModel(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, address string) {
		t.Helper()
		rapid.Check(t, func(t *rapid.T) {
			m := &model{
				world: newWorld(t, address, rapid.IntRange(1, 12).Draw(t, "open at most")), now: noon,
				open: map[string]time.Time{},
			}
			m.tick(noon)
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				m.step(t)
			}
			for range 3 * (m.count + 1) { // what was forgotten comes back by and by
				m.pass(time.Millisecond)
				m.must(m.follow())
				m.decided(t)
			}
			for invitation, by := range m.open {
				if !by.IsZero() && !by.After(m.now) {
					t.Fatalf("%s is open at %v, its end was at %v", invitation, m.now, by)
				}
			}
		})
	})
}

type model struct {
	*world

	now   time.Time
	open  map[string]time.Time
	count int
}

func (m *model) pass(d time.Duration) {
	m.now = m.now.Add(d)
	m.tick(m.now)
}

func (m *model) step(t *rapid.T) {
	switch rapid.SampledFrom([]string{"offer", "offer", "decline", "pass", "follow", "decide", "restart"}).Draw(t, "") {
	case "offer":
		m.count++
		invitation, by := "i"+strconv.Itoa(m.count), time.Time{}
		if minutes := rapid.IntRange(0, 10).Draw(t, "minutes"); minutes > 0 {
			by = noon.Add(time.Duration(minutes) * time.Minute)
		}
		m.offer(invitation, by)
		m.open[invitation] = by
	case "decline":
		if len(m.open) == 0 || len(m.publisher.records) > 0 { // what lapses meanwhile cannot be declined
			return
		}
		invitation := rapid.SampledFrom(slices.Sorted(maps.Keys(m.open))).Draw(t, "invitation")
		m.decline(invitation, m.open[invitation])
		delete(m.open, invitation)
	case "pass":
		m.pass(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
	case "follow":
		m.must(m.follow())
	case "decide":
		m.decided(t)
	case "restart":
		m.decided(t)
		if rapid.Bool().Draw(t, "with nothing") {
			m.committed = pipeline.Mark{Offset: -1}
		}
		m.restart()
	}
}

// decided takes what has lapsed out of the model.
func (m *model) decided(t *rapid.T) {
	m.decide()
	for invitation, at := range m.lapsed {
		if by, open := m.open[invitation]; open && (by.IsZero() || at.Before(by)) {
			t.Fatalf("%s lapsed at %v, before its end at %v", invitation, at, by)
		}
		delete(m.open, invitation)
	}
}

var _ booktest.T = (*rapid.T)(nil)

// Whoever writes the lapse of an invitation, it has the same name.
func TestLapseID(t *testing.T) {
	t.Parallel()
	if a, b := schemas.LapseID("i1"), schemas.LapseID("i2"); a == b || a != schemas.LapseID("i1") {
		t.Errorf("LapseID of i1 is %s, of i2 %s", a, b)
	}
}
