package schemas_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/schemas"
)

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	for name, m := range examples() {
		text, err := schemas.ToJSON(m)
		if err != nil {
			t.Errorf("ToJSON(%s): %v", name, err)
			continue
		}
		got := m.ProtoReflect().New().Interface()
		if err := schemas.FromJSON(text, got); err != nil || !proto.Equal(got, m) {
			t.Errorf("FromJSON(%s) = %v, %v, want %v", text, got, err, m)
		}
	}
}

func TestToJSON(t *testing.T) {
	t.Parallel()
	got, err := schemas.ToJSON(&schemas.Open{
		Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: "a  b", Funds: money(1),
	})
	const want = `{"kind":"ACCOUNT_KIND_DEPOSIT","holder":"a  b",` +
		`"funds":{"minor_units":"1","currency":"BRL"}}`
	if err != nil || string(got) != want {
		t.Errorf("ToJSON = %s, %v, want %s", got, err, want)
	}
}

func TestFromJSONIsStrict(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"seler":"x"}`:                      `unknown field "seler"`,
		`{"amount":{"minor":1}}`:             `unknown field "minor"`,
		`{"funding":"FUNDING_GOLD"}`:         "funding",
		`{"seller":"x","seller":"y"}`:        "duplicate",
		`{"amount":{"minor_units":1.5}}`:     "1.5",
		`{} {}`:                              "unexpected",
		`{`:                                  "unexpected",
		`[]`:                                 "unexpected",
		``:                                   "unexpected",
		`{"amount":{"minor_units":"1e400"}}`: "1e400",
	} {
		err := schemas.FromJSON([]byte(text), &schemas.Invitation{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\u00a0") {
			t.Errorf("FromJSON(%s): %v, want %q", text, err, want)
		}
	}
}
