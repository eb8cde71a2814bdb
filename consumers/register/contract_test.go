package register_test

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// contract is what a register does over any Redis. open returns a client, and a namespace that nobody uses.
func contract(t *testing.T, open func(*testing.T) (redis.UniversalClient, string)) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, redis.UniversalClient, register.Config){
		"any order of topics tells the same story":     anyOrder,
		"the same again changes nothing":               again,
		"an emptied Redis is filled again":             emptied,
		"what was lost is noticed":                     lost,
		"another process has gone on":                  overtaken,
		"a lost reply is repeated":                     lostReply,
		"what cannot be stored moves no position":      together,
		"contradictions stand beside each other":       beside,
		"a story that was never told is empty":         unknown,
		"a batch that says nothing moves the position": silent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, namespace := open(t)
			test(t, client, register.Config{Namespace: namespace, Partitions: shards})
		})
	}
}

func anyOrder(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	r := register.New(client, c)
	feed(t, r, h, 0)
	want := told(t.Context(), t, r, ids)
	s, err := r.Story(t.Context(), ids[3])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Invitations) != 1 || len(s.Vouches) != 1 || len(s.PreIssues) != 2 || len(s.Holds) != 1 ||
		len(s.Certificates) != 1 || len(s.Refusals) != 0 {
		t.Fatalf("the story of what was issued is %+v", s)
	}
	for seed := range uint64(20) {
		empty(t.Context(), t, client, c.Namespace)
		r := register.New(client, c)
		feed(t, r, h, seed)
		if got := told(t.Context(), t, r, ids); got != want {
			t.Fatalf("seed %d tells\n%s\nwant\n%s", seed, got, want)
		}
	}
}

func again(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	r := register.New(client, c)
	feed(t, r, h, 1)
	want, rows := told(t.Context(), t, r, ids), dump(t, client, c.Namespace)
	for _, s := range h.sources() { // a register that does not know where it stood
		for from := range h[s] {
			store(t, register.New(client, c), h, s, from, len(h[s]))
		}
	}
	if got := told(t.Context(), t, r, ids); got != want {
		t.Errorf("after the same again it tells\n%s\nwant\n%s", got, want)
	}
	if got := dump(t, client, c.Namespace); !maps.Equal(got, rows) {
		t.Errorf("after the same again Redis has\n%v\nwant\n%v", got, rows)
	}
}

func emptied(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	r := register.New(client, c)
	feed(t, r, h, 1)
	want, rows := told(t.Context(), t, r, ids), dump(t, client, c.Namespace)
	empty(t.Context(), t, client, c.Namespace)
	for _, s := range h.sources() {
		if m, err := r.Resume(t.Context(), s.topic, s.partition); err != nil || m.Offset >= 0 {
			t.Fatalf("Resume %v = %v, %v, want none", s, m, err)
		}
	}
	feed(t, r, h, 2)
	if got := told(t.Context(), t, r, ids); got != want {
		t.Errorf("filled again it tells\n%s\nwant\n%s", got, want)
	}
	if got := dump(t, client, c.Namespace); !maps.Equal(got, rows) {
		t.Errorf("filled again Redis has\n%v\nwant\n%v", got, rows)
	}
}

// lost has a Redis that loses all between two batches: the second one must not be stored as if the first were
// there.
func lost(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	r := register.New(client, c)
	s := longest(h)
	store(t, r, h, s, 0, 2)
	empty(t.Context(), t, client, c.Namespace)
	err := r.Store(t.Context(), s.topic, s.partition, h[s][2:], mark(len(h[s])))
	if !errors.Is(err, register.ErrElsewhere) || !errors.Is(err, pipeline.ErrResume) {
		t.Fatalf("Store = %v, want %v", err, register.ErrElsewhere)
	}
	if rows := dump(t, client, c.Namespace); len(rows) != 0 {
		t.Errorf("Redis has %v, want nothing", rows)
	}
	feed(t, r, h, 1)
	other := register.New(client, c)
	if told(t.Context(), t, r, ids) != told(t.Context(), t, other, ids) {
		t.Error("two registers over one Redis tell different stories")
	}
}

func overtaken(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, _ := play()
	s := longest(h)
	former, later := register.New(client, c), register.New(client, c)
	store(t, former, h, s, 0, 1)
	if m, err := later.Resume(t.Context(), s.topic, s.partition); err != nil || m != mark(1) {
		t.Fatalf("Resume = %v, %v, want %v", m, err, mark(1))
	}
	store(t, later, h, s, 1, 3)
	err := former.Store(t.Context(), s.topic, s.partition, h[s][1:2], mark(2))
	if !errors.Is(err, pipeline.ErrResume) {
		t.Errorf("Store of the former one = %v, want %v", err, pipeline.ErrResume)
	}
	if m, err := former.Resume(t.Context(), s.topic, s.partition); err != nil || m != mark(3) {
		t.Errorf("Resume = %v, %v, want %v", m, err, mark(3))
	}
}

