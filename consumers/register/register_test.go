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

func TestStoriesExpireAndPositionsStay(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	r := register.New(client, register.Config{Namespace: "test", Partitions: shards})
	h, ids := play()
	feed(t, r, h, 1)
	server.FastForward(register.RetentionDefault - time.Hour)
	for _, s := range h.sources() { // the same again keeps nothing alive
		r := register.New(client, register.Config{Namespace: "test", Partitions: shards})
		store(t, r, h, s, 0, len(h[s]))
	}
	if s, err := r.Story(t.Context(), ids[0]); err != nil || s.Empty() {
		t.Errorf("Story = %v, %v, must not have expired", s, err)
	}
	server.FastForward(2 * time.Hour)
	for _, id := range ids {
		if s, err := r.Story(t.Context(), id); err != nil || !s.Empty() {
			t.Errorf("Story = %v, %v, must have expired", s, err)
		}
	}
	for _, s := range h.sources() {
		if m, err := r.Resume(t.Context(), s.topic, s.partition); err != nil || m != mark(len(h[s])) {
			t.Errorf("Resume %v = %v, %v, want %v", s, m, err, mark(len(h[s])))
		}
	}
}

func TestStoreWritesKeysOfOneSlot(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	h, _ := play()
	for _, s := range h.sources() {
		server.FlushAll()
		r := register.New(client, register.Config{Namespace: "test", Partitions: shards})
		store(t, r, h, s, 0, len(h[s]))
		for _, key := range server.Keys() {
			if tag := fmt.Sprintf("test:{r:%d}", s.partition); !strings.HasPrefix(key, tag) {
				t.Errorf("storing %v wrote %s, must write keys of %s", s, key, tag)
			}
		}
	}
}

func TestAThousandAnswersDoNotFillTheMemory(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	r := register.New(client, register.Config{Namespace: "test", Partitions: shards})
	h := history{}
	d := newDeal(h, "order", 100)
	d.offer()
	for i := range 1_000 {
		d.answer(fmt.Sprintf("loser-%d", i), d.request(), refused, schemas.Reason_REASON_BUYER)
	}
	d.answer("winner", d.request(), done, 0)
	feed(t, r, h, 1)
	s, err := r.Story(t.Context(), d.id())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.PreIssues) != register.FactsMax+1 {
		t.Errorf("the story has %d answers, want %d", len(s.PreIssues), register.FactsMax+1)
	}
	last, _ := s.PreIssues[len(s.PreIssues)-1].Body.(*schemas.PreIssue)
	if last.GetId() != "winner" {
		t.Errorf("the last answer is %s, want the one that was accepted", last.GetId())
	}
}

// TestNothingOfABooksStateIsKept: a story is read by people, balances are not theirs to see.
func TestNothingOfABooksStateIsKept(t *testing.T) {
	t.Parallel()
	client, _ := embedded(t)
	h, _ := play()
	feed(t, register.New(client, register.Config{Namespace: "test", Partitions: shards}), h, 1)
	for field, value := range dump(t, client, "test") {
		if strings.Contains(value, "deposit BRL open") {
			t.Errorf("a balance stands in %s", field)
		}
	}
}

func TestRedisThatIsDownIsAnError(t *testing.T) {
	t.Parallel()
	client, server := embedded(t)
	r := register.New(client, register.Config{Namespace: "test", Partitions: shards})
	server.SetError("LOADING")
	if _, err := r.Resume(t.Context(), schemas.TopicEntries, 0); err == nil {
		t.Error("Resume: no error")
	}
	err := r.Store(t.Context(), schemas.TopicEntries, 0, nil, mark(1))
	if err == nil || errors.Is(err, pipeline.ErrResume) {
		t.Errorf("Store = %v, want a fault", err)
	}
	if _, err := r.Story(t.Context(), "x"); err == nil {
		t.Error("Story: no error")
	}
}
