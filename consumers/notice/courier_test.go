package notice_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keyed is a configuration with the key of all parties.
func keyed(t *testing.T) notice.Config {
	t.Helper()
	return notice.Config{KeyFile: keyFile(t, "shop "+secret), Refresh: 30 * time.Second}
}

// delivery says that all these notices have a receipt that says so.
func (b *bus) all(recipient string, ids []string, how schemas.Delivery) func() bool {
	return func() bool {
		found := b.receipts(recipient)
		return !slices.ContainsFunc(ids, func(id string) bool {
			got, ok := found[id]
			return !ok || got != how
		})
	}
}

func (b *bus) done(topic string) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for partition, records := range b.topics[topic] {
			if b.commits[topic][partition] != int64(len(records)) {
				return false
			}
		}
		return true
	}
}

// Without a webhook the inbox stands: its receipts follow batch by batch, also of those who are not in the directory
// and of a directory that is not there.
func TestInbox(t *testing.T) {
	t.Parallel()
	for name, direct := range map[string]func(b *bus){
		"no directory":          func(*bus) {},
		"no parties":            func(b *bus) { b.direct(nil) },
		"a party without a URL": func(b *bus) { b.direct(map[string]string{"maria": ""}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t)
				direct(b)
				ids := b.tell("maria", 0, 500)
				b.garbage(schemas.TopicNotices, "maria")
				before := b.calls
				courier, _ := b.start(notice.Config{})
				eventually(t, "all are committed", b.done(schemas.TopicNotices))
				if !b.all("maria", ids, schemas.Delivery_DELIVERY_UNSPECIFIED)() || b.calls-before > 3 {
					t.Errorf("%d receipts in %d calls", len(b.receipts("maria")), b.calls-before)
				}
				if n := b.count(schemas.TopicDeadLetters); n != 1 {
					t.Errorf("%d dead letters, want one", n)
				}
				if courier.Held() != 0 {
					t.Errorf("%d deliveries are held", courier.Held())
				}
			})
		})
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(nil)
		b.direct(map[string]string{"maria": r.capability()})
		b.garbage(schemas.TopicNotices, "maria")
		maria, paula := b.tell("maria", 0, 100), b.tell("paula", 0, 100)
		courier, _ := b.start(keyed(t))
		eventually(t, "the webhook took all", b.all("maria", maria, schemas.Delivery_DELIVERY_WEBHOOK))
		eventually(t, "the inbox has all", b.all("paula", paula, schemas.Delivery_DELIVERY_UNSPECIFIED))
		eventually(t, "all are committed", b.done(schemas.TopicNotices))
		eventually(t, "nothing is held", func() bool { return courier.Held() == 0 })
		got := r.ids()
		slices.Sort(got)
		slices.Sort(maria)
		if !slices.Equal(got, maria) {
			t.Errorf("the webhook took %d notices, want each of 100 once", len(got))
		}
		if n := b.count(schemas.TopicDeadLetters); n != 1 {
			t.Errorf("%d dead letters, want one", n)
		}
		var payload struct {
			Type      string
			Timestamp time.Time
			Data      json.RawMessage
		}
		body := r.all()[0].body
		n := &schemas.Notice{}
		if err := errors.Join(json.Unmarshal([]byte(body), &payload), schemas.FromJSON(payload.Data, n)); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if payload.Type != "certificate.refused" || !payload.Timestamp.Equal(noticeTime()) ||
			n.String() != noticeTo("maria").String() {
			t.Errorf("the payload is %s", body)
		}
	})
}

