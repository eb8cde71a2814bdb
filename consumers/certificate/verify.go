package certificate

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Verify checks a certificate's JWS with nothing but public keys, and returns what it says.
//
// That the key is the issuing bank's is for the caller to know: it takes the keys from that bank, or from the
// directory. Only EdDSA counts, only keys that were given, and only the type of certificates.
func Verify(token string, keys PublicKeys) (Claims, error) {
	var claims Claims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return claims, fmt.Errorf("read certificate: %w", err)
	}
	header := signed.Signatures[0].Protected
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); typ != Type {
		return claims, fmt.Errorf("the signature's typ is %q, a certificate's is %q", typ, Type)
	}
	key, ok := keys[header.KeyID]
	if !ok {
		return claims, fmt.Errorf("key %q is not among the public keys", header.KeyID)
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return claims, fmt.Errorf("the signature of key %q does not fit: %w", header.KeyID, err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Claims{}, fmt.Errorf("read claims: %w", err)
	}
	if claims.CertificateID == "" {
		return Claims{}, errors.New("the claims name no certificate")
	}
	return claims, nil
}
