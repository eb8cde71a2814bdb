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
	"github.com/aval-systems/aval/schemas"
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

// whole is the JWS of a certificate, signed with the demonstration key of "paga".
func whole(t *testing.T) string {
	t.Helper()
	payload, err := certificate.ClaimsOf(issued(terms())).Payload()
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys(t).Sign("demonstration-paga", payload)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestVerify reads back what it says; see TestOtherLibrariesAgree for what it refuses.
func TestVerify(t *testing.T) {
	t.Parallel()
	want := certificate.ClaimsOf(issued(terms()))
	if got, err := certificate.Verify(whole(t), keys(t).Public()); err != nil || got != want {
		t.Errorf("Verify() = %v, %v, want %v", got, err, want)
	}
	list := want.List()
	if len(list) != 19 || list[0] != (certificate.Claim{Name: "certificate_id", Value: want.CertificateID}) {
		t.Errorf("List() = %v", list)
	}
	confirmed := certificate.ClaimsOf(issued(terms(func(y *schemas.Terms) {
		y.AccountSource = schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED
		y.IssuingAccount = mariaAccount
		y.Deadlines = &schemas.Deadlines{AcceptBy: at(1790000000), SettleBy: at(1790000001)}
		y.Seller = "São Paulo\n\u2028"
	})))
	payload, err := confirmed.Payload()
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys(t).Sign("demonstration-paga", payload)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := certificate.Verify(token, keys(t).Public()); err != nil || got != confirmed {
		t.Errorf("Verify() = %v, %v, want %v", got, err, confirmed)
	}
	_, private := certificate.DemonstrationKey("paga")
	public, _ := private.Public().(ed25519.PublicKey)
	if _, err := certificate.Verify(token, certificate.PublicKeys{"demonstration-paga": public[:31]}); err == nil {
		t.Error("Verify() took half a key")
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
	if _, err := certificate.Verify(whole(t), again); err != nil {
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