// A receiver that is dead, slow or wrong delays no other, and holds up nothing: not the notices of its partition, and
// not those who wait for another try. After a day it is given up; what that costs is bounded.
func TestADeadReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	const each = 400 // more than a receiver's queue
	for name, dies := range map[string]func(w http.ResponseWriter, r *http.Request, tries int){
		"it hangs": func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() },
		"it fails": always(http.StatusInternalServerError),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t)
				dead, live := b.newReceiver(dies), b.newReceiver(nil)
				b.direct(map[string]string{"dead": dead.URL, "live": live.URL})
				courier, _ := b.start(keyed(t))
				began := time.Now()
				deadIDs := b.tell("dead", 0, each)
				liveIDs, inboxIDs := b.tell("live", 0, 200), b.tell("inbox", 0, 200)
				eventually(t, "the live one took all", b.all("live", liveIDs, schemas.Delivery_DELIVERY_WEBHOOK))
				eventually(t, "the inbox has all", b.all("inbox", inboxIDs, schemas.Delivery_DELIVERY_UNSPECIFIED))
				if took := time.Since(began); took > time.Second {
					t.Errorf("the others took %v, as if they had waited for the dead one", took)
				}
				if n := courier.Held(); n > notice.DeskJobs {
					t.Errorf("%d deliveries are held", n)
				}
				for hour := range 23 {
					at := time.Now()
					ids := b.tell("live", 1000+hour, 1001+hour)
					eventually(t, "the live one took one more", b.all("live", ids, schemas.Delivery_DELIVERY_WEBHOOK))
					if took := time.Since(at); took > 200*time.Millisecond {
						t.Errorf("the live one waited for %v", took)
					}
					time.Sleep(time.Hour)
				}
				if n := len(b.receipts("dead")); n != 0 {
					t.Errorf("%d receipts after 23 hours", n)
				}
				eventually(t, "the dead one is given up", b.all("dead", deadIDs, schemas.Delivery_DELIVERY_GIVEN_UP))
				if took := time.Since(began); took < 24*time.Hour || took > 25*time.Hour {
					t.Errorf("it was given up after %v", took)
				}
				if n := b.count(schemas.TopicNoticeRetries) / each; n > 150 {
					t.Errorf("each notice was rewritten %d times", n)
				}
				if n := len(dead.ids()); n < 24 || n > 3000 {
					t.Errorf("the dead one was called %d times", n)
				}
				eventually(t, "all are committed", b.done(schemas.TopicNotices))
				eventually(t, "all retries are committed", b.done(schemas.TopicNoticeRetries))
				eventually(t, "nothing is held", func() bool { return courier.Held() == 0 })
				if n := strings.Count(b.log.String(), "\n"); n > 10 {
					t.Errorf("the log has %d lines:\n%s", n, b.log)
				}
			})
		})
	}
}

// Gone is gone: there is no second try. Everything else has one, and more, until it is given up.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		gone := b.newReceiver(always(http.StatusGone))
		failing := b.newReceiver(always(http.StatusBadRequest))
		b.direct(map[string]string{"gone": gone.URL, "failing": failing.URL})
		goneIDs, failingIDs := b.tell("gone", 0, 10), b.tell("failing", 0, 1)
		config := keyed(t)
		config.GiveUpAfter = time.Hour
		began := time.Now()
		b.start(config)
		eventually(t, "gone is gone", b.all("gone", goneIDs, schemas.Delivery_DELIVERY_GIVEN_UP))
		if n := len(gone.ids()); n != len(goneIDs) || time.Since(began) > time.Second {
			t.Errorf("%d calls in %v, want one for each notice, at once", n, time.Since(began))
		}
		if n := strings.Count(b.log.String(), "wants no more notices"); n != 1 {
			t.Errorf("the log tells of it %d times:\n%s", n, b.log)
		}
		eventually(t, "the other is given up", b.all("failing", failingIDs, schemas.Delivery_DELIVERY_GIVEN_UP))
		if took := time.Since(began); took < config.GiveUpAfter || took > config.GiveUpAfter*3/2 {
			t.Errorf("it was given up after %v, want %v", took, config.GiveUpAfter)
		}
		if n := len(failing.ids()); n < 6 || n > 40 {
			t.Errorf("it was tried %d times", n)
		}
		eventually(t, "all retries are committed", b.done(schemas.TopicNoticeRetries))
		eventually(t, "the log tells of it", func() bool {
			return strings.Contains(b.log.String(), "webhooks were given up")
		})
	})
}

