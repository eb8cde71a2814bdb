package register_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func embedded(t *testing.T) (redis.UniversalClient, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client, server
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	contract(t, func(t *testing.T) (redis.UniversalClient, string) {
		t.Helper()
		client, _ := embedded(t)
		return client, "test"
	})
}

// TestWhatHappenedIsForgottenAndPositionsStay walks through a retention, with a batch in each bucket.
func TestWhatHappenedIsForgottenAndPositionsStay(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	now := epoch()
	c := config("test", now)
	c.Now = func() time.Time { return now }
	l, ids := play()
	r, stories := register.New(client, c), register.NewStories(client, l, c)
	feed(t, r, l, 1)
	want := told(t.Context(), t, stories, ids)
	pass := func(d time.Duration) {
		now = now.Add(d)
		server.FastForward(d)
	}
	pass(register.RetentionDefault - time.Hour)
	if got := told(t.Context(), t, stories, ids); got != want {
		t.Errorf("within the retention it tells\n%s\nwant\n%s", got, want)
	}
	pass(register.RetentionDefault/4 + 2*time.Hour)
	for _, id := range ids {
		if row, err := stories.Row(t.Context(), id); err != nil || len(row) > 0 {
			t.Errorf("Row = %v, %v, must be forgotten", row, err)
		}
	}
	for _, s := range l.sources() {
		resume(t, r, s, len(l.history[s]))
	}
	if rows := dump(t, client, "test"); len(rows) != len(l.sources()) {
		t.Errorf("Redis has %v, want positions alone", rows)
	}
}

// TestAStoryGoesOnInAnotherBucket has a buyer who takes a while to answer.
func TestAStoryGoesOnInAnotherBucket(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	now := epoch()
	c := config("test", now)
	c.Now = func() time.Time { return now }
	l := emptyLog()
	d := newDeal(l, "order", 100)
	d.offer(d.vouch(done, 0))
	r := register.New(client, c)
	feed(t, r, l, 1)
	before := len(server.Keys())
	now = now.Add(register.RetentionDefault / 2)
	d.answer("request", d.request(), done, 0)
	feed(t, r, l, 1)
	if after := len(server.Keys()); after != before+1 {
		t.Errorf("Redis has %d keys, had %d, want one more: another bucket", after, before)
	}
	row, err := register.NewStories(client, l, c).Row(t.Context(), d.id())
	if err != nil || len(row) != 2 || row.State() != register.StateRequested {
		t.Errorf("Row = %v, %v, want the offer and the request", row, err)
	}
}

// TestABucketIsForgottenBeforeItsEndComes: Redis frees a large key in the background only if it is told to.
func TestABucketIsForgottenBeforeItsEndComes(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	now := epoch()
	c := config("test", now)
	c.Now = func() time.Time { return now }
	l := emptyLog()
	r := register.New(client, c)
	s := source{schemas.TopicInvitations, 0}
	resume(t, r, s, -1)
	for i := range 30 {
		for len(l.history[s]) == i {
			newDeal(l, fmt.Sprintf("order-%d-%d", i, len(l.history)+int(now.Unix())), 100).invite()
			now = now.Add(time.Second)
		}
		l.history[s][i].Time = now
		store(t, r, l, s, i, i+1)
		if n := len(server.Keys()); n > 12 {
			t.Fatalf("after %d buckets Redis has %d keys", i+1, n)
		}
		now = now.Add(register.RetentionDefault / 8)
	}
}

// TestABuildOfOldTopicsBeginsWithWhatIsKept: years of them are not taken in to be forgotten.
func TestABuildOfOldTopicsBeginsWithWhatIsKept(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	l, ids := play()
	c := config("test", epoch().Add(register.RetentionDefault+time.Hour))
	feed(t, register.New(client, c), l, 1)
	if row, err := register.NewStories(client, l, c).Row(t.Context(), ids[0]); err != nil || len(row) > 0 {
		t.Errorf("Row = %v, %v, want nothing", row, err)
	}
}

func TestStoreWritesKeysOfOneSlot(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	l, _ := play()
	for _, s := range l.sources() {
		server.FlushAll()
		r := register.New(client, config("test", epoch()))
		resume(t, r, s, -1)
		store(t, r, l, s, 0, len(l.history[s]))
		for _, key := range server.Keys() {
			if tag := fmt.Sprintf("test:{r:%d}:", s.partition); !strings.HasPrefix(key, tag) {
				t.Errorf("storing %v wrote %s, must write keys of %s", s, key, tag)
			}
		}
	}
}

// TestAThousandAnswersDoNotFillTheMemory: one at a time, and all at once.
func TestAThousandAnswersDoNotFillTheMemory(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"one by one": 1, "at once": 2_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := embedded(t)
			c := config("test", epoch())
			r := register.New(client, c)
			l := emptyLog()
			d := newDeal(l, "order", 100)
			d.offer(d.vouch(done, 0))
			for i := range 1_000 {
				d.answer(fmt.Sprintf("loser-%d", i), d.request(), refused, schemas.Reason_REASON_BUYER)
			}
			d.answer("winner", d.request(), done, 0)
			s := source{schemas.TopicPreIssues, schemas.PartitionOf([]byte(d.id()), shards)}
			resume(t, r, s, -1)
			for from := 0; from < len(l.history[s]); from += size {
				store(t, r, l, s, from, min(from+size, len(l.history[s])))
			}
			row, err := register.NewStories(client, l, c).Row(t.Context(), d.id())
			if err != nil || row.State() != register.StateRequested {
				t.Fatalf("Row = %v, %v", row, err)
			}
			for field, value := range dump(t, client, "test") {
				if len(value) > register.RowMax+64 {
					t.Errorf("%q has %d bytes", field, len(value))
				}
			}
		})
	}
}

// TestNothingOfABooksStateIsTold: a story is read by people, balances are not theirs to see.
func TestNothingOfABooksStateIsTold(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	l, ids := play()
	c := config("test", epoch())
	feed(t, register.New(client, c), l, 1)
	if text := told(t.Context(), t, register.NewStories(client, l, c), ids); strings.Contains(text, "deposit BRL") {
		t.Errorf("a balance is told in\n%s", text)
	}
}

func TestARedisThatIsDownIsAnError(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	c := config("test", epoch())
	r := register.New(client, c)
	resume(t, r, source{schemas.TopicPreIssues, 0}, -1)
	server.SetError("LOADING")
	if _, err := r.Resume(t.Context(), schemas.TopicPreIssues, 0); err == nil {
		t.Error("Resume: no error")
	}
	err := r.Store(t.Context(), schemas.TopicPreIssues, 0, nil, mark(1))
	if err == nil || errors.Is(err, pipeline.ErrResume) {
		t.Errorf("Store = %v, want a fault", err)
	}
	stories := register.NewStories(client, emptyLog(), c)
	if _, err := stories.Story(t.Context(), "x"); err == nil || errors.Is(err, register.ErrUnknown) {
		t.Errorf("Story: %v, want a fault", err)
	}
	if _, err := stories.Find(t.Context(), "x"); err == nil || errors.Is(err, register.ErrUnknown) {
		t.Errorf("Find: %v, want a fault", err)
	}
}
