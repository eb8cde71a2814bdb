package certificate

import (
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Funding asks for the money of a request that was accepted.
//
//	reads  pre-issues (requests that were done)
//	emits  movements (hold); of what the book should not have let pass dead letters
func Funding() pipeline.Stage {
	return pipeline.Stage{Name: "funding", Reads: []string{schemas.TopicPreIssues}, Follow: followRequest}
}

func followRequest(in pipeline.In) ([]pipeline.Out, error) {
	item := bodyOf[*schemas.PreIssue](in)
	done := item.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
	if !done || item.GetRequest().GetRequest() == nil {
		return nil, nil
	}
	if err := agreed(item.GetRequest()); err != nil {
		return buryRequest(in, item, err), nil
	}
	return []pipeline.Out{hold(item.GetRequest())}, nil
}

// hold asks the accounts book to freeze the amount, or to use the line, on the account that the buyer named.
// The invitation has one hold, whoever asks for it and from whichever account.
func hold(request *schemas.IssuanceRequest) pipeline.Out {
	terms, account := request.GetTerms(), request.GetRequest().GetAccount()
	return pipeline.Out{
		Topic: schemas.TopicMovements,
		ID:    schemas.HoldID(terms.GetInvitationId()),
		Body: &schemas.Movement{
			Account:   account,
			Reference: pack(request),
			Content:   append(schemas.TermsDigest(terms), account...),
			Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
				Amount: terms.GetAmount(),
				Holder: request.GetRequest().GetBuyer(),
				Kind:   schemas.FundingKind(terms.GetFunding()),
			}},
		},
	}
}
