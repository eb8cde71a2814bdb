package ledger_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

func TestDigestTellsContentFromIdentity(t *testing.T) {
	t.Parallel()
	base := usual("hold", "h1", "alice", 60)
	equal := map[string]func(*order){
		"another id":                  func(o *order) { o.id = "h2" },
		"another time":                func(o *order) { o.at = 7 },
		"a contra, which holds lack":  func(o *order) { o.contra = "clearing" },
		"an other hold, which it is":  func(o *order) { o.hold = "h7" },
		"a retention, which it lacks": func(o *order) { o.keep = 7 },
	}
	differs := map[string]func(*order){
		"another amount":   func(o *order) { o.amount = 61 },
		"another currency": func(o *order) { o.currency = "JPY" },
		"another holder":   func(o *order) { o.holder = "bob" },
		"another account":  func(o *order) { o.account = "bob" },
		"another kind":     func(o *order) { o.kind = "credit" },
		"another verb":     func(o *order) { o.verb = "open" },
		"another content":  func(o *order) { o.content = "else" },
	}
	for name, change := range equal {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, want := digestOf(t, base, change), digestOf(t, base, nil); got != want {
				t.Errorf("digest %s, want %s", got, want)
			}
		})
	}
	for name, change := range differs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := digestOf(t, base, change); got == digestOf(t, base, nil) {
				t.Error("the digest is the same")
			}
		})
	}
}

func digestOf(t *testing.T, o order, change func(*order)) string {
	t.Helper()
	if change != nil {
		change(&o)
	}
	fields, err := o.planned()
	if err != nil {
		t.Fatal(err)
	}
	return fields[3]
}

func TestDigestOfEveryVerbCoversItsFields(t *testing.T) {
	t.Parallel()
	digests := map[string]order{}
	for _, verb := range []string{
		"open", "credit", "debit", "block", "unblock", "vouch", "hold", "capture", "release",
	} {
		for _, change := range []func(*order){
			func(*order) {},
			func(o *order) { o.amount++ },
			func(o *order) { o.currency = "JPY" },
			func(o *order) { o.kind = "credit" },
			func(o *order) { o.holder = "bob" },
			func(o *order) { o.hold = "h2" },
			func(o *order) { o.contra = "clearing" },
		} {
			o := usual(verb, "i", "alice", 1)
			o.hold = "h1"
			change(&o)
			fields, err := o.planned()
			if err != nil {
				t.Fatal(err)
			}
			before, ok := digests[fields[3]]
			if ok && !proto.Equal(before.movement(), o.movement()) {
				t.Errorf("%+v and %+v have one digest", before, o)
			}
			digests[fields[3]] = o
		}
	}
}

func TestDigestOfAReferenceWithoutContent(t *testing.T) {
	t.Parallel()
	digest := func(content string, reference *anypb.Any) string {
		m := usual("block", "b1", "alice", 0).movement()
		m.Content, m.Reference = []byte(content), reference
		fields, err := ledger.Book{}.Plan(pipeline.In{Attributes: schemas.Attributes{ID: "b1"}, Body: m})
		if err != nil {
			t.Fatal(err)
		}
		return fields[3]
	}
	a, b := &anypb.Any{TypeUrl: "t", Value: []byte("a")}, &anypb.Any{TypeUrl: "t", Value: []byte("b")}
	c := &anypb.Any{TypeUrl: "u", Value: []byte("a")}
	if digest("", a) == digest("", b) || digest("", a) == digest("", c) || digest("", a) == digest("", nil) {
		t.Error("other references, the same digest")
	}
	if digest("x", a) != digest("x", b) {
		t.Error("where there is content, the reference's bytes do not matter")
	}
	if digest("", &anypb.Any{TypeUrl: "content", Value: []byte("a")}) == digest("a", nil) {
		t.Error("a reference is taken for content")
	}
}

func TestPlanRefusesWhatIsNoMovement(t *testing.T) {
	t.Parallel()
	hold := func(change func(*schemas.Movement)) proto.Message {
		m := usual("hold", "h1", "alice", 1).movement()
		change(m)
		return m
	}
	tests := map[string]proto.Message{
		"another message":     &schemas.IssuanceRequest{},
		"nothing":             nil,
		"no verb":             hold(func(m *schemas.Movement) { m.Verb = nil }),
		"an account of none":  hold(func(m *schemas.Movement) { m.Account = "alice" }),
		"an internal account": hold(func(m *schemas.Movement) { m.Account = ledger.Genesis("BRL") }),
		"no amount":           hold(func(m *schemas.Movement) { m.GetHold().Amount = nil }),
		"an amount of zero":   hold(func(m *schemas.Movement) { m.GetHold().Amount.MinorUnits = 0 }),
		"an amount below":     hold(func(m *schemas.Movement) { m.GetHold().Amount.MinorUnits = -1 }),
		"an amount too large": hold(func(m *schemas.Movement) {
			m.GetHold().Amount.MinorUnits = schemas.AmountMax + 1
		}),
		"a currency unknown": hold(func(m *schemas.Movement) { m.GetHold().Amount.Currency = "XXX" }),
		"no holder":          hold(func(m *schemas.Movement) { m.GetHold().Holder = "" }),
		"no kind":            hold(func(m *schemas.Movement) { m.GetHold().Kind = 0 }),
		"the book's own kind": hold(func(m *schemas.Movement) {
			m.GetHold().Kind = schemas.AccountKind_ACCOUNT_KIND_INTERNAL
		}),
		"a hold with a tab": hold(func(m *schemas.Movement) {
			m.Verb = &schemas.Movement_Release{Release: &schemas.Release{Hold: "a\tb"}}
		}),
		"no contra": hold(func(m *schemas.Movement) {
			m.Verb = &schemas.Movement_Debit{Debit: &schemas.Debit{Amount: m.GetHold().GetAmount()}}
		}),
		"a tick of no time": &schemas.Movement{Verb: &schemas.Movement_Tick{Tick: &schemas.Tick{}}},
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if fields, err := (ledger.Book{}).Plan(pipeline.In{Body: body}); err == nil {
				t.Errorf("Plan() = %q", fields)
			}
		})
	}
}

