package certificate

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Routing finds the issuing bank of a vouched invitation and makes the terms of its offer.
//
// It resolves with the version of the directory that the invitation carries.
//
//	reads  entries (vouches of invitations, every outcome)
//	emits  issuance-requests (offer); of what was not vouched for, or resolves to no bank,
//	       refusals and notices (seller)
func Routing(directories Directories) pipeline.Stage {
	return pipeline.Stage{
		Name: "routing", Reads: []string{schemas.TopicEntries},
		Writes: []string{
			schemas.TopicIssuanceRequests, schemas.TopicRefusals, schemas.TopicNotices, schemas.TopicDeadLetters,
		},
		Concerns: answers(schemas.VerbVouch, &schemas.Invitation{}),
		Follow: func(in pipeline.In) ([]pipeline.Out, error) {
			entry := bodyOf[*schemas.Entry](in)
			repeat := entry.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_REPEAT
			ours := entry.GetMovement().GetVouch() != nil && refersTo(entry, &schemas.Invitation{})
			if repeat || !ours {
				return nil, nil
			}
			x, err := vouched(entry)
			if err != nil {
				return buryMovement(in, entry, err), nil
			}
			return followVouch(directories, in, entry.GetDecision(), x)
		},
	}
}

// vouched is the invitation for which the entry's movement asked to vouch.
func vouched(entry *schemas.Entry) (*schemas.Invitation, error) {
	x := &schemas.Invitation{}
	if err := unpack(entry, x); err != nil {
		return nil, err
	}
	if faults := schemas.InvitationFaults(x); len(faults) > 0 {
		return nil, fmt.Errorf("read reference: %s", listed(faults))
	}
	id, movement := vouchMovement(x)
	return x, corresponds(entry, id, movement)
}

func followVouch(
	directories Directories, in pipeline.In, d *schemas.Decision, x *schemas.Invitation,
) ([]pipeline.Out, error) {
	switch d.GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE:
		directory, fault, err := lookUp(directories, x.GetDirectoryVersion())
		if err != nil {
			return nil, err
		}
		if fault != "" {
			return refuseInvitation(in.ID, x, schemas.Reason_REASON_INVALID, fault), nil
		}
		return route(directory, in, x), nil
	case schemas.Outcome_OUTCOME_REFUSED:
		if d.GetReason() == schemas.Reason_REASON_STALE {
			return []pipeline.Out{late(in.ID, x)}, nil
		}
		return refuseInvitation(in.ID, x, d.GetReason(), ""), nil
	case schemas.Outcome_OUTCOME_CONFLICT:
		return refuseInvitation(in.ID, x, schemas.Reason_REASON_CONFLICT, ""), nil
	case schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_UNREADABLE,
		schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil, nil // told with the first, or without a movement
}

// route offers the invitation's terms in the name of the bank that will issue.
func route(directory *Directory, in pipeline.In, x *schemas.Invitation) []pipeline.Out {
	if _, ok := directory.Bank(x.GetReceivingBank()); !ok {
		return refuseInvitation(in.ID, x, schemas.Reason_REASON_RECEIVING_BANK_UNKNOWN, "")
	}
	bank, ok := directory.IssuingBank(x.GetIssuing())
	if !ok || bank.GetSigningKeyId() == "" { // it only receives
		return refuseInvitation(in.ID, x, schemas.Reason_REASON_ISSUING_BANK_UNKNOWN, "")
	}
	return []pipeline.Out{{
		Topic: schemas.TopicIssuanceRequests,
		ID:    schemas.OfferID(x.GetId()),
		Body: &schemas.IssuanceRequest{
			Terms: termsOf(x, bank),
			Verb:  &schemas.IssuanceRequest_Offer{Offer: &schemas.Offer{}},
		},
	}}
}

// termsOf is what the bank offers: the same invitation and the same bank, the same terms.
func termsOf(x *schemas.Invitation, bank *schemas.Participant) *schemas.Terms {
	terms := &schemas.Terms{
		InvitationId:     x.GetId(),
		ContentDigest:    schemas.ContentDigest(x),
		Seller:           x.GetSeller(),
		Reference:        x.GetReference(),
		Buyer:            x.GetBuyer(),
		Amount:           x.GetAmount(),
		Funding:          x.GetFunding(),
		ReceivingBank:    x.GetReceivingBank(),
		ReceivingAccount: x.GetReceivingAccount(),
		IssuingBank:      bank.GetBank(),
		AccountSource:    x.GetAccountSource(),
		Route:            x.GetRoute(),
		Deadlines:        x.GetDeadlines(),
		KeyId:            bank.GetSigningKeyId(),
		DirectoryVersion: x.GetDirectoryVersion(),
	}
	if x.GetAccountSource() == schemas.AccountSource_ACCOUNT_SOURCE_CONFIRMED {
		terms.IssuingAccount = x.GetIssuing().GetAccount()
	}
	return terms
}