// A receiver that comes back gets what waited, each once.
func TestComingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		up := time.Now().Add(6 * time.Hour)
		r := b.newReceiver(func(w http.ResponseWriter, _ *http.Request, _ int) {
			if time.Now().Before(up) {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		b.direct(map[string]string{"maria": r.URL})
		ids := b.tell("maria", 0, 300)
		b.start(keyed(t))
		eventually(t, "it took all", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		if late := time.Since(up); late > 2*notice.RetryMost {
			t.Errorf("the last one came %v after it was back", late)
		}
		taken := map[string]int{}
		for _, call := range r.all() {
			if !call.at.Before(up) {
				taken[call.id]++
			}
		}
		for id, n := range taken {
			if n != 1 {
				t.Errorf("%s came %d times after it was back", id, n)
			}
		}
		if !strings.Contains(b.log.String(), "a webhook takes notices again") {
			t.Errorf("the log does not tell that it is back:\n%s", b.log)
		}
	})
}

// Whoever asks to be left alone is left alone, by all notices.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(func(w http.ResponseWriter, _ *http.Request, tries int) {
			if tries == 1 {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		b.direct(map[string]string{"maria": r.URL})
		first := b.tell("maria", 0, 1)
		b.start(keyed(t))
		eventually(t, "it asks for a pause", func() bool { return len(r.all()) == 1 })
		r.mu.Lock()
		r.tries[schemas.DeriveID("notice", "maria", "1")] = 1 // it would take this one
		r.mu.Unlock()
		second := b.tell("maria", 1, 2)
		eventually(t, "it took both", b.all("maria", append(first, second...), schemas.Delivery_DELIVERY_WEBHOOK))
		calls := r.all()
		for _, call := range calls[1:] {
			if pause := call.at.Sub(calls[0].at); pause < 10*time.Minute || pause > 40*time.Minute {
				t.Errorf("it was called again after %v", pause)
			}
		}
	})
}

// What a webhook took just before the process died is delivered again, under the same id; its receipt is the same.
func TestACrashDeliversAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(nil)
		b.direct(map[string]string{"maria": r.URL})
		ids := b.tell("maria", 0, 20)
		lost := map[string]bool{ids[3]: true, ids[7]: true}
		b.refuse(func(record pipeline.Record) error {
			in, err := pipeline.Decode(record)
			if receipt, ok := in.Body.(*schemas.Receipt); ok && lost[receipt.GetNoticeId()] {
				return errors.New("the broker does not answer")
			}
			return err
		})
		_, stop := b.start(keyed(t))
		eventually(t, "all came", func() bool { return len(r.ids()) == len(ids) })
		eventually(t, "the others have receipts", func() bool { return len(b.receipts("maria")) == len(ids)-len(lost) })
		partition := schemas.PartitionOf([]byte("maria"), partitions)
		if at := b.committed(schemas.TopicNotices, partition); at > 3 {
			t.Errorf("%d is committed, and 3 has no receipt", at)
		}
		began := time.Now()
		stop()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it stopped after %v", took)
		}
		b.refuse(nil)
		b.start(keyed(t))
		eventually(t, "all have receipts", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		eventually(t, "all are committed", b.done(schemas.TopicNotices))
		times := map[string]int{}
		for _, id := range r.ids() {
			times[id]++
		}
		if times[ids[3]] != 2 || times[ids[7]] != 2 || times[ids[0]] != 1 {
			t.Errorf("they came %d, %d and %d times", times[ids[3]], times[ids[7]], times[ids[0]])
		}
		for i, call := range r.all() {
			if call.body != r.all()[0].body {
				t.Errorf("call %d has another body", i)
			}
		}
	})
}

// A process that stops lets its calls come to their end, and commits them: nothing is delivered twice.
func TestStoppingFinishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(func(http.ResponseWriter, *http.Request, int) { time.Sleep(2 * time.Second) })
		b.direct(map[string]string{"maria": r.URL})
		ids := b.tell("maria", 0, 60)
		_, stop := b.start(keyed(t))
		eventually(t, "calls are under way", func() bool { return len(r.ids()) >= 8 })
		stop()
		b.start(keyed(t))
		eventually(t, "all have receipts", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		eventually(t, "all are committed", b.done(schemas.TopicNotices))
		if n := len(r.ids()); n > len(ids)+1 { // one may have been cut off by the receiver's turn
			t.Errorf("%d calls for %d notices", n, len(ids))
		}
	})
}
