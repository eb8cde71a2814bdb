package notice

import (
	"bufio"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// Prefixes of keys, as Standard Webhooks have them.
const (
	prefixSecret  = "whsec_" // symmetric: both sides have it
	prefixPrivate = "whsk_"  // Ed25519: who signs has it
	prefixPublic  = "whpk_"  // Ed25519: who checks has it
)

// Bounds of a symmetric secret, in bytes, and of a file of keys.
const (
	secretMin     = 24
	secretMax     = 64
	secretNew     = 32 // of one that is made
	keyLineMax    = 1 << 10
	keysOfID      = 4 // while keys are changed, more than one of an id sign
	keysMax       = 100_000
	versionSecret = "v1"
	versionPublic = "v1a"
)

// Key signs webhooks, or checks what was signed. It shows its secret to nobody: not in logs, not in errors.
type Key struct {
	*material // behind a pointer, printing does not reach it even where it calls no method
}

type material struct {
	secret  []byte             // nil of an asymmetric key
	private ed25519.PrivateKey // nil of a key that only checks
	public  ed25519.PublicKey
}

var errKey = errors.New("must be whsec_ and 24 to 64 bytes in base64, or whsk_ or whpk_ and an Ed25519 key in base64")

// ParseKey reads a key of Standard Webhooks. Its error does not repeat the text.
func ParseKey(text string) (Key, error) {
	at := strings.IndexByte(text, '_') + 1
	raw, err := base64.StdEncoding.DecodeString(text[at:])
	if err != nil {
		return Key{}, errKey
	}
	switch prefix := text[:at]; {
	case prefix == prefixSecret && len(raw) >= secretMin && len(raw) <= secretMax:
		return Key{&material{secret: raw}}, nil
	case prefix == prefixPrivate && len(raw) == ed25519.SeedSize:
		return privateKey(ed25519.NewKeyFromSeed(raw)), nil
	case prefix == prefixPrivate && len(raw) == ed25519.PrivateKeySize:
		key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !key.Equal(ed25519.PrivateKey(raw)) {
			return Key{}, errors.New("its two halves do not belong together")
		}
		return privateKey(key), nil
	case prefix == prefixPublic && len(raw) == ed25519.PublicKeySize:
		return Key{&material{public: raw}}, nil
	}
	return Key{}, errKey
}

func privateKey(key ed25519.PrivateKey) Key {
	public, _ := key.Public().(ed25519.PublicKey)
	return Key{&material{private: key, public: public}}
}

// GenerateKey makes a key, and the text to keep it by.
func GenerateKey(asymmetric bool) (key Key, text string) {
	raw := make([]byte, secretNew)
	_, _ = rand.Read(raw) // it never fails
	if !asymmetric {
		return Key{&material{secret: raw}}, prefixSecret + base64.StdEncoding.EncodeToString(raw)
	}
	key = privateKey(ed25519.NewKeyFromSeed(raw))
	return key, prefixPrivate + base64.StdEncoding.EncodeToString(key.private)
}

// Public is the text of the key's public half, empty of a symmetric key.
func (k Key) Public() string {
	if k.public == nil {
		return ""
	}
	return prefixPublic + base64.StdEncoding.EncodeToString(k.public)
}

// Signs says whether the key can sign: a public one cannot.
func (k Key) Signs() bool { return k.secret != nil || k.private != nil }

// String implements fmt.Stringer: it tells the kind alone.
func (k Key) String() string {
	switch {
	case k.material == nil:
		return "no key"
	case k.secret != nil:
		return "symmetric key"
	case k.private != nil:
		return "private key"
	}
	return "public key"
}

// Format implements fmt.Formatter: as String, whatever the verb.
func (k Key) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, k.String()) }

// LogValue implements slog.LogValuer, as String.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// sign is the key's signature with its version.
func (k Key) sign(content []byte) string {
	if k.secret != nil {
		return versionSecret + "," + base64.StdEncoding.EncodeToString(k.mac(content))
	}
	return versionPublic + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content))
}

// signed says whether the signature is the key's.
func (k Key) signed(content []byte, version string, signature []byte) bool {
	switch {
	case version == versionSecret && k.secret != nil:
		return hmac.Equal(signature, k.mac(content))
	case version == versionPublic && k.public != nil:
		return ed25519.Verify(k.public, content, signature)
	}
	return false
}

func (k Key) mac(content []byte) []byte {
	mac := hmac.New(sha256.New, k.secret)
	_, _ = mac.Write(content) // a hash takes everything
	return mac.Sum(nil)
}

// Keys are the keys of webhooks by their id. While an id's key is changed it has two, and both sign.
type Keys map[string][]Key

// LoadKeys reads keys, one a line: an id, a space, a key. Empty lines and those that begin with # are nothing. An
// error says which line is wrong, and does not repeat it.
func LoadKeys(r io.Reader) (Keys, error) {
	keys := Keys{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, keyLineMax)
	var errs []error
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if err := keys.add(strings.Fields(text)); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
		}
		if len(errs) == schemas.FaultsMax || len(keys) > keysMax {
			errs = append(errs, fmt.Errorf("line %d: too much to read on", number))
			break
		}
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("line %d: %w", number+1, err))
	}
	return keys, errors.Join(errs...)
}

func (k Keys) add(fields []string) error {
	if len(fields) != 2 {
		return fmt.Errorf("has %d words, must have an id and a key", len(fields))
	}
	id := fields[0]
	if err := CheckKeyID(id); err != nil {
		return err
	}
	key, err := ParseKey(fields[1])
	if err != nil {
		return fmt.Errorf("the key of %s: %w", id, err)
	}
	if len(k[id]) == keysOfID {
		return fmt.Errorf("is the key number %d of %s, must be at most number %d", keysOfID+1, id, keysOfID)
	}
	k[id] = append(k[id], key)
	return nil
}

// CheckKeyID refuses what the directory cannot name a key by. It does not repeat the text, which may be a secret in
// the wrong place.
func CheckKeyID(id string) error {
	for _, prefix := range []string{prefixSecret, prefixPrivate, prefixPublic} {
		if strings.HasPrefix(id, prefix) {
			return errors.New("the id comes first, the key second")
		}
	}
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("._:-", r)
	}
	if id == "" || len(id) > schemas.IDMax || strings.ContainsFunc(id, odd) {
		return fmt.Errorf("the id of a key must be 1 to %d of 0-9 A-Z a-z . _ : -", schemas.IDMax)
	}
	return nil
}
