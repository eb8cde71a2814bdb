package certificate

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/schemas"
)

// KeySet is a JWK set of signing keys as it stands in a file. The last one signs; those before it go on signing what
// was asked while they did, and what they signed stays verifiable.
type KeySet struct{ keys []jose.JSONWebKey }

// ReadKeySet reads a set of Ed25519 private keys, each with its kid, in their order.
func ReadKeySet(r io.Reader) (*KeySet, error) {
	s := &KeySet{}
	err := readSet(r, func(jwk jose.JSONWebKey) error {
		key, ok := jwk.Key.(ed25519.PrivateKey)
		if !ok {
			return errors.New("is no Ed25519 private key")
		}
		// Signing with a foreign public half would make signatures that nobody can verify, and give the key away.
		if !key.Equal(ed25519.NewKeyFromSeed(key.Seed())) {
			return errors.New("has a public half that is not its own")
		}
		s.keys = append(s.keys, jwk)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Generate makes a key, which signs from now on, and returns its id: its thumbprint (RFC 7638) where none is given.
func (s *KeySet) Generate(id string) (string, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", fmt.Errorf("generate key: %w", err)
	}
	if id == "" {
		thumb, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
		if err != nil {
			return "", fmt.Errorf("name key: %w", err)
		}
		id = base64.RawURLEncoding.EncodeToString(thumb)
	}
	if strings.Trim(id, keyIDCharacters) != "" || len(id) > schemas.IDMax {
		return "", fmt.Errorf("key id %q, must be 1 to %d of 0-9 A-Z a-z . _ : -",
			schemas.Shorten(id, shownMax), schemas.IDMax)
	}
	if slices.Contains(s.IDs(), id) {
		return "", fmt.Errorf("key %s is in the set already; what it signed would not be verifiable any more", id)
	}
	s.keys = append(s.keys, jose.JSONWebKey{Key: private, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"})
	return id, nil
}

const keyIDCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._:-"

// IDs are those of the keys, in their order: the last one signs.
func (s *KeySet) IDs() []string {
	ids := make([]string, len(s.keys))
	for i, key := range s.keys {
		ids[i] = key.KeyID
	}
	return ids
}

// Public are the public keys, in their order, as a directory names them.
func (s *KeySet) Public() []*schemas.PublicKey {
	public := make([]*schemas.PublicKey, len(s.keys))
	for i, key := range s.keys {
		private, _ := key.Key.(ed25519.PrivateKey)
		half, _ := private.Public().(ed25519.PublicKey)
		public[i] = &schemas.PublicKey{Id: key.KeyID, Ed25519: half}
	}
	return public
}

// Private is the set as its file holds it: who has it signs in the bank's name.
func (s *KeySet) Private() ([]byte, error) { return writeSet(s.keys) }

// JWKS is the set of the public keys, in their order.
func (s *KeySet) JWKS() ([]byte, error) {
	public := make([]jose.JSONWebKey, len(s.keys))
	for i, key := range s.keys {
		public[i] = key.Public()
	}
	return writeSet(public)
}

func writeSet(keys []jose.JSONWebKey) ([]byte, error) {
	text, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: keys}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write key set: %w", err)
	}
	return append(text, '\n'), nil
}

// ReadPublicSet reads the public keys of a JWK set in their order, be they public in it or the halves of private ones:
// the last one signs.
func ReadPublicSet(r io.Reader) ([]*schemas.PublicKey, error) {
	var keys []*schemas.PublicKey
	err := readSet(r, func(jwk jose.JSONWebKey) error {
		public, ok := jwk.Key.(ed25519.PublicKey)
		if private, is := jwk.Key.(ed25519.PrivateKey); is {
			public, ok = private.Public().(ed25519.PublicKey)
		}
		if !ok {
			return errors.New("is no Ed25519 key")
		}
		keys = append(keys, &schemas.PublicKey{Id: jwk.KeyID, Ed25519: public})
		return nil
	})
	return keys, err
}

// PublicKeysOf are keys that a directory names.
func PublicKeysOf(keys []*schemas.PublicKey) PublicKeys {
	public := PublicKeys{}
	for _, key := range keys {
		public[key.GetId()] = key.GetEd25519()
	}
	return public
}