// FuzzPlan gives Plan what nobody would: what it lets through must be what the script can take.
func FuzzPlan(f *testing.F) {
	for _, verb := range []string{
		"open", "credit", "debit", "block", "vouch", "hold", "capture", "release", "tick",
	} {
		o := usual(verb, "i", "alice", 12)
		o.hold, o.keep = "h", 5
		body, err := proto.Marshal(o.movement())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	safe := []*regexp.Regexp{
		regexp.MustCompile(`^[a-z]+$`), regexp.MustCompile(`^i$`), regexp.MustCompile(`^1$`),
		regexp.MustCompile(`^([0-9a-f]{32})?$`),
		regexp.MustCompile(`^([0-9A-Z]+/[0-9A-Za-z._-]+|[1-9][0-9]*)$`),
		regexp.MustCompile(`^(0|[1-9][0-9]{0,15})?$`), regexp.MustCompile(`^([A-Z]{3})?$`),
		regexp.MustCompile(`^(deposit|credit)?$`), regexp.MustCompile(`^([0-9a-f]{32})?$`),
		regexp.MustCompile(`^[0-9A-Za-z._:-]{0,64}$`), regexp.MustCompile(`^((genesis|clearing)/[A-Z]{3})?$`),
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := &schemas.Movement{}
		if proto.Unmarshal(body, m) != nil {
			return
		}
		in := pipeline.In{Attributes: schemas.Attributes{ID: "i", Time: time.UnixMilli(1)}, Body: m}
		fields, err := ledger.Book{}.Plan(in)
		if err != nil {
			return
		}
		if len(fields) > book.Width(ledger.Book{}) {
			t.Fatalf("Plan() = %q, too wide", fields)
		}
		for i, field := range fields {
			if !safe[i].MatchString(field) {
				t.Errorf("Plan() = %q, field %d is not safe", fields, i)
			}
		}
		again, err := ledger.Book{}.Plan(in)
		if err != nil || !slices.Equal(fields, again) {
			t.Errorf("Plan() = %q, then %q %v", fields, again, err)
		}
	})
}

func TestAccountRowsAreRead(t *testing.T) {
	t.Parallel()
	got, err := ledger.ParseAccount("credit BRL blocked 100 60 15 abc def")
	want := ledger.Account{
		Kind: schemas.AccountKind_ACCOUNT_KIND_CREDIT, Currency: "BRL", Status: ledger.Blocked,
		Limit: 100, Drawn: 60, Held: 15, Holder: "abc", Opened: "def",
	}
	if err != nil || got != want || got.Available() != 25 || got.Signed() != -60 {
		t.Errorf("ParseAccount() = %+v %v, want %+v", got, err, want)
	}
	deposit, err := ledger.ParseAccount("deposit JPY open 100 60 0 abc def")
	if err != nil || deposit.Available() != 40 || deposit.Signed() != 100 {
		t.Errorf("ParseAccount() = %+v %v", deposit, err)
	}
	internal, err := ledger.ParseAccount("internal JPY open -9007199254740991 0 0 - -")
	if err != nil || internal.Signed() != -schemas.AmountMax || internal.Holder != "" {
		t.Errorf("ParseAccount() = %+v %v", internal, err)
	}
	for _, row := range []string{
		"", "credit BRL open 1 2 3 abc", "savings BRL open 1 2 3 a b", "credit BRL shut 1 2 3 a b",
		"credit XXX open 1 2 3 a b", "credit BRL open 1.5 2 3 a b", "credit BRL open 1e3 2 3 a b",
		"credit BRL open 01 2 3 a b", "credit BRL open -0 2 3 a b",
		"credit BRL open 9007199254740992 2 3 a b",
	} {
		if a, err := ledger.ParseAccount(row); err == nil {
			t.Errorf("ParseAccount(%q) = %+v", row, a)
		}
	}
	for _, row := range []string{"", "a 1 2 3", "a 1 2 x d"} {
		if h, err := ledger.ParseHold(row); err == nil {
			t.Errorf("ParseHold(%q) = %+v", row, h)
		}
	}
}

// TestAmountsBecomeTextInOnePlace: anything else than the protocol's amounts() would round, or write 1e+15. So none is
// joined to a text.
func TestAmountsBecomeTextInOnePlace(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("ledger.lua")
	if err != nil {
		t.Fatal(err)
	}
	const operand = `('[^']*'|s\.amounts\([^()]*\)|c\[\w+\]|a\.(kind|currency|status|head|tail|\w+_text)|` +
		`text|currency|digest|token|row|whole)`
	joins := regexp.MustCompile(operand + `( \.\. ` + operand + `)+`)
	for i, line := range strings.Split(string(text), "\n") {
		code, _, _ := strings.Cut(line, "--")
		code = joins.ReplaceAllString(code, "")
		for _, word := range []string{"tostring", "string.format", "..", "math.", "redis.", " * ", " / "} {
			if strings.Contains(code, word) {
				t.Errorf("ledger.lua:%d: %s", i+1, word)
			}
		}
	}
}
