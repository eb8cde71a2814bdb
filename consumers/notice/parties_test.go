package notice_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aval-systems/aval/schemas"
)

// A key that is missing holds its notices back, and no other's; once it is there, they go out.
func TestKeysAreReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(nil)
		b.direct(map[string]string{"maria": r.URL})
		config := keyed(t)
		config.KeyFile = keyFile(t, "other "+secret, "shop "+parse(t, private).Public())
		ids := b.tell("maria", 0, 5)
		b.start(config)
		eventually(t, "the log tells of it", func() bool {
			return strings.Contains(b.log.String(), "its key is not in the file of webhook-keys")
		})
		if n := len(r.ids()); n != 0 {
			t.Errorf("%d webhooks went out without a signature", n)
		}
		if err := os.WriteFile(config.KeyFile, []byte("shop "+private+"\nshop "+secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it took all", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
		if err := os.WriteFile(config.KeyFile, []byte("shop whsec_"), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the log tells of it", func() bool {
			return strings.Contains(b.log.String(), "line 1: the key of shop")
		})
		ids = b.tell("maria", 5, 10)
		eventually(t, "it goes on with the former", b.all("maria", ids, schemas.Delivery_DELIVERY_WEBHOOK))
	})
}

// Whoever leaves the directory reads the inbox, also what waits.
func TestLeavingTheDirectory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		r := b.newReceiver(always(http.StatusInternalServerError))
		b.direct(map[string]string{"maria": r.URL})
		ids := b.tell("maria", 0, 5)
		b.start(keyed(t))
		eventually(t, "they wait", func() bool { return b.count(schemas.TopicNoticeRetries) >= 5 })
		b.direct(nil)
		eventually(t, "the inbox has all", b.all("maria", ids, schemas.Delivery_DELIVERY_UNSPECIFIED))
		eventually(t, "all retries are committed", b.done(schemas.TopicNoticeRetries))
	})
}

// What is no retry is a dead letter, and holds up nothing.
func TestOddRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t)
		b.put(schemas.TopicNoticeRetries, "odd", noticeTo("maria"))
		b.garbage(schemas.TopicNoticeRetries, "")
		b.start(keyed(t))
		eventually(t, "they are dead letters", func() bool { return b.count(schemas.TopicDeadLetters) == 2 })
		eventually(t, "all are committed", b.done(schemas.TopicNoticeRetries))
	})
}
