package schemas

import "google.golang.org/protobuf/proto"

// Limits of bodies, in bytes. What quotes a message is allowed more than the message, so that what follows
// from a message that could be read can always be written: a vouch quotes the invitation, a hold quotes the
// request, a journal's item its command, a certificate and its notices the terms of the request beside the
// JWS, a receipt its notice, a dead letter any record up to OriginalMax.
const (
	InvitationMax      = 64 << 10  // three texts, and what has bounds of its own
	IssuanceRequestMax = 128 << 10 // five texts
	MovementMax        = 192 << 10 // a request, and a holder
	NoticeMax          = 640 << 10 // a request's terms, a JWS, a recipient, a reference
	BodyMax            = 768 << 10 // of the other kinds
	ItemMax            = 3 << 20   // of a journal's item, and of a dead letter
	OriginalMax        = 3 << 19   // of what is kept of a record that cannot be read: key, value, headers
)

// newBody returns an empty body of a type that travels, or nil.
func newBody(kind []byte) proto.Message {
	switch string(kind) {
	case "aval.v1.Movement":
		return &Movement{}
	case "aval.v1.Entry":
		return &Entry{}
	case "aval.v1.IssuanceRequest":
		return &IssuanceRequest{}
	case "aval.v1.PreIssue":
		return &PreIssue{}
	case "aval.v1.Invitation":
		return &Invitation{}
	case "aval.v1.Certificate":
		return &Certificate{}
	case "aval.v1.Refusal":
		return &Refusal{}
	case "aval.v1.Notice":
		return &Notice{}
	case "aval.v1.NoticeRetry":
		return &NoticeRetry{}
	case "aval.v1.Receipt":
		return &Receipt{}
	case "aval.v1.Act":
		return &Act{}
	case "aval.v1.DeadLetter":
		return &DeadLetter{}
	case "aval.v1.Directory":
		return &Directory{}
	case "aval.v1.Takeover":
		return &Takeover{}
	default:
		return nil
	}
}

func bodyMax(m proto.Message) int {
	switch m.(type) {
	case *Invitation:
		return InvitationMax
	case *IssuanceRequest:
		return IssuanceRequestMax
	case *Movement:
		return MovementMax
	case *Notice:
		return NoticeMax
	case *Entry, *PreIssue, *DeadLetter:
		return ItemMax
	default:
		return BodyMax
	}
}