func lostReply(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, _ := play()
	s := longest(h)
	r := register.New(client, c)
	store(t, r, h, s, 0, 1)
	hook := &deaf{on: true}
	client.AddHook(hook)
	if err := r.Store(t.Context(), s.topic, s.partition, h[s][1:3], mark(3)); !errors.Is(err, errDeaf) {
		t.Fatalf("Store = %v, want %v", err, errDeaf)
	}
	hook.on = false
	rows := dump(t, client, c.Namespace)
	store(t, r, h, s, 1, 3)
	if got := dump(t, client, c.Namespace); !maps.Equal(got, rows) {
		t.Errorf("after the repeat Redis has\n%v\nwant\n%v", got, rows)
	}
}

var errDeaf = errors.New("the reply was lost")

// deaf loses replies.
type deaf struct{ on bool }

func (d *deaf) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *deaf) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if d.on && err == nil {
			cmd.SetErr(errDeaf)
			return errDeaf
		}
		return err
	}
}

func (d *deaf) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func together(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	s := source{schemas.TopicRefusals, schemas.PartitionOf([]byte(ids[0]), shards)}
	r := register.New(client, c)
	store(t, r, h, s, 0, 0)
	key := c.Namespace + ":{r:" + string(rune('0'+s.partition)) + "}:" + s.topic + ":" + ids[0]
	if err := client.Set(t.Context(), key, "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Store(t.Context(), s.topic, s.partition, h[s], mark(len(h[s]))); err == nil {
		t.Fatal("Store: no error")
	}
	if m, err := r.Resume(t.Context(), s.topic, s.partition); err != nil || m != mark(0) {
		t.Errorf("Resume = %v, %v, want %v", m, err, mark(0))
	}
	if err := client.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	store(t, r, h, s, 0, len(h[s]))
	if story, err := r.Story(t.Context(), ids[0]); err != nil || len(story.Refusals) != 1 {
		t.Errorf("Story = %+v, %v, want its refusal", story, err)
	}
}

func beside(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	h, ids := play()
	r := register.New(client, c)
	feed(t, r, h, 1)
	s, err := r.Story(t.Context(), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Invitations) != 2 || len(s.Vouches) != 2 || len(s.Certificates) != 1 || len(s.Refusals) != 1 {
		t.Fatalf("the story of what contradicts is %+v", s)
	}
	first, _ := s.Invitations[0].Body.(*schemas.Invitation)
	second, _ := s.Invitations[1].Body.(*schemas.Invitation)
	if first.GetAmount().GetMinorUnits() != 101 || second.GetAmount().GetMinorUnits() != 9_999 {
		t.Errorf("the invitations are %v and %v", first, second)
	}
}

func unknown(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	s, err := register.New(client, c).Story(t.Context(), "nobody")
	if err != nil || !s.Empty() {
		t.Errorf("Story = %+v, %v, want an empty one", s, err)
	}
}

func silent(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	r := register.New(client, c)
	if err := r.Store(t.Context(), schemas.TopicEntries, 2, nil, mark(5)); err != nil {
		t.Fatal(err)
	}
	if m, err := r.Resume(t.Context(), schemas.TopicEntries, 2); err != nil || m != mark(5) {
		t.Errorf("Resume = %v, %v, want %v", m, err, mark(5))
	}
	if m, err := r.Resume(t.Context(), schemas.TopicPreIssues, 2); err != nil || m.Offset >= 0 {
		t.Errorf("Resume of another topic = %v, %v, want none", m, err)
	}
}

// longest returns a source that has messages enough for several batches.
func longest(h history) source {
	var found source
	for _, s := range h.sources() {
		if len(h[s]) > len(h[found]) {
			found = s
		}
	}
	return found
}

// dump returns all that the namespace has.
func dump(t *testing.T, client redis.UniversalClient, namespace string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, key := range keys(t.Context(), t, client, namespace) {
		fields, err := client.HGetAll(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range fields {
			rows[key+" "+field] = value
		}
	}
	return rows
}

func empty(ctx context.Context, t *testing.T, client redis.UniversalClient, namespace string) {
	t.Helper()
	for _, key := range keys(ctx, t, client, namespace) {
		if err := client.Del(ctx, key).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func keys(ctx context.Context, t *testing.T, client redis.UniversalClient, namespace string) []string {
	t.Helper()
	var all []string
	scan := client.Scan(ctx, 0, namespace+":*", 1000).Iterator()
	for scan.Next(ctx) {
		all = append(all, scan.Val())
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
