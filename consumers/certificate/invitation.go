// Package certificate is the way from an invitation to a certificate: five stages, each a pure function from
// a message to what follows, with no clock, no randomness and no effect of its own.
//
//	reads   invitations, receipts, and the journals of both books: entries and pre-issues
//	effect  none
//	emits   movements (vouch, hold), issuance requests (offer), certificates, refusals, notices, dead letters
//
// The stages meet each other only through topics. What one needs stands in the message that it reads: the
// accounts book repeats the invitation beside the vouch and the issuance request beside the hold, the
// pre-issues book repeats the terms. So the stages of an issuing bank (relay, funding, certificate) run
// alone, and answer offers of any receiving bank; that the issuing bank is also the receiving one makes no
// difference.
//
// Every item of a journal reaches somebody, as a certificate, a refusal, a notice or a dead letter. Repeats
// do not, since their first was told; nor do ticks, and what the accounts book did for other systems, which
// is known by the type of the movement's reference. What it did not do for them, package advice tells.
package certificate

import (
	"encoding/hex"
	"strings"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Invitation takes in a seller's invitation and asks that the receiving account be vouched for.
//
//	reads  invitations
//	emits  movements (vouch); of what makes no sense refusals, notices (seller)
func Invitation() pipeline.Stage {
	return pipeline.Stage{
		Name:  "invitation",
		Reads: []string{schemas.TopicInvitations},
		Writes: []string{
			schemas.TopicMovements, schemas.TopicRefusals, schemas.TopicNotices, schemas.TopicDeadLetters,
		},
		Follow: followInvitation,
	}
}

func followInvitation(in pipeline.In) ([]pipeline.Out, error) {
	x := bodyOf[*schemas.Invitation](in)
	if faults := schemas.InvitationFaults(x); len(faults) > 0 {
		// Caused by what it says, not by who brought it: the same again gets the same answer.
		cause := schemas.DeriveID("faulty", x.GetId(), hex.EncodeToString(schemas.ContentDigest(x)))
		return refuseInvitation(cause, x, schemas.Reason_REASON_INVALID, listed(faults)), nil
	}
	return []pipeline.Out{vouch(x)}, nil
}

// listed is the faults for people, in one line.
func listed(faults []schemas.FaultError) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "; ")
}

// vouch asks the accounts book whether the receiving account is open and the seller's.
func vouch(x *schemas.Invitation) pipeline.Out {
	id, movement := vouchMovement(x)
	movement.Reference = pack(x)
	return pipeline.Out{Topic: schemas.TopicMovements, ID: id, Body: movement}
}

// vouchMovement is what asks to vouch for the invitation, but for its reference.
func vouchMovement(x *schemas.Invitation) (id string, _ *schemas.Movement) {
	return schemas.VouchID(x.GetId()), &schemas.Movement{
		Account: x.GetReceivingAccount(),
		Content: schemas.ContentDigest(x),
		Verb: &schemas.Movement_Vouch{Vouch: &schemas.Vouch{
			Holder: x.GetSeller(), Currency: x.GetAmount().GetCurrency(),
		}},
	}
}
