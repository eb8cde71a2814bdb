package schemas_test

import (
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aval-systems/aval/schemas"
)

// TestGoldenIDs pins what is derived: it stands in logs that are kept for ever.
func TestGoldenIDs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ got, want string }{
		"derived":     {schemas.DeriveID("kind", "a", "b"), "57afbcd9bcc22b1051993b87d5e7fe3c"},
		"invitation":  {schemas.InvitationID("AVALBRSP", "seller", "r1"), "ba7030db21cafd4eb7c1d413727712df"},
		"vouch":       {schemas.VouchID("i1"), "3271f25cda2f1d01f63e8e39a2cc8858"},
		"offer":       {schemas.OfferID("i1"), "f7e742ce4f45d6540ad008508a2b5016"},
		"hold":        {schemas.HoldID("i1"), "8576eb29cf3775d9b824f47a97e5f1c7"},
		"certificate": {schemas.CertificateID("h1"), "275ce369a3e919d67e4aa7903865a00b"},
		"content": {
			hex.EncodeToString(schemas.ContentDigest(confirmed())), "6b7ca2d9012910ff6daa92a218188622",
		},
		"no content": {hex.EncodeToString(schemas.ContentDigest(nil)), "6266e00d827bf7b1902dcd8948626069"},
		"terms":      {hex.EncodeToString(schemas.TermsDigest(terms())), "7e3e292d68140234b70307ebcaa82c41"},
		"no terms":   {hex.EncodeToString(schemas.TermsDigest(nil)), "ec9c5f123e0e32d5c8d5ffdb5f4b34a8"},
	} {
		if test.got != test.want {
			t.Errorf("%s is %s, want %s", name, test.got, test.want)
		}
	}
}

func TestDeriveIDPartsCauses(t *testing.T) {
	t.Parallel()
	seen := map[string][]string{}
	for _, causes := range [][]string{
		nil, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"a\x00", "b"}, {"a\x001:b"}, {"1:a"}, {"a", "", "b"},
	} {
		id := schemas.DeriveID("kind", causes...)
		if before, ok := seen[id]; ok {
			t.Errorf("DeriveID(%q) = DeriveID(%q)", causes, before)
		}
		seen[id] = causes
	}
	if schemas.DeriveID("hold", "1") == schemas.DeriveID("vouch", "1") {
		t.Error("the kind makes no difference")
	}
}

// TestDigestsSeeEveryField changes each field, also those that come later: whoever adds one decides here
// whether it is content.
func TestDigestsSeeEveryField(t *testing.T) {
	t.Parallel()
	contact := &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{Contact: "c"}}
	bank := &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Bank{Bank: issuingBank}}
	for name, test := range map[string]struct {
		message proto.Message
		digest  func(proto.Message) []byte
		blind   map[protoreflect.FullName]bool
	}{
		"terms":                   {terms(), termsDigest, nil},
		"invitation with account": {confirmed(), contentDigest, notContent()},
		"invitation with contact": {invitation(contact), contentDigest, notContent()},
		"invitation with bank":    {invitation(bank), contentDigest, notContent()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := string(test.digest(test.message))
			changes := 0
			change(test.message.ProtoReflect(), func(f protoreflect.FieldDescriptor) {
				changes++
				if same := string(test.digest(test.message)) == before; same != test.blind[f.FullName()] {
					t.Errorf("a change of %s leaves the digest: %t", f.FullName(), same)
				}
			})
			if changes < 15 {
				t.Errorf("only %d fields were changed", changes)
			}
		})
	}
}

func termsDigest(m proto.Message) []byte {
	x, _ := m.(*schemas.Terms)
	return schemas.TermsDigest(x)
}

func contentDigest(m proto.Message) []byte {
	x, _ := m.(*schemas.Invitation)
	return schemas.ContentDigest(x)
}

func notContent() map[protoreflect.FullName]bool {
	return map[protoreflect.FullName]bool{
		"aval.v1.Invitation.id":                true,
		"aval.v1.Invitation.directory_version": true,
	}
}

// change clears and alters each field in turn, looks, and puts it back.
func change(m protoreflect.Message, look func(protoreflect.FieldDescriptor)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() != nil {
			change(v.Message(), look)
		}
		m.Clear(f)
		look(f)
		if other, ok := altered(f, v); ok {
			m.Set(f, other)
			look(f)
		}
		m.Set(f, v)
		return true
	})
}

func altered(f protoreflect.FieldDescriptor, v protoreflect.Value) (protoreflect.Value, bool) {
	switch f.Kind() { //nolint:exhaustive // the rest does not occur
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "x"), true
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append([]byte{7}, v.Bytes()...)), true
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() + 1), true
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) + 1), true
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint() + 1), true
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1), true
	default:
		return v, false
	}
}

func TestDigestPartsNeighbours(t *testing.T) {
	t.Parallel()
	a := schemas.ContentDigest(&schemas.Invitation{Seller: "ab", Reference: "c"})
	b := schemas.ContentDigest(&schemas.Invitation{Seller: "a", Reference: "bc"})
	if string(a) == string(b) {
		t.Error("bytes move from one field to the next and the digest stays")
	}
	kinds := schemas.TermsDigest(nil)
	if string(kinds) == string(schemas.ContentDigest(nil)) {
		t.Error("the digest of terms is that of content")
	}
	account := &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Account{Account: "x"}}
	contact := &schemas.IssuingInformation{Kind: &schemas.IssuingInformation_Contact{Contact: "x"}}
	byAccount := schemas.ContentDigest(invitation(account))
	byContact := schemas.ContentDigest(invitation(contact))
	if string(byAccount) == string(byContact) {
		t.Error("an account is digested as a contact")
	}
}
