package certificate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/aval-systems/aval/schemas"
)

// Verify checks a certificate's JWS with nothing but public keys, and returns what it says.
//
// That the key is the issuing bank's is for the caller to know: it takes the keys from that bank, or from the
// directory. It is strict, so that nobody else reads something else: EdDSA alone and keys that were given, a header of
// alg, kid and typ and no more, one spelling of each byte, each claim once, identifiers and digests that follow from
// the claims that they are made of.
func Verify(token string, keys PublicKeys) (Claims, error) {
	if len(token) > schemas.JWSMax {
		return Claims{}, fmt.Errorf("it has %d bytes, a certificate has at most %d", len(token), schemas.JWSMax)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, fmt.Errorf("it has %d parts, a compact JWS has 3 with points between", len(parts))
	}
	var raw [3][]byte
	for i, name := range []string{"header", "payload", "signature"} {
		var err error
		if raw[i], err = decodePart(parts[i]); err != nil {
			return Claims{}, fmt.Errorf("its %s is not written as base64url without padding is", name)
		}
	}
	keyID, err := checkHeader(raw[0])
	if err != nil {
		return Claims{}, err
	}
	key, ok := keys[keyID]
	if !ok {
		return Claims{}, fmt.Errorf("key %q is not among the public keys", keyID)
	}
	signed := token[:len(parts[0])+1+len(parts[1])]
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(signed), raw[2]) {
		return Claims{}, fmt.Errorf("the signature of key %q does not fit: something was changed", keyID)
	}
	claims, err := readClaims(raw[1])
	if err != nil {
		return Claims{}, err
	}
	return claims, claims.check(keyID, token)
}

// decodePart reads base64url as it is written: what a lenient reader takes for the same would have many spellings.
func decodePart(part string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err == nil && base64.RawURLEncoding.EncodeToString(raw) != part { // it skips ends of lines
		err = errors.New("another spelling")
	}
	return raw, err
}

// checkHeader returns the key's id. Whoever adds to the header means to change how it is read, as crit and b64 do.
func checkHeader(text []byte) (keyID string, err error) {
	members, err := membersOf(text)
	if err != nil {
		return "", fmt.Errorf("read header: %w", err)
	}
	var header [3]string
	for i, name := range []string{"alg", "kid", "typ"} {
		if err := json.Unmarshal(members[name], &header[i]); err != nil {
			return "", fmt.Errorf("the header's %s is missing, or no text", name)
		}
		delete(members, name)
	}
	switch {
	case header[0] != string(jose.EdDSA):
		return "", fmt.Errorf("it is signed with %q, a certificate with EdDSA", schemas.Shorten(header[0], shownMax))
	case header[2] != Type:
		return "", fmt.Errorf("its typ is %q, a certificate's is %q", schemas.Shorten(header[2], shownMax), Type)
	case len(header[1]) > schemas.IDMax:
		return "", fmt.Errorf("its kid has %d bytes, has at most %d", len(header[1]), schemas.IDMax)
	case len(members) > 0:
		return "", errors.New("the header has more than alg, kid and typ; a certificate's has not")
	}
	return header[1], nil
}

const shownMax = 64 // bytes of what others wrote that an error repeats

// membersOf takes a JSON object apart. What stands twice is read in one way by some and in another by others.
func membersOf(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("it is no JSON object")
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("%q stands in it twice", schemas.Shorten(name, shownMax))
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("it is no JSON object")
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("it is no JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the JSON object")
	}
	return members, nil
}

// readClaims reads the payload. Claims that are not known are a later version's.
func readClaims(payload []byte) (Claims, error) {
	members, err := membersOf(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("read claims: %w", err)
	}
	for name := range members {
		if strings.ToLower(name) != name { // Go would take Amount for amount, others would not
			return Claims{}, fmt.Errorf("read claims: %q is in capitals", schemas.Shorten(name, shownMax))
		}
	}
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claims{}, errors.New("read claims: one of them is no text")
	}
	return c, nil
}

// check says whether the claims are those of a certificate: they are what is said of the certificate that they tell of.
func (c Claims) check(keyID, token string) error {
	x, err := c.certificate(keyID, token)
	if err == nil {
		err = schemas.Validate(x)
	}
	if err != nil {
		return fmt.Errorf("its claims are no certificate's: %w", err)
	}
	var faults []error
	said, follows := c.list(), ClaimsOf(x).list()
	for i := range said {
		if said[i].Value != follows[i].Value {
			faults = append(faults, fmt.Errorf("its claim %s is not what follows from the others", said[i].Name))
		}
	}
	if want := schemas.HoldID(c.InvitationID); c.HoldID != want {
		faults = append(faults, errors.New("its claim hold_id is not that of the invitation"))
	}
	return errors.Join(faults...)
}
