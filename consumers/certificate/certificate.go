package certificate

import (
	"fmt"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Signer signs in the name of an issuing bank.
type Signer interface {
	// Sign returns the payload as a compact JWS: the same for the same payload. An error means "not now": of
	// a key that is unknown too, since the terms name it and it may yet come.
	Sign(keyID string, payload []byte) (string, error)
}

// Certificate issues and signs a certificate over a hold, or refuses where the money was refused.
//
// The buyer is told the true reason. The seller's side is told only that the bank does not guarantee.
//
//	reads  entries (holds of issuance requests, every outcome)
//	emits  certificates, refusals, notices (buyer, receiving bank, seller)
func Certificate(signer Signer) pipeline.Stage {
	return pipeline.Stage{
		Name: "certificate", Reads: []string{schemas.TopicEntries},
		Writes: []string{
			schemas.TopicCertificates, schemas.TopicRefusals, schemas.TopicNotices, schemas.TopicDeadLetters,
		},
		Concerns: answers(schemas.VerbHold, &schemas.IssuanceRequest{}),
		Follow: func(in pipeline.In) ([]pipeline.Out, error) {
			entry := bodyOf[*schemas.Entry](in)
			repeat := entry.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_REPEAT
			ours := entry.GetMovement().GetHold() != nil && refersTo(entry, &schemas.IssuanceRequest{})
			if repeat || !ours {
				return nil, nil
			}
			request, err := held(entry)
			if err != nil {
				return buryMovement(in, entry, err), nil
			}
			return followHold(signer, in, entry.GetDecision(), request)
		},
	}
}

// held is the request for whose money the entry's movement asked. What is signed is what the book holds,
// never what a reference claims.
func held(entry *schemas.Entry) (*schemas.IssuanceRequest, error) {
	request := &schemas.IssuanceRequest{}
	if err := unpack(entry, request); err != nil {
		return nil, err
	}
	if err := agreed(request); err != nil {
		return nil, err
	}
	id, movement := holdMovement(request)
	return request, corresponds(entry, id, movement)
}

func followHold(
	signer Signer, in pipeline.In, d *schemas.Decision, request *schemas.IssuanceRequest,
) ([]pipeline.Out, error) {
	switch d.GetOutcome() {
	case schemas.Outcome_OUTCOME_DONE:
		return issue(signer, in, request)
	case schemas.Outcome_OUTCOME_REFUSED:
		if d.GetReason() == schemas.Reason_REASON_STALE { // what became of it when it came in time stands
			terms := request.GetTerms()
			return answerRefused(in.ID, terms, buyer(terms), d.GetReason()), nil
		}
		return refuseMoney(in, request.GetTerms(), d.GetReason(), schemas.Reason_REASON_NOT_GUARANTEED), nil
	case schemas.Outcome_OUTCOME_CONFLICT:
		// An invitation has one hold: only somebody who is not funding gets here.
		conflict := schemas.Reason_REASON_CONFLICT
		return refuseMoney(in, request.GetTerms(), conflict, conflict), nil
	case schemas.Outcome_OUTCOME_REPEAT, schemas.Outcome_OUTCOME_UNREADABLE,
		schemas.Outcome_OUTCOME_UNSPECIFIED:
	}
	return nil, nil // told with the first, or without a movement
}

func issue(signer Signer, in pipeline.In, request *schemas.IssuanceRequest) ([]pipeline.Out, error) {
	terms := request.GetTerms()
	holdID := schemas.HoldID(terms.GetInvitationId())
	certificate := &schemas.Certificate{
		Id:             schemas.CertificateID(holdID),
		Terms:          terms,
		IssuingAccount: request.GetRequest().GetAccount(),
		HoldId:         holdID,
	}
	payload, err := ClaimsOf(certificate).Payload()
	if err != nil {
		return nil, fmt.Errorf("write claims of certificate %s: %w", certificate.GetId(), err)
	}
	certificate.Jws, err = signer.Sign(terms.GetKeyId(), payload)
	if err != nil {
		return nil, fmt.Errorf("sign certificate %s: %w", certificate.GetId(), err)
	}
	outs := []pipeline.Out{{
		Topic: schemas.TopicCertificates, ID: certificate.GetId(), Body: certificate,
	}}
	for _, recipient := range []*schemas.Recipient{buyer(terms), receivingBank(terms), seller(terms)} {
		n := noticeOf(terms, recipient, schemas.Subject_SUBJECT_ISSUED)
		n.CertificateId, n.Jws = certificate.GetId(), certificate.GetJws()
		outs = append(outs, tell(in.ID, n))
	}
	return outs, nil
}

// refuseMoney tells the buyer one reason and everybody else another.
func refuseMoney(in pipeline.In, terms *schemas.Terms, why, told schemas.Reason) []pipeline.Out {
	outs := refuseTerms(in.ID, terms, told, seller(terms), receivingBank(terms))
	n := noticeOf(terms, buyer(terms), schemas.Subject_SUBJECT_REFUSED)
	n.Reason = why
	return append(outs, tell(in.ID, n))
}
