package notice_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/schemas"
)

// Whatever is wrong with a receiver is told in the log; when it is mended, it gets everything.
func TestWrongReceivers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		says   string
	}{
		"a redirect": {
			answer: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			},
			says: "it answered 302, a redirect, which is not followed",
		},
		"no room": {
			answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
			says:   "it answered 429",
		},
		"not found": {
			answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			says:   "it answered 404",
		},
		"headers without end": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				for i := range 10_000 {
					w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
				}
			},
			says: "it did not answer as HTTP has it",
		},
		"a hang up": {
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			says:   "it closed the connection",
		},
		"no HTTP, but what it was sent": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				connection, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = connection.Write([]byte(referenceText + "\r\n\r\n"))
					_ = connection.Close()
				}
			},
			says: "it did not answer as HTTP has it",
		},
		"headers that come one by one": {
			answer: func(w http.ResponseWriter, _ *http.Request) {
				connection, _, err := http.NewResponseController(w).Hijack()
				for i := 0; err == nil; i++ {
					_, err = connection.Write([]byte("HTTP/1.1 200 OK\r\nX: y"[i%10 : i%10+1]))
					time.Sleep(50 * time.Millisecond)
				}
			},
			says: "it did not answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBus(t)
				wrong := b.newReceiver(func(w http.ResponseWriter, r *http.Request, _ int) { c.answer(w, r) })
				right := b.newReceiver(nil)
				b.direct(map[string]string{"maria": wrong.capability()})
				ids := b.tell("maria", 0, 5)
				b.start(keyed(t))
				eventually(t, "the log tells of it", func() bool { return strings.Contains(b.log.String(), c.says) })
				if strings.Contains(b.log.String(), "/elsewhere") || !strings.Contains(b.log.String(), "key_id=shop") {
					t.Errorf("the log tells\n%s", b.log)
				}
				b.direct(map[string]string{"maria": right.URL})
				eventually(t, "the right one took all", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
				if !strings.Contains(b.log.String(), "a webhook takes notices again") {
					t.Errorf("the log does not tell that it goes on:\n%s", b.log)
				}
			})
		})
	}
}

// A huge answer, or one without end, is taken for what its status says; it is not read to its end.
func TestAHugeAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		written := 0
		r := b.newReceiver(func(w http.ResponseWriter, r *http.Request, _ int) {
			for r.Context().Err() == nil {
				n, err := w.Write(make([]byte, 1<<10))
				if written += n; err != nil {
					return
				}
			}
		})
		b.direct(map[string]string{"maria": r.URL})
		ids := b.tell("maria", 0, 1)
		b.start(keyed(t))
		eventually(t, "it took all", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		if written > 1<<17 {
			t.Errorf("it read about %d bytes", written)
		}
	})
}

// Over the real network: a certificate that does not verify is no receiver's, and an address of this machine is none
// unless that is allowed. Nothing is sent before.
func TestTheNetworkIsGuarded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong, right func(c *notice.Config, s *httptest.Server)
		says         string
	}{
		"TLS": {
			wrong: func(c *notice.Config, _ *httptest.Server) { c.Private = true },
			right: func(c *notice.Config, s *httptest.Server) { c.Private, c.RootCAs = true, poolOf(s) },
			says:  "its TLS certificate does not verify",
		},
		"near": {
			wrong: func(c *notice.Config, s *httptest.Server) { c.RootCAs = poolOf(s) },
			right: func(c *notice.Config, s *httptest.Server) { c.Private, c.RootCAs = true, poolOf(s) },
			says:  "its address is of this machine or of a private network, which webhook-private allows",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBus(t)
			b.internet = nil
			r := &receiver{t: t, keys: []notice.Key{parse(t, secret)}, tries: map[string]int{}}
			server := httptest.NewUnstartedServer(r)
			quietly(server.Config)
			server.StartTLS()
			t.Cleanup(server.Close)
			b.direct(map[string]string{"maria": server.URL})
			ids := b.tell("maria", 0, 5)
			config := keyed(t)
			config.RetryFirst = 10 * time.Millisecond
			c.wrong(&config, server)
			_, stop := b.start(config)
			eventually(t, "the log tells of it", func() bool { return strings.Contains(b.log.String(), c.says) })
			if n := len(r.ids()); n != 0 {
				t.Errorf("it was called %d times", n)
			}
			stop()
			c.right(&config, server)
			b.start(config)
			eventually(t, "it took all", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		})
	}
}
