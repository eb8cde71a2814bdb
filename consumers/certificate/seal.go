package certificate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/replay"
	"github.com/aval-systems/aval/schemas"
)

// Blank signs as the keys would, with a signature of zeros: what a replay compares, which has no private key.
type Blank struct{}

var _ Signer = Blank{}

// Sign implements Signer.
func (Blank) Sign(keyID string, payload []byte) (string, error) {
	header, err := headerOf(keyID)
	if err != nil {
		return "", err
	}
	return header + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + blank(), nil
}

// blank is the signature of zeros.
func blank() string { return base64.RawURLEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)) }

// Seals opens what the stage certificate has signed. Each certificate's signature is verified, with the key that its
// terms name, from the version of the directory that they name; notices repeat it.
type Seals struct{ Directories Directories }

var _ replay.Seals = Seals{}

// Open implements replay.Seals.
func (s Seals) Open(r pipeline.Record) (replay.Opened, error) {
	x := replay.Opened{Value: r.Value}
	jws, issued := signedIn(r)
	if jws == "" {
		return x, nil
	}
	var err error
	if x.Checked = issued != nil; x.Checked {
		x.Fault, err = s.verify(issued)
	}
	if at := strings.LastIndexByte(jws, '.') + 1; len(jws)-at == signatureDigits {
		x.Seal = []byte(jws[at:])
		x.Value = bytes.Replace(r.Value, []byte(jws), []byte(jws[:at]+blank()), 1)
	}
	return x, err
}

// signedIn is the JWS that a record carries, and the certificate, where it is one. Bytes that are neither's carry none,
// and are not what a stage makes.
func signedIn(r pipeline.Record) (jws string, issued *schemas.Certificate) {
	switch r.Topic {
	case schemas.TopicCertificates:
		x := &schemas.Certificate{}
		if schemas.Unmarshal(r.Value, x) == nil {
			return x.GetJws(), x
		}
	case schemas.TopicNotices:
		n := &schemas.Notice{}
		if schemas.Unmarshal(r.Value, n) == nil {
			return n.GetJws(), nil
		}
	}
	return "", nil
}

// verify says what is wrong with a certificate's signature. An error means that nobody can tell now.
func (s Seals) verify(x *schemas.Certificate) (fault string, err error) {
	terms := x.GetTerms()
	directory, fault, err := lookUp(s.Directories, terms.GetDirectoryVersion())
	if err != nil || fault != "" {
		return fault, err
	}
	bank, _ := directory.Bank(terms.GetIssuingBank())
	key, ok := PublicKeysOf(bank.GetKeys())[terms.GetKeyId()]
	if !ok {
		return fmt.Sprintf("version %d of the directory has no key %q of %s", terms.GetDirectoryVersion(),
			schemas.Shorten(terms.GetKeyId(), shownMax), terms.GetIssuingBank()), nil
	}
	jws := x.GetJws()
	at := strings.LastIndexByte(jws, '.')
	if at < 0 {
		return "its JWS has no signature", nil
	}
	signed, digits := jws[:at], jws[at+1:]
	if !verifies(key, signed, digits) {
		return fmt.Sprintf("the signature does not verify with key %q of %s",
			schemas.Shorten(terms.GetKeyId(), shownMax), terms.GetIssuingBank()), nil
	}
	return "", nil
}

func verifies(key ed25519.PublicKey, signed, digits string) bool {
	signature, err := decodePart(digits)
	return err == nil && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, []byte(signed), signature)
}
