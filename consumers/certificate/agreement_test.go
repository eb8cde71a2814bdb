package certificate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

// update writes testdata/jose/claims.json anew, of which vectors.py makes the rest.
//
//nolint:gochecknoglobals // a flag of the test
var update = flag.Bool("update", false, "write the claims that other libraries sign")

// vectors are what other libraries made: see testdata/jose/vectors.py, which says how.
type vectors struct {
	Keys    []json.RawMessage `json:"keys"`
	Vectors []struct {
		Name  string `json:"name"`
		Valid bool   `json:"valid"`
		Token string `json:"token"`
	} `json:"vectors"`
}

func readVectors(t *testing.T) (vectors, certificate.PublicKeys) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "jose", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	public, err := certificate.LoadPublicKeys(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v, public
}

// TestOtherLibrariesAgree reads what jwcrypto, joserfc and cryptography signed, and what they were made to sign.
func TestOtherLibrariesAgree(t *testing.T) {
	t.Parallel()
	payload, err := certificate.ClaimsOf(issued(terms())).Payload()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "jose", "claims.json")
	if *update {
		if err := os.WriteFile(path, append(payload, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || !bytes.Equal(bytes.TrimSpace(text), payload) {
		t.Fatalf("%s is not current (%v): write it with -update, and then run vectors.py", path, err)
	}
	ours, err := keys(t).Sign("demonstration-paga", payload)
	if err != nil {
		t.Fatal(err)
	}
	v, public := readVectors(t)
	same := 0
	for _, vector := range v.Vectors {
		claims, err := certificate.Verify(vector.Token, public)
		switch {
		case vector.Valid && (err != nil || claims.Buyer != maria):
			t.Errorf("Verify(%s) = %v, %v", vector.Name, claims, err)
		case !vector.Valid && err == nil:
			t.Errorf("Verify(%s) = %v, want an error", vector.Name, claims)
		}
		if vector.Token == ours {
			same++
		}
	}
	if same < 3 {
		t.Errorf("%d libraries signed the same bytes as we do, want 3", same)
	}
	if len(v.Vectors) < 50 {
		t.Errorf("there are %d vectors", len(v.Vectors))
	}
}

// TestGoJoseAgrees about what we sign, and about all of the vectors that it does not take in good faith.
func TestGoJoseAgrees(t *testing.T) {
	t.Parallel()
	payload, err := certificate.ClaimsOf(issued(terms())).Payload()
	if err != nil {
		t.Fatal(err)
	}
	ours, err := keys(t).Sign("demonstration-paga", payload)
	if err != nil {
		t.Fatal(err)
	}
	v, public := readVectors(t)
	theirs := func(token string) ([]byte, bool) {
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
		if err != nil {
			return nil, false
		}
		key, ok := public[signed.Signatures[0].Protected.KeyID]
		if !ok {
			return nil, false
		}
		text, err := signed.Verify(key)
		return text, err == nil
	}
	if got, ok := theirs(ours); !ok || !bytes.Equal(got, payload) {
		t.Errorf("go-jose reads %s, %t, want %s", got, ok, payload)
	}
	for _, vector := range v.Vectors {
		if got, ok := theirs(vector.Token); vector.Valid && (!ok || !bytes.Contains(got, []byte(maria))) {
			t.Errorf("go-jose reads of %s %s, %t", vector.Name, got, ok)
		}
	}
}

// TestVerifyRefusesWhatIsTooLong before it looks at it.
func TestVerifyRefusesWhatIsTooLong(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("a.", schemas.JWSMax)
	if _, err := certificate.Verify(token, nil); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("Verify() = %v", err)
	}
}

// TestNoFaultRepeatsMuch: what others wrote goes to a terminal, and into logs.
func TestNoFaultRepeatsMuch(t *testing.T) {
	t.Parallel()
	v, public := readVectors(t)
	for _, vector := range v.Vectors {
		if _, err := certificate.Verify(vector.Token, public); err != nil && len(err.Error()) > 400 {
			t.Errorf("Verify(%s) says in %d bytes: %v", vector.Name, len(err.Error()), err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "jose", "vectors.json"))
	if err != nil {
		f.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		f.Fatal(err)
	}
	for _, vector := range v.Vectors {
		f.Add(vector.Token)
	}
	public := keys(f).Public()
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := certificate.Verify(token, public)
		if err == nil && claims.CertificateID == "" {
			t.Errorf("Verify(%q) = %v", token, claims)
		}
	})
}
