package certificate

import (
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// refuseInvitation refuses an invitation that has no terms yet, and tells the seller.
func refuseInvitation(
	cause string, x *schemas.Invitation, reason schemas.Reason, detail string,
) []pipeline.Out {
	refusal := &schemas.Refusal{
		InvitationId:  x.GetId(),
		ContentDigest: schemas.ContentDigest(x),
		Seller:        x.GetSeller(),
		Reference:     x.GetReference(),
		Detail:        schemas.Shorten(detail, schemas.DetailMax),
	}
	return []pipeline.Out{refuse(cause, refusal, reason), tell(cause, &schemas.Notice{
		Recipient:    &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: x.GetSeller()},
		Subject:      schemas.Subject_SUBJECT_REFUSED,
		InvitationId: x.GetId(), ContentDigest: schemas.ContentDigest(x), Reference: x.GetReference(),
		Reason: reason,
	})}
}

// late tells the seller that an invitation came too late to be answered. That refuses nothing: what it got
// when it came in time stands.
func late(cause string, x *schemas.Invitation) pipeline.Out {
	return tell(cause, &schemas.Notice{
		Recipient:     &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: x.GetSeller()},
		Subject:       schemas.Subject_SUBJECT_ANSWER_REFUSED,
		InvitationId:  x.GetId(),
		ContentDigest: schemas.ContentDigest(x),
		Reference:     x.GetReference(),
		Reason:        schemas.Reason_REASON_STALE,
	})
}

// refuseTerms refuses the invitation behind the terms, and tells the recipients.
func refuseTerms(
	cause string, terms *schemas.Terms, reason schemas.Reason, recipients ...*schemas.Recipient,
) []pipeline.Out {
	outs := []pipeline.Out{refuse(cause, &schemas.Refusal{
		InvitationId:  terms.GetInvitationId(),
		ContentDigest: terms.GetContentDigest(),
		Seller:        terms.GetSeller(),
		Reference:     terms.GetReference(),
	}, reason)}
	for _, recipient := range recipients {
		n := noticeOf(terms, recipient, schemas.Subject_SUBJECT_REFUSED)
		n.Reason = reason
		outs = append(outs, tell(cause, n))
	}
	return outs
}

func refuse(cause string, refusal *schemas.Refusal, reason schemas.Reason) pipeline.Out {
	refusal.Reason = guarded(reason)
	return pipeline.Out{
		Topic: schemas.TopicRefusals, ID: schemas.DeriveID("refusal", cause), Body: refusal,
	}
}

// tell sends a notice. A cause tells everybody at most once in each role.
func tell(cause string, n *schemas.Notice) pipeline.Out {
	to := n.GetRecipient()
	switch to.GetRole() {
	case schemas.Role_ROLE_BUYER, schemas.Role_ROLE_ISSUING_BANK:
	case schemas.Role_ROLE_SELLER, schemas.Role_ROLE_RECEIVING_BANK, schemas.Role_ROLE_UNSPECIFIED:
		n.Reason = guarded(n.GetReason())
	}
	return pipeline.Out{
		Topic: schemas.TopicNotices,
		ID:    schemas.DeriveID("notice", cause, to.GetRole().String(), to.GetId()),
		Body:  n,
	}
}

// guarded is the reason as the seller's side may know it: what the buyer has is nobody else's business. The
// stages do not pass such a reason on; this makes sure of it.
func guarded(reason schemas.Reason) schemas.Reason {
	if reason == schemas.Reason_REASON_INSUFFICIENT || reason == schemas.Reason_REASON_OVER_LIMIT {
		return schemas.Reason_REASON_NOT_GUARANTEED
	}
	return reason
}

// answerRefused tells the recipient that an answer was not taken. That refuses nothing else: what stands
// goes on standing.
func answerRefused(
	cause string, terms *schemas.Terms, recipient *schemas.Recipient, reason schemas.Reason,
) []pipeline.Out {
	n := noticeOf(terms, recipient, schemas.Subject_SUBJECT_ANSWER_REFUSED)
	n.Reason = reason
	return []pipeline.Out{tell(cause, n)}
}

func noticeOf(terms *schemas.Terms, recipient *schemas.Recipient, subject schemas.Subject) *schemas.Notice {
	return &schemas.Notice{
		Recipient: recipient, Subject: subject, Terms: terms,
		InvitationId: terms.GetInvitationId(), ContentDigest: terms.GetContentDigest(),
		Reference: terms.GetReference(),
	}
}

func seller(terms *schemas.Terms) *schemas.Recipient {
	return &schemas.Recipient{Role: schemas.Role_ROLE_SELLER, Id: terms.GetSeller()}
}

func buyer(terms *schemas.Terms) *schemas.Recipient {
	return &schemas.Recipient{Role: schemas.Role_ROLE_BUYER, Id: terms.GetBuyer()}
}

func issuingBank(terms *schemas.Terms) *schemas.Recipient {
	return &schemas.Recipient{Role: schemas.Role_ROLE_ISSUING_BANK, Id: terms.GetIssuingBank()}
}

func receivingBank(terms *schemas.Terms) *schemas.Recipient {
	return &schemas.Recipient{Role: schemas.Role_ROLE_RECEIVING_BANK, Id: terms.GetReceivingBank()}
}
