package schemas

import (
	"cmp"
	"strconv"

	"google.golang.org/protobuf/proto"
)

// KeyOf returns the key that a message's record has; empty for those that have none: ticks, which stand in every
// partition, items of journals, whose partition is the shard whatever their key, retries, whose partition is how long
// they wait, takeovers and directories. A record under another key than its message's would be decided in another
// shard than everything else about the same thing.
func KeyOf(m proto.Message) string {
	switch m := m.(type) {
	case *Movement:
		return m.GetAccount()
	case *IssuanceRequest:
		return m.GetTerms().GetInvitationId()
	case *Invitation:
		return m.GetId()
	case *Certificate:
		return m.GetTerms().GetInvitationId()
	case *Refusal:
		return m.GetInvitationId()
	case *Notice:
		return m.GetRecipient().GetId()
	case *Receipt:
		return cmp.Or(m.GetNotice().GetInvitationId(), m.GetNotice().GetRecipient().GetId())
	case *Act:
		return m.GetSubject()
	case *DeadLetter:
		return m.GetTopic() + "/" + strconv.Itoa(int(m.GetPartition())) + "/" + strconv.FormatInt(m.GetOffset(), 10)
	default:
		return ""
	}
}
