package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// DeriveID is the identifier of what follows from the causes: 32 lower-case hexadecimal digits, the first 16
// bytes of SHA-256 over the kind, a zero byte, and for each cause its length in bytes as a decimal number, a
// colon, its bytes and a zero byte. Doing something twice makes a duplicate that can be recognised.
func DeriveID(kind string, causes ...string) string {
	text := append([]byte(kind), 0)
	for _, cause := range causes {
		text = strconv.AppendInt(text, int64(len(cause)), 10)
		text = append(text, ':')
		text = append(text, cause...)
		text = append(text, 0)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:DigestSize])
}

// InvitationID makes the invitation one: a seller's reference stands for one thing at a receiving bank.
func InvitationID(receivingBank, seller, reference string) string {
	return DeriveID("invitation", receivingBank, seller, reference)
}

// SubmissionID identifies the message that brings an invitation in: the same content again is the same message.
func SubmissionID(invitation string, content []byte) string {
	return DeriveID("submission", invitation, hex.EncodeToString(content))
}

// OpenID identifies the opening of an account: in the same words again it is the same.
func OpenID(account string, x *Open) string {
	return DeriveID("open", account, x.GetKind().String(), x.GetHolder(), x.GetFunds().GetCurrency(),
		strconv.FormatInt(x.GetFunds().GetMinorUnits(), 10))
}

// VouchID identifies the movement that asks for the receiving account to be vouched for.
func VouchID(invitation string) string { return DeriveID("vouch", invitation) }

// OfferID identifies the offer.
func OfferID(invitation string) string { return DeriveID("offer", invitation) }

// HoldID identifies the hold that secures the certificate: one for each invitation, whoever asks.
func HoldID(invitation string) string { return DeriveID("hold", invitation) }

// LapseID identifies the lapse: one for each invitation, whoever finds that nobody has answered in time.
func LapseID(invitation string) string { return DeriveID("lapse", invitation) }

// CertificateID identifies the certificate that the hold secures.
func CertificateID(hold string) string { return DeriveID("certificate", hold) }
