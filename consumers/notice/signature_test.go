package notice_test

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/aval-systems/aval/consumers/notice"
)

// vector is the example that the libraries of Standard Webhooks share.
const (
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime      = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignVector(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	notice.Sign(h, []notice.Key{parse(t, secret)}, vectorID, time.Unix(vectorTime, 999), []byte(vectorBody))
	if h.Get("webhook-id") != vectorID || h.Get("webhook-timestamp") != strconv.Itoa(vectorTime) ||
		h.Get("webhook-signature") != vectorSignature {
		t.Errorf("Sign() = %v, want %s", h, vectorSignature)
	}
	err := notice.Verify(h, []notice.Key{parse(t, secret)}, time.Unix(vectorTime, 0), []byte(vectorBody))
	if err != nil {
		t.Errorf("Verify() = %v", err)
	}
}

// Another implementation takes what is signed here, and the other way round.
func TestStandardWebhooksAgrees(t *testing.T) {
	t.Parallel()
	now := time.Now()
	other, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	keys := []notice.Key{parse(t, generate(false)), parse(t, private), parse(t, secret)}
	for _, body := range []string{"", vectorBody, "\x00\xff.\n", strings.Repeat("x", 1<<16)} {
		h := http.Header{}
		notice.Sign(h, keys, vectorID, now, []byte(body))
		if err := other.Verify([]byte(body), h); err != nil {
			t.Errorf("it does not take what is signed here: %v", err)
		}
		signature, err := other.Sign(vectorID, now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		h.Set(notice.HeaderSignature, signature)
		if err := notice.Verify(h, keys, now, []byte(body)); err != nil {
			t.Errorf("what it signed is not taken here: %v", err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	at := time.Unix(vectorTime, 0)
	known := []notice.Key{parse(t, secret), parse(t, parse(t, private).Public())}
	for name, c := range map[string]struct {
		keys   []notice.Key // nil: those that are known
		change func(h http.Header)
		now    time.Time
		body   string
		want   error
	}{
		"as it was signed":    {},
		"by the private key":  {keys: known[1:]},
		"just old enough":     {now: at.Add(5 * time.Minute)},
		"just new enough":     {now: at.Add(-5 * time.Minute)},
		"too old":             {now: at.Add(5*time.Minute + time.Second), want: notice.ErrTimestamp},
		"too new":             {now: at.Add(-5*time.Minute - time.Second), want: notice.ErrTimestamp},
		"another body":        {body: vectorBody + " ", want: notice.ErrSignature},
		"another key":         {keys: []notice.Key{parse(t, generate(false))}, want: notice.ErrSignature},
		"another private key": {keys: []notice.Key{parse(t, generate(true))}, want: notice.ErrSignature},
		"no key":              {keys: []notice.Key{}, want: notice.ErrSignature},
		"another id":          {change: set(notice.HeaderID, "msg_2"), want: notice.ErrSignature},
		"another time":        {change: set(notice.HeaderTimestamp, "1614265331"), want: notice.ErrSignature},
		"no id":               {change: set(notice.HeaderID, ""), want: notice.ErrHeaders},
		"no time":             {change: set(notice.HeaderTimestamp, ""), want: notice.ErrHeaders},
		"an odd time":         {change: set(notice.HeaderTimestamp, "now"), want: notice.ErrHeaders},
		"a huge time":         {change: set(notice.HeaderTimestamp, "9223372036854775807"), want: notice.ErrTimestamp},
		"a tiny time":         {change: set(notice.HeaderTimestamp, "-9223372036854775808"), want: notice.ErrTimestamp},
		"no signature":        {change: set(notice.HeaderSignature, ""), want: notice.ErrHeaders},
		"an empty signature":  {change: set(notice.HeaderSignature, "v1,"), want: notice.ErrSignature},
		"half of it":          {change: set(notice.HeaderSignature, vectorSignature[:20]), want: notice.ErrSignature},
		"no version":          {change: set(notice.HeaderSignature, vectorSignature[3:]), want: notice.ErrSignature},
		"another version": {
			change: set(notice.HeaderSignature, "v1a"+vectorSignature[2:]), want: notice.ErrSignature,
		},
		"among others": {
			change: set(notice.HeaderSignature, "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ= v2,x "+vectorSignature),
		},
		"behind too many": {
			change: set(notice.HeaderSignature, strings.Repeat("v1,AA== ", 16)+vectorSignature),
			want:   notice.ErrSignature,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			notice.Sign(h, []notice.Key{parse(t, secret), parse(t, private)}, vectorID, at, []byte(vectorBody))
			if c.change != nil {
				c.change(h)
			}
			keys, now, body := c.keys, c.now, vectorBody+c.body
			if keys == nil {
				keys = known
			}
			if now.IsZero() {
				now = at
			}
			if c.body != "" {
				body = c.body
			}
			if err := notice.Verify(h, keys, now, []byte(body)); !errors.Is(err, c.want) {
				t.Errorf("Verify() = %v, want %v", err, c.want)
			}
		})
	}
}

func set(name, value string) func(http.Header) {
	return func(h http.Header) { h.Set(name, value) }
}
