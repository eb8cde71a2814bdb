package invite_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

// plain are lines that are read quickly.
func plain(tb testing.TB) []string {
	tb.Helper()
	text, err := schemas.ToJSON(whole())
	if err != nil {
		tb.Fatal(err)
	}
	return []string{
		strings.ReplaceAll(string(text), `\"`, "'"), `{}`, ` { "seller" : "s" , "amount" : { } } `,
		strings.TrimSpace(object(0)),
		`{"issuing":{"contact":"a@b"},"deadlines":{},"directory_version":7,"amount":{"minor_units":5,"currency":"ü"}}`,
		`{"issuing":{},"directory_version":"7","id":"","route":"ROUTE_UNSPECIFIED"}`,
	}
}

// odd are lines that are left to others.
func odd() []string {
	return []string{
		``, `{`, `[]`, `{}}`, `{} x`, `{"seller":"s"`, `{"seller":"a\nb"}`, `{"seller":null}`, `{"seller":7}`,
		`{"seller":"s","seller":"s"}`, `{"receivingBank":"b"}`, `{"amount":{"minor_units":-5}}`, `{"x":"s"}`,
		`{"amount":{"minor_units":05}}`,
		`{"amount":{"minor_units":5.0}}`, `{"amount":{"minor_units":1e3}}`, `{"amount":{"minor_units":"5 "}}`,
		`{"amount":{"minor_units":99999999999999999999}}`, `{"funding":1}`, `{"funding":"deposit"}`, `{"seller":"s",}`,
		`{"issuing":{"bank":"a","account":"b"}}`, `{"deadlines":{"accept_by":"2027-01-01T00:00:00.5Z"}}`,
		`{"deadlines":{"accept_by":"2027-01-01T00:00:00+01:00"}}`, `{"deadlines":{"accept_by":"2027-02-30T00:00:00Z"}}`,
		`{"deadlines":{"accept_by":"1027-02-20T00:00:00Z"}}`, "{\"seller\":\"a\x01b\"}", `{"amount":{"minor_units":}}`,
	}
}

func TestQuickly(t *testing.T) {
	t.Parallel()
	for _, text := range plain(t) {
		x, ok := invite.Quickly(text)
		want := &schemas.Invitation{}
		if err := schemas.FromJSON([]byte(text), want); err != nil || !ok || !proto.Equal(x, want) {
			t.Errorf("%s is %v (%v), want %v (%v)", text, x, ok, want, err)
		}
	}
	for _, text := range odd() {
		if x, ok := invite.Quickly(text); ok {
			t.Errorf("%s is read as %v", text, x)
		}
	}
}

// FuzzQuickly looks for lines that are read otherwise than ProtoJSON's reader does.
func FuzzQuickly(f *testing.F) {
	for _, text := range append(plain(f), odd()...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, ok := invite.Quickly(text)
		if !ok || !utf8.ValidString(text) { // what is no UTF-8 never comes so far
			return
		}
		want := &schemas.Invitation{}
		if err := schemas.FromJSON([]byte(text), want); err != nil || !proto.Equal(x, want) {
			t.Errorf("%q is %v, want %v (%v)", text, x, want, err)
		}
	})
}
