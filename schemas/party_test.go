package schemas_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/schemas"
)

func TestParties(t *testing.T) {
	t.Parallel()
	first := func(breaks func(*schemas.Party)) func(*schemas.Directory) {
		return func(x *schemas.Directory) { breaks(x.Parties[0]) }
	}
	table(t, partiesDirectory, validate[*schemas.Directory], map[string]row[*schemas.Directory]{
		"as it is":   {func(*schemas.Directory) {}, ""},
		"no parties": {func(x *schemas.Directory) { x.Parties = nil }, ""},
		"no id":      {first(func(x *schemas.Party) { x.Id = "" }), "parties[0].id"},
		"a long id":  {first(func(x *schemas.Party) { x.Id = long(schemas.TextMax + 1) }), "parties[0].id"},
		"no URL":     {first(func(x *schemas.Party) { x.WebhookUrl, x.WebhookKeyId = "", "" }), ""},
		"no key":     {first(func(x *schemas.Party) { x.WebhookKeyId = "" }), "parties[0].webhook_key_id"},
		"an odd key": {first(func(x *schemas.Party) { x.WebhookKeyId = "a b" }), "parties[0].webhook_key_id"},
		"a party twice": {
			func(x *schemas.Directory) { x.Parties[2].Id = issuingBank }, "parties[2].id",
		},
	})
	many := partiesDirectory()
	for range 1000 {
		many.Parties = append(many.Parties, &schemas.Party{})
	}
	if got := schemas.FaultsOf(schemas.Validate(many)); len(got) != schemas.FaultsMax {
		t.Errorf("%d faults are reported, want %d", len(got), schemas.FaultsMax)
	}
}

func TestWebhookURL(t *testing.T) {
	t.Parallel()
	for url, valid := range map[string]bool{
		"https://shop.example":                  true,
		"https://shop.example/a/b%20c":          true,
		"https://shop.example:65535/":           true,
		"https://127.0.0.1/":                    true,
		"https://[2001:db8::1]:8443/x":          true,
		"http://localhost:8088/notices":         true,
		"http://127.0.0.1:8088":                 true,
		"http://[::1]:8088":                     true,
		"http://192.168.1.2/":                   true,
		"http://[fd00::1]/":                     true,
		"http://shop.example/":                  false,
		"http://localhost.shop.example/":        false,
		"http://93.184.215.14/":                 false,
		"http://169.254.169.254/":               false,
		"ftp://shop.example/":                   false,
		"shop.example/notices":                  false,
		"//shop.example/":                       false,
		"https:shop.example":                    false,
		"https:///notices":                      false,
		"https://:443/":                         false,
		"https://shop.example:0/":               false,
		"https://shop.example:65536/":           false,
		"https://shop.example:/":                false,
		"https://user@shop.example/":            false,
		"https://user:password@shop.example/":   false,
		"https://@shop.example/":                false,
		"https://shop.example/?token=1":         false,
		"https://shop.example/?":                false,
		"https://shop.example/#part":            false,
		"https://shop.example/#":                false,
		"https://shop.example/a b":              false,
		"https://shop.example/\n":               false,
		"https://shop.example\\@other.example/": false,
		"https://lójà.example/":                 false,
		"https://shop.example/" + long(2048):    false,
		"https://shop.example/" + long(2048-21): true,
	} {
		d := partiesDirectory()
		d.Parties[0].WebhookUrl = url
		err := schemas.Validate(d)
		if want := map[bool]string{false: "parties[0].webhook_url"}[valid]; fields(err) != want {
			t.Errorf("the faults of %q are %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "password@") {
			t.Errorf("the fault of %q repeats a password", url)
		}
	}
}

func TestNoticeRetry(t *testing.T) {
	t.Parallel()
	table(t, noticeRetry, validate[*schemas.NoticeRetry], map[string]row[*schemas.NoticeRetry]{
		"empty": {func(x *schemas.NoticeRetry) { proto.Reset(x) }, "due first notice notice_id tries"},
		"odd times": {func(x *schemas.NoticeRetry) {
			x.First, x.Due = &timestamppb.Timestamp{Seconds: -1}, &timestamppb.Timestamp{Nanos: -1}
		}, "due first"},
		"an odd notice": {func(x *schemas.NoticeRetry) { x.Notice.Recipient = nil }, "notice.recipient"},
	})
	table(t, example[*schemas.Receipt]("receipt-given-up"), validate[*schemas.Receipt],
		map[string]row[*schemas.Receipt]{
			"a delivery of another version": {func(x *schemas.Receipt) { x.Delivery = 9 }, "delivery"},
		})
}
