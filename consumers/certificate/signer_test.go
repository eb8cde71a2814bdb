package certificate_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/consumers/certificate"
)

// golden is the JWS of {"certificate_id":"c1"} under the demonstration key of "paga". It never changes: what
// was signed stays verifiable.
const golden = "eyJhbGciOiJFZERTQSIsImtpZCI6ImRlbW9uc3RyYXRpb24tcGFnYSIs" +
	"InR5cCI6InBheW1lbnQtY2VydGlmaWNhdGUrandzIn0" +
	".eyJjZXJ0aWZpY2F0ZV9pZCI6ImMxIn0" +
	".2Nf102kV80UxIC7WNSdkiSFprxUp743-fD0IKkwGlauvH7xi6yrI_zZmJeW5-pdDp-EjxxyuMrKU4mL_Ipj1Dw"

func TestSignIsGolden(t *testing.T) {
	t.Parallel()
	for range 2 {
		got, err := keys(t).Sign("demonstration-paga", []byte(`{"certificate_id":"c1"}`))
		if err != nil || got != golden {
			t.Errorf("Sign() = %s, %v, want %s", got, err, golden)
		}
	}
}

// TestSignatureIsEd25519 verifies by hand, as a reader without any library for JWS would.
func TestSignatureIsEd25519(t *testing.T) {
	t.Parallel()
	parts := strings.Split(golden, ".")
	header, payload, signature := decode64(t, parts[0]), decode64(t, parts[1]), decode64(t, parts[2])
	want := `{"alg":"EdDSA","kid":"demonstration-paga","typ":"payment-certificate+jws"}`
	if string(header) != want {
		t.Errorf("header is %s, want %s", header, want)
	}
	if string(payload) != `{"certificate_id":"c1"}` {
		t.Errorf("payload is %s", payload)
	}
	_, private := certificate.DemonstrationKey("paga")
	public, _ := private.Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, []byte(parts[0]+"."+parts[1]), signature) {
		t.Error("the signature does not fit")
	}
}

func TestSignNeedsTheKey(t *testing.T) {
	t.Parallel()
	if got, err := keys(t).Sign("unknown", []byte("x")); err == nil || got != "" {
		t.Errorf("Sign() = %q, %v, want an error", got, err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	_, private := certificate.DemonstrationKey("paga")
	sign := func(alg jose.SignatureAlgorithm, key any, typ, payload string) string {
		signer, err := jose.NewSigner(
			jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: "demonstration-paga"}},
			(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	_, eves := certificate.DemonstrationKey("eve")
	public, _ := private.Public().(ed25519.PublicKey)
	parts := strings.Split(golden, ".")
	encode := base64.RawURLEncoding.EncodeToString
	// headed is signed by the right key, whatever its header says.
	headed := func(header string) string {
		text := encode([]byte(`{`+header+`,"typ":"`+certificate.Type+`"}`)) + "." + parts[1]
		return text + "." + encode(ed25519.Sign(private, []byte(text)))
	}
	tests := map[string]string{
		"nothing":       "",
		"no JWS":        "a.b",
		"another key":   sign(jose.EdDSA, eves, certificate.Type, `{"certificate_id":"c1"}`),
		"another type":  sign(jose.EdDSA, private, "JWT", `{"certificate_id":"c1"}`),
		"no claims":     sign(jose.EdDSA, private, certificate.Type, `[]`),
		"no id":         sign(jose.EdDSA, private, certificate.Type, `{}`),
		"HMAC":          sign(jose.HS256, []byte(public), certificate.Type, `{"certificate_id":"c1"}`),
		"no signature":  parts[0] + "." + parts[1] + ".",
		"changed":       parts[0] + "." + encode([]byte(`{"certificate_id":"c2"}`)) + "." + parts[2],
		"alg none":      headed(`"alg":"none","kid":"demonstration-paga"`),
		"other kid":     headed(`"alg":"EdDSA","kid":"x"`),
		"critical":      headed(`"alg":"EdDSA","crit":["x"],"x":1,"kid":"demonstration-paga"`),
		"trailing part": golden + ".x",
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := certificate.Verify(token, keys(t).Public())
			if err == nil || claims != (certificate.Claims{}) {
				t.Errorf("Verify() = %v, %v, want an error", claims, err)
			}
		})
	}
	right := headed(`"alg":"EdDSA","kid":"demonstration-paga"`)
	claims, err := certificate.Verify(right, keys(t).Public())
	if err != nil || claims.CertificateID != "c1" {
		t.Errorf("Verify(right) = %v, %v", claims, err)
	}
}

func TestKeySets(t *testing.T) {
	t.Parallel()
	id, key := certificate.DemonstrationKey("paga")
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: id}}})
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := certificate.LoadKeys(bytes.NewReader(private))
	if err != nil {
		t.Fatalf("LoadKeys() = %v", err)
	}
	if got, err := loaded.Sign(id, []byte(`{"certificate_id":"c1"}`)); err != nil || got != golden {
		t.Errorf("Sign() = %s, %v", got, err)
	}
	public, err := loaded.Public().JWKS()
	if err != nil || strings.Contains(string(public), `"d"`) {
		t.Fatalf("Public().JWKS() = %s, %v, want public keys", public, err)
	}
	again, err := certificate.LoadPublicKeys(bytes.NewReader(public))
	if err != nil {
		t.Fatalf("LoadPublicKeys() = %v", err)
	}
	if _, err := certificate.Verify(golden, again); err != nil {
		t.Errorf("Verify() = %v", err)
	}
	if _, err := certificate.LoadKeys(bytes.NewReader(public)); err == nil {
		t.Error("LoadKeys() took public keys")
	}
	if _, err := certificate.LoadPublicKeys(bytes.NewReader(private)); err == nil {
		t.Error("LoadPublicKeys() took private keys")
	}
	one := `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for name, set := range map[string]string{
		"no JSON": "x", "no kid": `{"keys":[` + one + `]}`,
		"a key of another form": `{"keys":[{"kid":"a","kty":"OKP"}]}`,
		"twice":                 `{"keys":[{"kid":"a",` + one[1:] + `,{"kid":"a",` + one[1:] + `]}`,
		"long":                  strings.Repeat(" ", 4<<20) + `{"keys":[]}`,
	} {
		if got, err := certificate.LoadPublicKeys(strings.NewReader(set)); err == nil {
			t.Errorf("LoadPublicKeys(%s) = %v, want an error", name, got)
		}
	}
}

func TestNewKeysRefuses(t *testing.T) {
	t.Parallel()
	_, key := certificate.DemonstrationKey("paga")
	for name, private := range map[string]map[string]ed25519.PrivateKey{
		"no id": {"": key}, "half a key": {"a": key[:32]}, "no key": {"a": nil},
	} {
		if _, err := certificate.NewKeys(private); err == nil {
			t.Errorf("NewKeys(%s) = nil, want an error", name)
		}
	}
}

func TestDemonstrationKeysDiffer(t *testing.T) {
	t.Parallel()
	idA, a := certificate.DemonstrationKey("a")
	idB, b := certificate.DemonstrationKey("b")
	if idA == idB || a.Equal(b) {
		t.Errorf("the keys %s and %s are one", idA, idB)
	}
}

func decode64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
