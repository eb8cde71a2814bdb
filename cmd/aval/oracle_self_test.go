package main_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The world that the oracle is tested on: every kind of row, as it should be answered with funds of 100.
const (
	worldOrders = "order_id,seller_id,buyer_id,amount,currency,payment_type,order_status\n" +
		"o1,s,b,60.00,BRL,boleto,delivered\n" + //               2 issued
		"o1,s,b,60.0,BRL,boleto,delivered\n" + //                3 the same again
		"o1,s,b,60.01,BRL,boleto,delivered\n" + //               4 contradicts
		"o2,s,b,50,BRL,,delivered\n" + //                        5 does not fit beside 2
		"o3,s,b,50,BRL,credit_card,delivered\n" + //             6 fits: another account
		"\"o,4\",\"s\r\n2\",\"b\"\"q\"\"\",7,JPY,,canceled\n" + // 7 declined
		"o5,s,b,1.5,KWD,,unavailable\n" + //                     8 waits
		"o6,s,b,1.234,BRL,,delivered\n" + //                     9 invalid
		"o7,s,,1,BRL,,delivered\n" + //                          10 invalid
		"o8,s,b,40.00,BRL,,shipped\n" //                         11 issued: uses the account up
	worldReport = "line,order_id,seller_id,buyer_id,amount,currency,invitation_id,certificate_id,outcome,reason\n" +
		"2,o1,s,b,60.00,BRL,i1,c1,issued,\n" +
		"3,o1,s,b,60.0,BRL,i1,c1,issued,\n" +
		"4,o1,s,b,60.01,BRL,i1,,refused,conflict\n" +
		"5,o2,s,b,50,BRL,i2,,refused,insufficient\n" +
		"6,o3,s,b,50,BRL,i3,c3,issued,\n" +
		"7,\"o,4\",\"s\r\n2\",\"b\"\"q\"\"\",7,JPY,i4,,declined,\n" +
		"8,o5,s,b,1.5,KWD,i5,,waiting,\n" +
		"9,o6,s,b,1.234,BRL,,,invalid,amount: has more than 2 decimals\n" +
		"10,o7,s,,1,BRL,,,invalid,buyer_id: is empty\n" +
		"11,o8,s,b,40.00,BRL,i8,c8,issued,\n"
	worldSummary = `{"orders":10,"outcomes":{"issued":4,"refused":2,"declined":1,"waiting":1,"invalid":2},` +
		`"amounts":{"BRL":{"issued":"150.00","refused":"50.00","declined":"0.00","waiting":"0.00"},` +
		`"JPY":{"issued":"0","refused":"0","declined":"7","waiting":"0"},` +
		`"KWD":{"issued":"0.000","refused":"0.000","declined":"0.000","waiting":"1.500"}},` +
		`"balances":{"BRL":{"frozen":"150.00"},"JPY":{"frozen":"0"},"KWD":{"frozen":"0.000"}},` +
		`"invariants":{"checked":12,"violated":0},"seconds":1.500,"kafka":"embedded","redis":"embedded"}` + "\n"
)

// worldClaims are what the world's certificates say.
func worldClaims() []claims {
	return []claims{
		{"c1", "i1", "s", "b", "o1", "60.00", "6000", "BRL", "deposit"},
		{"c3", "i3", "s", "b", "o3", "50.00", "5000", "BRL", "credit"},
		{"c8", "i8", "s", "b", "o8", "40.00", "4000", "BRL", "deposit"},
	}
}

// world is evidence without a fault, with certificates that say these claims.
func world(t *testing.T, all []claims) evidence {
	t.Helper()
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	private := jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: string(jose.EdDSA)}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for _, c := range all {
		payload := marshal(t, c)
		signed, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, marshal(t, certificate{c.Certificate, c.Invitation, token})...)
		lines = append(lines, '\n')
	}
	return evidence{
		orders: []byte(worldOrders), report: []byte(worldReport), summary: []byte(worldSummary), certificates: lines,
		keys: marshal(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}}), funds: "100",
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOracleTakesWhatIsRight(t *testing.T) {
	t.Parallel()
	if found := world(t, worldClaims()).differences(); len(found) > 0 {
		t.Errorf("the oracle finds faults where there are none:\n%s", strings.Join(found, "\n"))
	}
}

