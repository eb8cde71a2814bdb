package register_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

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
		"who does not know where it stands asks first": unasked,
		"a lost reply is repeated":                     lostReply,
		"what cannot be stored moves no position":      together,
		"contradictions stand beside each other":       beside,
		"a story that was never told is unknown":       unknown,
		"a batch that says nothing moves the position": silent,
		"a story is found by each of its identifiers":  found,
		"a batch larger than Lua's stack is stored":    large,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, namespace := open(t)
			test(t, client, config(namespace, epoch()))
		})
	}
}

func config(namespace string, now time.Time) register.Config {
	return register.Config{
		Namespace: namespace, Partitions: shards, Now: func() time.Time { return now },
	}
}

func anyOrder(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, ids := play()
	stories := register.NewStories(client, l, c)
	feed(t, register.New(client, c), l, 0)
	want := told(t.Context(), t, stories, ids)
	s, err := stories.Story(t.Context(), ids[3])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Invitations) != 1 || len(s.Vouches) != 1 || len(s.PreIssues) != 2 || len(s.Holds) != 1 ||
		len(s.Certificates) != 1 || len(s.Refusals) != 0 || s.State != register.StateIssued || s.Forgotten != 0 {
		t.Fatalf("the story of what was issued is %+v", s)
	}
	for seed := range uint64(20) {
		empty(t.Context(), t, client, c.Namespace)
		feed(t, register.New(client, c), l, seed)
		if got := told(t.Context(), t, stories, ids); got != want {
			t.Fatalf("seed %d tells\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// again stores what was stored, as whoever has lost the reply does.
func again(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, _ := play()
	for _, s := range l.sources() {
		r := register.New(client, c)
		resume(t, r, s, -1)
		other := register.New(client, c)
		resume(t, other, s, -1)
		store(t, r, l, s, 0, len(l.history[s]))
		rows := dump(t, client, c.Namespace)
		store(t, other, l, s, 0, len(l.history[s]))
		if got := dump(t, client, c.Namespace); !maps.Equal(got, rows) {
			t.Errorf("after the same again Redis has\n%v\nwant\n%v", got, rows)
		}
	}
}

func emptied(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, ids := play()
	r, stories := register.New(client, c), register.NewStories(client, l, c)
	feed(t, r, l, 1)
	want := told(t.Context(), t, stories, ids)
	empty(t.Context(), t, client, c.Namespace)
	for _, s := range l.sources() {
		resume(t, r, s, -1)
	}
	feed(t, r, l, 2)
	if got := told(t.Context(), t, stories, ids); got != want {
		t.Errorf("filled again it tells\n%s\nwant\n%s", got, want)
	}
}

// lost has a Redis that loses all between two batches: the second one must not be stored as if the first were
// there.
func lost(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, _ := play()
	r := register.New(client, c)
	s := longest(l)
	resume(t, r, s, -1)
	store(t, r, l, s, 0, 2)
	empty(t.Context(), t, client, c.Namespace)
	elsewhere(t, r.Store(t.Context(), s.topic, s.partition, l.history[s][2:], mark(len(l.history[s]))))
	if rows := dump(t, client, c.Namespace); len(rows) != 0 {
		t.Errorf("Redis has %v, want nothing", rows)
	}
}

func elsewhere(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, register.ErrElsewhere) || !errors.Is(err, pipeline.ErrResume) {
		t.Fatalf("Store = %v, want %v", err, register.ErrElsewhere)
	}
}

func overtaken(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, _ := play()
	s := longest(l)
	former, later := register.New(client, c), register.New(client, c)
	resume(t, former, s, -1)
	store(t, former, l, s, 0, 1)
	resume(t, later, s, 1)
	store(t, later, l, s, 1, 3)
	elsewhere(t, former.Store(t.Context(), s.topic, s.partition, l.history[s][1:2], mark(2)))
	resume(t, former, s, 3)
}

func unasked(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, _ := play()
	s := longest(l)
	r := register.New(client, c)
	elsewhere(t, r.Store(t.Context(), s.topic, s.partition, l.history[s][:1], mark(1)))
	if rows := dump(t, client, c.Namespace); len(rows) != 0 {
		t.Errorf("Redis has %v, want nothing", rows)
	}
}

func lostReply(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, _ := play()
	s := longest(l)
	r := register.New(client, c)
	resume(t, r, s, -1)
	store(t, r, l, s, 0, 1)
	hook := &deaf{on: true}
	client.AddHook(hook)
	if err := r.Store(t.Context(), s.topic, s.partition, l.history[s][1:3], mark(3)); !errors.Is(err, errDeaf) {
		t.Fatalf("Store = %v, want %v", err, errDeaf)
	}
	hook.on = false
	rows := dump(t, client, c.Namespace)
	store(t, r, l, s, 1, 3)
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

// together puts something else where the rows belong.
func together(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, ids := play()
	s := source{schemas.TopicRefusals, schemas.PartitionOf([]byte(ids[0]), shards)}
	r := register.New(client, c)
	resume(t, r, s, -1)
	store(t, r, l, s, 0, 0)
	store(t, r, l, s, 0, 1)
	var bucket string
	for _, key := range keys(t.Context(), t, client, c.Namespace) {
		if !strings.HasSuffix(key, ":positions") {
			bucket = key
		}
	}
	if err := client.Set(t.Context(), bucket, "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Store(t.Context(), s.topic, s.partition, l.history[s][:1], mark(2)); err == nil {
		t.Fatal("Store: no error")
	}
	resume(t, r, s, 1)
}

func beside(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	s, err := register.NewStories(client, l, c).Story(t.Context(), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Invitations) != 2 || len(s.Vouches) != 2 || len(s.Certificates) != 1 || len(s.Refusals) != 1 ||
		s.State != register.StateIssued {
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
	l, _ := play()
	stories := register.NewStories(client, l, c)
	for _, id := range []string{"nobody", schemas.HoldID("nobody"), ""} {
		if got, err := stories.Find(t.Context(), id); !errors.Is(err, register.ErrUnknown) {
			t.Errorf("Find(%q) = %q, %v, want %v", id, got, err, register.ErrUnknown)
		}
	}
	if s, err := stories.Story(t.Context(), "nobody"); !errors.Is(err, register.ErrUnknown) {
		t.Errorf("Story = %+v, %v, want %v", s, err, register.ErrUnknown)
	}
}

func silent(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	r := register.New(client, c)
	resume(t, r, source{schemas.TopicPreIssues, 2}, -1)
	if err := r.Store(t.Context(), schemas.TopicPreIssues, 2, nil, mark(5)); err != nil {
		t.Fatal(err)
	}
	resume(t, r, source{schemas.TopicPreIssues, 2}, 5)
	resume(t, r, source{schemas.TopicRefusals, 2}, -1)
}

func found(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l, ids := play()
	feed(t, register.New(client, c), l, 1)
	stories := register.NewStories(client, l, c)
	for _, want := range ids {
		hold := schemas.HoldID(want)
		for _, id := range []string{want, hold, schemas.CertificateID(hold)} {
			if got, err := stories.Find(t.Context(), id); err != nil || got != want {
				t.Errorf("Find(%s) = %q, %v, want %q", id, got, err, want)
			}
		}
	}
}

func large(t *testing.T, client redis.UniversalClient, c register.Config) {
	t.Helper()
	l := emptyLog()
	var s source
	for i := 0; len(l.history[s]) < 3_000; i++ {
		d := newDeal(l, "order-"+strings.Repeat("x", i%3)+string(rune('a'+i%26))+time.Duration(i).String(), 100)
		d.invite()
		s = source{schemas.TopicInvitations, 0}
	}
	r := register.New(client, c)
	resume(t, r, s, -1)
	store(t, r, l, s, 0, len(l.history[s]))
	stories := register.NewStories(client, l, c)
	for _, i := range []int{0, 499, 500, 1_000, 2_998, 2_999} {
		if row, err := stories.Row(t.Context(), l.history[s][i].Key); err != nil || len(row) != 1 ||
			row[0].Offset != int64(2*i) {
			t.Errorf("Row of message %d = %v, %v", i, row, err)
		}
	}
}

// resume asks where the register stands, and compares; below zero is nowhere.
func resume(t *testing.T, r *register.Register, s source, want int) {
	t.Helper()
	m, err := r.Resume(t.Context(), s.topic, s.partition)
	if err != nil || want < 0 && m.Offset >= 0 || want >= 0 && m != mark(want) {
		t.Fatalf("Resume %v = %v, %v, want that of %d", s, m, err, want)
	}
}

// longest returns a source that has messages enough for several batches.
func longest(l log) source {
	var found source
	for _, s := range l.sources() {
		if len(l.history[s]) > len(l.history[found]) {
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
