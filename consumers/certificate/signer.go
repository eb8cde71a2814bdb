package certificate

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Type is the typ of a certificate's JWS: a signature over anything else, with the same key, is no
// certificate.
const Type = "payment-certificate+jws"

// keysMax bounds a JWK set, in bytes.
const keysMax = 4 << 20

// Keys signs with Ed25519 private keys. It does not change, and may be used by many at a time.
type Keys struct {
	ids     []string
	public  PublicKeys
	private map[string]privateKey
}

// privateKey signs compact JWS, whose header is the same each time.
type privateKey struct {
	ed25519 ed25519.PrivateKey
	header  string // base64url
}

// NewKeys makes a signer of private keys by their ids.
func NewKeys(private map[string]ed25519.PrivateKey) (*Keys, error) {
	k := &Keys{
		ids: slices.Sorted(maps.Keys(private)), public: PublicKeys{}, private: map[string]privateKey{},
	}
	for _, id := range k.ids {
		key := private[id]
		if id == "" || len(key) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("key %q of %d bytes is no Ed25519 private key with an id", id, len(key))
		}
		header, err := headerOf(id)
		if err != nil {
			return nil, err
		}
		k.private[id] = privateKey{ed25519: key, header: header}
		k.public[id] = ed25519.PublicKey(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	}
	return k, nil
}

// headerOf is the header of what the key signs, in base64url.
func headerOf(keyID string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm jose.SignatureAlgorithm `json:"alg"`
		KeyID     string                  `json:"kid"`
		Type      string                  `json:"typ"`
	}{jose.EdDSA, keyID, Type})
	if err != nil {
		return "", fmt.Errorf("make header of key %q: %w", keyID, err)
	}
	return base64.RawURLEncoding.EncodeToString(header), nil
}

// LoadKeys reads a JWK set (RFC 7517) of Ed25519 private keys (RFC 8037), each with its kid.
func LoadKeys(r io.Reader) (*Keys, error) {
	set, err := ReadKeySet(r)
	if err != nil {
		return nil, err
	}
	private := map[string]ed25519.PrivateKey{}
	for _, jwk := range set.keys {
		private[jwk.KeyID], _ = jwk.Key.(ed25519.PrivateKey)
	}
	k, err := NewKeys(private)
	if err != nil {
		return nil, err
	}
	k.ids = set.IDs()
	return k, nil
}

// Sign implements Signer: a compact JWS (RFC 7515, 7.1), EdDSA, with the key's id as kid. Ed25519 signs equal
// payloads equally.
func (k *Keys) Sign(keyID string, payload []byte) (string, error) {
	key, ok := k.private[keyID]
	if !ok {
		return "", fmt.Errorf("key %q is not among the private keys; add it to their set", keyID)
	}
	size := len(key.header) + base64.RawURLEncoding.EncodedLen(len(payload)) + len("..") + signatureDigits
	jws := append(make([]byte, 0, size), key.header...)
	jws = base64.RawURLEncoding.AppendEncode(append(jws, '.'), payload)
	signature := ed25519.Sign(key.ed25519, jws)
	return string(base64.RawURLEncoding.AppendEncode(append(jws, '.'), signature)), nil
}

const signatureDigits = (ed25519.SignatureSize*8 + 5) / 6 // of base64url, without padding

// IDs are those of the keys in the order of their set, of which the last one signs, or else of their names.
func (k *Keys) IDs() []string { return slices.Clone(k.ids) }

// Public are the public keys of the private ones.
func (k *Keys) Public() PublicKeys { return maps.Clone(k.public) }

// DemonstrationKey derives a key from a name. It is for demonstrations and tests alone: whoever knows the
// name has the private key, and its id says so.
func DemonstrationKey(namespace string) (id string, key ed25519.PrivateKey) {
	seed := sha256.Sum256([]byte("aval demonstration key\x00" + namespace))
	return "demonstration-" + namespace, ed25519.NewKeyFromSeed(seed[:])
}

// PublicKeys are Ed25519 public keys by their ids.
type PublicKeys map[string]ed25519.PublicKey

// LoadPublicKeys reads a JWK set of Ed25519 public keys. Keys of other kinds are left out; a private key is
// refused, since it should not be where public ones are.
func LoadPublicKeys(r io.Reader) (PublicKeys, error) {
	keys := PublicKeys{}
	err := readSet(r, func(jwk jose.JSONWebKey) error {
		if !jwk.IsPublic() {
			return errors.New("is private, must be public")
		}
		if key, ok := jwk.Key.(ed25519.PublicKey); ok {
			keys[jwk.KeyID] = key
		}
		return nil
	})
	return keys, err
}

// JWKS is the keys as a JWK set, in the order of their ids.
func (p PublicKeys) JWKS() ([]byte, error) {
	set := []jose.JSONWebKey{}
	for _, id := range slices.Sorted(maps.Keys(p)) {
		set = append(set, jose.JSONWebKey{Key: p[id], KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	return writeSet(set)
}

// readSet visits the keys of a JWK set; each has an id of its own.
func readSet(r io.Reader, visit func(jose.JSONWebKey) error) error {
	text, err := io.ReadAll(io.LimitReader(r, keysMax+1))
	if err != nil {
		return fmt.Errorf("read key set: %w", err)
	}
	if len(text) > keysMax {
		return fmt.Errorf("key set has more than %d bytes", keysMax)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return fmt.Errorf("read key set: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("it is no JWK set, or has no keys")
	}
	seen := map[string]bool{}
	for i, jwk := range set.Keys {
		if jwk.KeyID == "" || seen[jwk.KeyID] {
			return fmt.Errorf("key %d of the set: kid %q is missing or stands twice", i+1, jwk.KeyID)
		}
		seen[jwk.KeyID] = true
		if err := visit(jwk); err != nil {
			return fmt.Errorf("key %q of the set %w", jwk.KeyID, err)
		}
	}
	return nil
}