// TestOracleFinds plants one fault at a time.
func TestOracleFinds(t *testing.T) {
	t.Parallel()
	report := func(from, to string) func(*testing.T, *evidence) {
		return func(t *testing.T, e *evidence) { t.Helper(); e.report = replace(t, e.report, from, to) }
	}
	summary := func(from, to string) func(*testing.T, *evidence) {
		return func(t *testing.T, e *evidence) { t.Helper(); e.summary = replace(t, e.summary, from, to) }
	}
	claim := func(change func(c *claims)) func(*testing.T, *evidence) {
		return func(t *testing.T, e *evidence) {
			t.Helper()
			all := worldClaims()
			change(&all[1])
			e.certificates = world(t, all).certificates
		}
	}
	faults := map[string]func(*testing.T, *evidence){
		"a row is missing":                  report("11,o8,s,b,40.00,BRL,i8,c8,issued,\n", ""),
		"a wrong line":                      report("\n5,o2", "\n6,o2"),
		"another order":                     report("2,o1,s", "2,o9,s"),
		"another seller":                    report("\"s\r\n2\"", "\"s\n2\""),
		"another buyer":                     report("\"b\"\"q\"\"\"", "b"),
		"an amount in other words":          report("60.0,BRL", "60.00,BRL"),
		"another currency":                  report("1.5,KWD", "1.5,BHD"),
		"other columns":                     report("outcome,reason\n", "reason,outcome\n"),
		"an invalid row issued":             report(",,invalid,amount: has more than 2 decimals", "i6,c6,issued,"),
		"an invalid row without reason":     report("invalid,buyer_id: is empty", "invalid,"),
		"a valid row called invalid":        report("BRL,i8,c8,issued,", "BRL,,,invalid,amount: is odd"),
		"no invitation":                     report("BRL,i8,", "BRL,,"),
		"one invitation for two":            report("BRL,i8,", "BRL,i3,"),
		"a repeat with another invitation":  report("60.0,BRL,i1", "60.0,BRL,i9"),
		"a repeat with another outcome":     report("60.0,BRL,i1,c1,issued,", "60.0,BRL,i1,,refused,conflict"),
		"a repeat with another certificate": report("60.0,BRL,i1,c1", "60.0,BRL,i1,c2"),
		"a contradiction issued":            report("i1,,refused,conflict", "i1,c1,issued,"),
		"a contradiction insufficient":      report("i1,,refused,conflict", "i1,,refused,insufficient"),
		"a canceled order issued":           report("i4,,declined,", "i4,c4,issued,"),
		"an unanswered order declined":      report("i5,,waiting,", "i5,,declined,"),
		"an order declined":                 report("i8,c8,issued,", "i8,,declined,"),
		"an order waiting":                  report("i8,c8,issued,", "i8,,waiting,"),
		"another reason than money":         report("insufficient", "account-unknown"),
		"a refusal with a certificate":      report("i2,,refused", "i2,c2,refused"),
		"an issue without certificate":      report("i8,c8,issued", "i8,,issued"),
		"a certificate for two":             report("i8,c8,issued", "i8,c3,issued"),
		"more frozen than there is":         report("i2,,refused,insufficient", "i2,c2,issued,"),
		"refused what fits":                 report("i8,c8,issued,", "i8,,refused,insufficient"),
		"a miscounted file":                 summary(`"orders":10`, `"orders":9`),
		"a miscounted outcome":              summary(`"issued":4`, `"issued":3`),
		"an outcome that is none":           summary(`"issued":4`, `"lapsed":0,"issued":4`),
		"a wrong sum":                       summary(`"refused":"50.00"`, `"refused":"100.00"`),
		"a sum in other words":              summary(`"declined":"7"`, `"declined":"7.0"`),
		"a number for a sum":                summary(`"declined":"7"`, `"declined":7`),
		"a currency is missing":             summary(`,"KWD":{"frozen":"0.000"}`, ""),
		"more frozen than certified":        summary(`"frozen":"150.00"`, `"frozen":"210.00"`),
		"a violated invariant":              summary(`"violated":0`, `"violated":1`),
		"few invariants":                    summary(`"checked":12`, `"checked":0`),
		"two summaries":                     summary("\n", worldSummary),
		"a certificate names another":       claim(func(c *claims) { c.Certificate = "c8" }),
		"another invitation inside":         claim(func(c *claims) { c.Invitation = "i1" }),
		"another seller inside":             claim(func(c *claims) { c.Seller = "t" }),
		"another buyer inside":              claim(func(c *claims) { c.Buyer = "t" }),
		"another reference inside":          claim(func(c *claims) { c.Reference = "o1" }),
		"another amount inside":             claim(func(c *claims) { c.Amount = "50.01" }),
		"other minor units inside":          claim(func(c *claims) { c.MinorUnits = "50" }),
		"another currency inside":           claim(func(c *claims) { c.Currency = "EUR" }),
		"other funding inside":              claim(func(c *claims) { c.Funding = "deposit" }),
		"a certificate of nobody": func(t *testing.T, e *evidence) {
			t.Helper()
			e.certificates = world(t, append(worldClaims(), claims{Certificate: "c9"})).certificates
		},
		"a certificate twice": func(t *testing.T, e *evidence) {
			t.Helper()
			e.certificates = world(t, append(worldClaims(), worldClaims()[0])).certificates
		},
		"a certificate is missing": func(t *testing.T, e *evidence) {
			t.Helper()
			e.certificates = world(t, worldClaims()[:2]).certificates
		},
		"a broken signature": func(t *testing.T, e *evidence) {
			t.Helper()
			at := strings.LastIndex(string(e.certificates), ".") + 5
			flipped := map[bool]byte{true: 'B', false: 'A'}[e.certificates[at] == 'A']
			e.certificates[at] = flipped
		},
		"another key": func(t *testing.T, e *evidence) {
			t.Helper()
			e.keys = replace(t, e.keys, `"x":"`, `"x":"A`)
		},
		"an unknown key": func(t *testing.T, e *evidence) { t.Helper(); e.keys = replace(t, e.keys, `"k1"`, `"k2"`) },
	}
	for name, plant := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := world(t, worldClaims())
			plant(t, &e)
			if len(e.differences()) == 0 {
				t.Error("the oracle does not find it")
			}
		})
	}
}

func replace(t *testing.T, text []byte, from, to string) []byte {
	t.Helper()
	if strings.Count(string(text), from) == 0 {
		t.Fatalf("%q does not stand in %q", from, text)
	}
	return []byte(strings.Replace(string(text), from, to, 1))
}
