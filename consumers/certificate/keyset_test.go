package certificate_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

func TestKeySet(t *testing.T) {
	t.Parallel()
	set := &certificate.KeySet{}
	for _, id := range []string{"z-first", ""} {
		if _, err := set.Generate(id); err != nil {
			t.Fatal(err)
		}
	}
	ids := set.IDs()
	if len(ids) != 2 || ids[0] != "z-first" || len(ids[1]) != 43 {
		t.Fatalf("IDs() = %v, want the given one and a thumbprint", ids)
	}
	text, err := set.Private()
	if err != nil {
		t.Fatal(err)
	}
	again, err := certificate.ReadKeySet(bytes.NewReader(text))
	if err != nil || !slices.Equal(again.IDs(), ids) {
		t.Fatalf("ReadKeySet() = %v, %v", again, err)
	}
	loaded, err := certificate.LoadKeys(bytes.NewReader(text))
	if err != nil || !slices.Equal(loaded.IDs(), ids) {
		t.Fatalf("LoadKeys() = %v, %v, want them in their order", loaded, err)
	}
	public, err := set.JWKS()
	if err != nil || strings.Contains(string(public), `"d"`) || !strings.Contains(string(public), `"kid"`) {
		t.Fatalf("JWKS() = %s, %v", public, err)
	}
	for name, text := range map[string][]byte{"private": text, "public": public} {
		keys, err := certificate.ReadPublicSet(bytes.NewReader(text))
		if err != nil || len(keys) != 2 || keys[0].GetId() != ids[0] || keys[1].GetId() != ids[1] {
			t.Errorf("ReadPublicSet(%s) = %v, %v", name, keys, err)
		}
		if got := certificate.PublicKeysOf(keys); len(got) != 2 || !got[ids[1]].Equal(loaded.Public()[ids[1]]) {
			t.Errorf("PublicKeysOf(%s) = %v", name, got)
		}
	}
	for i, key := range set.Public() {
		if key.GetId() != ids[i] || !bytes.Equal(key.GetEd25519(), loaded.Public()[ids[i]]) {
			t.Errorf("Public()[%d] = %v", i, key)
		}
	}
}

func TestKeySetsRefuse(t *testing.T) {
	t.Parallel()
	set := &certificate.KeySet{}
	if _, err := set.Generate("a"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "a b", "é", "a/b", strings.Repeat("x", schemas.IDMax+1)} {
		if got, err := set.Generate(id); err == nil {
			t.Errorf("Generate(%q) = %s, want an error", id, got)
		}
	}
	text, err := set.Private()
	if err != nil {
		t.Fatal(err)
	}
	var jwks struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(text, &jwks); err != nil {
		t.Fatal(err)
	}
	other := &certificate.KeySet{}
	if _, err := other.Generate("b"); err != nil {
		t.Fatal(err)
	}
	var second struct {
		Keys []map[string]string `json:"keys"`
	}
	text, err = other.Private()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &second); err != nil {
		t.Fatal(err)
	}
	jwks.Keys[0]["x"] = second.Keys[0]["x"]
	mixed, err := json.Marshal(jwks)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"half another's key": string(mixed), "nothing": "", "no set": `{"a":1}`, "no keys": `{"keys":[]}`,
		"no private key": `{"keys":[{"kid":"a","kty":"OKP","crv":"Ed25519",` +
			`"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		"a key of another kind": `{"keys":[{"kid":"a","kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQ"}]}`,
	} {
		if got, err := certificate.LoadKeys(strings.NewReader(text)); err == nil {
			t.Errorf("LoadKeys(%s) = %v, want an error", name, got)
		} else if strings.Contains(err.Error(), second.Keys[0]["d"]) || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("LoadKeys(%s) tells the key: %v", name, err)
		}
	}
	if keys, err := certificate.ReadPublicSet(strings.NewReader(
		`{"keys":[{"kid":"a","kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQ"}]}`)); err == nil {
		t.Errorf("ReadPublicSet() = %v, want an error", keys)
	}
}
