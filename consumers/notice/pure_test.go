package notice_test

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Waits are of any length up to a bound that doubles and has an end.
func TestJitter(t *testing.T) {
	t.Parallel()
	for tries, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 12: notice.RetryMost,
		1 << 30: notice.RetryMost,
	} {
		least, most, sum := time.Duration(1<<62), time.Duration(0), time.Duration(0)
		const rounds = 2000
		for range rounds {
			wait := notice.Jitter(time.Second, tries)
			least, most, sum = min(least, wait), max(most, wait), sum+wait/rounds
		}
		if least <= 0 || least > want/20 || most > want || most < want-want/20 || sum < want*2/5 || sum > want*3/5 {
			t.Errorf("after %d tries waits are of %v to %v, %v in the mean; want all up to %v", tries, least, most,
				sum, want)
		}
	}
	if wait := notice.Jitter(1<<62, 9); wait > notice.RetryMost {
		t.Errorf("a wait of %v", wait)
	}
}

// What waits in one tier waits at most twice as long as anything else there.
func TestTiers(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]int{
		-1: 0, 0: 0, time.Second - 1: 0, time.Second: 1, 2*time.Second - 1: 1, 2 * time.Second: 2, 4 * time.Second: 3,
		notice.RetryMost / 2: schemas.RetryTiers - 1, notice.RetryMost: schemas.RetryTiers - 1,
		1 << 62: schemas.RetryTiers - 1,
	} {
		if got := notice.Tier(wait); got != want {
			t.Errorf("what waits %v is in tier %d, want %d", wait, got, want)
		}
	}
	topic, ok := schemas.TopicOf(schemas.TopicNoticeRetries)
	if !ok || topic.Partitions != schemas.RetryTiers || topic.Retention < 2*notice.GiveUpAfterMax {
		t.Errorf("the topic of retries is %+v", topic)
	}
}

// Whatever the order in which deliveries end, what is committed is the first that has not ended.
func TestWindow(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		w := notice.NewWindow()
		done := make([]bool, 200)
		committed := int64(0)
		note := func(m pipeline.Mark) {
			if m.Offset < committed {
				t.Fatalf("seed %d: %d is committed after %d", seed, m.Offset, committed)
			}
			committed = m.Offset
			if i := slices.Index(done, false); i >= 0 && m.Offset > int64(i) {
				t.Fatalf("seed %d: %d is committed, %d is not done", seed, m.Offset, i)
			}
		}
		var open []int64
		for next := 0; next < len(done) || len(open) > 0; {
			if size := min(random.IntN(20), len(done)-next); size > 0 && random.IntN(3) == 0 {
				var taken []int64
				for i := next; i < next+size; i++ {
					if done[i] = random.IntN(3) > 0; !done[i] {
						taken = append(taken, int64(i))
					}
				}
				next += size
				note(w.Take(taken, int64(next), note))
				open = append(open, taken...)
				continue
			}
			if len(open) == 0 {
				continue
			}
			at := random.IntN(len(open))
			if !w.Begin() {
				t.Fatal("it does not begin")
			}
			done[open[at]] = true
			w.End(open[at], true)
			open = slices.Delete(open, at, at+1)
		}
		if committed != int64(len(done)) {
			t.Errorf("seed %d: %d is committed in the end", seed, committed)
		}
	}
}

// A window that is closed begins nothing, and is quiet when what had begun has ended.
func TestWindowCloses(t *testing.T) {
	t.Parallel()
	w := notice.NewWindow()
	var mark pipeline.Mark
	w.Take([]int64{3, 4, 5}, 6, func(m pipeline.Mark) { mark = m })
	for range 2 {
		if !w.Begin() {
			t.Fatal("it does not begin")
		}
	}
	quiet := w.Close()
	if w.Begin() {
		t.Error("it begins after the end")
	}
	w.End(3, true)
	select {
	case <-quiet:
		t.Error("it is quiet, and one is at work")
	default:
	}
	w.End(4, false)
	<-quiet
	<-w.Close()
	if mark.Offset != 4 {
		t.Errorf("%d is committed, want 4", mark.Offset)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const near, never, always = 1, 2, 0
	for address, want := range map[string]int{
		"93.184.215.14": always, "2606:2800:21f::1": always, "1.1.1.1": always, "172.32.0.1": always,
		"127.0.0.1": near, "127.9.9.9": near, "::1": near, "10.0.0.1": near, "172.16.0.1": near, "192.168.1.1": near,
		"fd12::1": near, "100.64.0.1": near, "198.18.0.1": near, "fec0::1": near, "::ffff:10.0.0.1": near,
		"64:ff9b::10.0.0.1": near, "2002:7f00:1::": near, "192.0.0.8": near, "::ffff:127.0.0.1": near,
		"::127.0.0.1":     near,
		"169.254.169.254": never, "fe80::1": never, "fe80::1%eth0": never, "fd00:ec2::254": never,
		"100.100.100.200": never, "192.0.0.192": never, "0.0.0.0": never, "::": never, "0.1.2.3": never,
		"224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "240.0.0.1": never,
		"::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never, "2002:a9fe:a9fe::": never,
		"::ffff:0.0.0.0": never,
	} {
		at := netip.MustParseAddr(address)
		if err := notice.Admit(at, false); (err == nil) != (want == always) {
			t.Errorf("%s: %v", address, err)
		}
		if err := notice.Admit(at, true); (err == nil) != (want != never) {
			t.Errorf("%s where private ones are allowed: %v", address, err)
		}
	}
	if err := notice.Admit(netip.Addr{}, true); err == nil {
		t.Error("no address is one")
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "1.5": 0, "x": 0, "99999999999999999999": 0,
		"1000000": notice.RetryMost, now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
		now.AddDate(9, 0, 0).Format(http.TimeFormat):  notice.RetryMost,
	} {
		if got := notice.RetryAfter(text, now); got != want {
			t.Errorf("Retry-After: %s asks for %v, want %v", text, got, want)
		}
	}
	for code, want := range map[int]struct {
		took, gone bool
		pause      time.Duration
	}{
		200: {took: true}, 204: {took: true}, 299: {took: true}, 300: {}, 301: {}, 308: {}, 400: {}, 404: {},
		410: {gone: true}, 500: {}, 429: {pause: 3 * time.Second}, 502: {pause: 3 * time.Second},
		503: {pause: 3 * time.Second}, 504: {pause: 3 * time.Second},
	} {
		response := &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {"3"}}}
		took, gone, pause := notice.Judge(response, now)
		if took != want.took || gone != want.gone || pause != want.pause {
			t.Errorf("%d is %t, %t, %v; want %+v", code, took, gone, pause, want)
		}
	}
}

// A webhook's id holds no full stop, which would let the parts of what is signed be moved.
func TestWebhookID(t *testing.T) {
	t.Parallel()
	if id := notice.WebhookID("a1:b_c-d"); id != "a1:b_c-d" {
		t.Errorf("got %s", id)
	}
	if a, b := notice.WebhookID("a.1"), notice.WebhookID("a.2"); a == b || len(a) != 32 {
		t.Errorf("got %s and %s", a, b)
	}
	for value, name := range schemas.Subject_name {
		if kind := notice.TypeOf(schemas.Subject(value)); kind == "notice" && value != 0 {
			t.Errorf("%s has no type", name)
		}
	}
}
