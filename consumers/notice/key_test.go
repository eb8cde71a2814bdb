package notice_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/aval-systems/aval/consumers/notice"
)

const (
	// The secret and the signature of the specification's own examples.
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// A key pair that was made for these tests.
	private = "whsk_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
)

func parse(t *testing.T, text string) notice.Key {
	t.Helper()
	key, err := notice.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	bytes := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	generated, asymmetric := generate(false), generate(true)
	for text, want := range map[string]string{
		secret: "symmetric key", private: "private key", parse(t, private).Public(): "public key",
		generated: "symmetric key", asymmetric: "private key",
		"whsec_" + bytes(24): "symmetric key", "whsec_" + bytes(64): "symmetric key",
		"whsec_" + bytes(23): "", "whsec_" + bytes(65): "", "whsec_": "", "": "", "_": "",
		"whsk_" + bytes(31): "", "whsk_" + bytes(64): "", "whpk_" + bytes(31): "", "whpk_" + bytes(64): "",
		strings.TrimPrefix(secret, "whsec_"): "", "whsec_!" + bytes(24): "", "WHSEC_" + bytes(24): "",
	} {
		key, err := notice.ParseKey(text)
		if want == "" && err == nil || want != "" && (err != nil || key.String() != want) {
			t.Errorf("ParseKey(%.12s…, %d bytes) = %v, %v; want %q", text, len(text), key, err, want)
		}
		if err != nil && len(text) > 8 && strings.Contains(err.Error(), text[8:]) {
			t.Errorf("the fault of %s repeats it: %v", text, err)
		}
	}
	if a, b := generate(false), generate(false); a == b {
		t.Error("two keys are the same")
	}
	if public := parse(t, parse(t, private).Public()); public.Signs() || !parse(t, private).Signs() {
		t.Error("a public key signs, or a private one does not")
	}
}

func generate(asymmetric bool) string {
	_, text := notice.GenerateKey(asymmetric)
	return text
}

// A key does not show its secret, however it is printed.
func TestKeysShowNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{secret, private} {
		key := parse(t, text)
		var b strings.Builder
		holder := struct {
			Key  notice.Key
			Keys notice.Keys
		}{key, notice.Keys{"shop": {key}}}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&b, verb+" "+verb+" "+verb+"\n", key, &key, holder)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "key", key, "holder", holder)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "key", key, "holder", holder)
		written, err := json.Marshal(holder)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(written)
		raw, err := base64.StdEncoding.DecodeString(text[strings.IndexByte(text, '_')+1:])
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{
			text[8:], string(raw), hex.EncodeToString(raw), fmt.Sprintf("%X", raw),
			strings.Trim(fmt.Sprintf("%d", raw), "[]"), strings.TrimSuffix(fmt.Sprintf("%#v", raw)[8:], "}"),
		} {
			if strings.Contains(b.String(), form) {
				t.Errorf("%s shows as %.40q…", key, form)
			}
		}
	}
}

func TestLoadKeys(t *testing.T) {
	t.Parallel()
	keys, err := notice.LoadKeys(strings.NewReader(
		"# keys of webhooks\n\n shop " + secret + "\t\r\nshop " + private + "\nbank-2026 " + private))
	if err != nil || len(keys) != 2 || len(keys["shop"]) != 2 || len(keys["bank-2026"]) != 1 {
		t.Errorf("LoadKeys() = %v, %v", keys, err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"no key":          {"shop", "line 1: has 1 words"},
		"three words":     {"shop " + secret + " x", "line 1: has 3 words"},
		"the wrong way":   {secret + " shop", "line 1: the id comes first"},
		"an odd id":       {"a/b " + secret, "line 1: the id"},
		"a long id":       {strings.Repeat("x", 65) + " " + secret, "line 1: the id"},
		"a broken key":    {"\n\nshop " + secret[:20], "line 3: the key of shop: must be whsec_"},
		"too many of one": {strings.Repeat("shop "+secret+"\n", 5), "line 5: is the key number 5 of shop"},
		"a long line":     {"shop " + secret + "\n" + strings.Repeat("x", 2000), "line 2: bufio.Scanner: token too"},
		"many faults":     {strings.Repeat("x\n", 1000), "line 64: too much"},
	} {
		_, err := notice.LoadKeys(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[8:20]) {
			t.Errorf("%s: the fault shows the key: %v", name, err)
		}
	}
}
