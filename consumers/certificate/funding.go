package certificate

import (
	"slices"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Funding asks for the money of a request that was accepted, if the issuing bank can sign its terms: offers
// may come from anybody, and money must not be frozen for what nobody will sign.
//
//	reads  pre-issues (requests that were done)
//	emits  movements (hold); of terms that cannot be signed refusals and notices (buyer, seller,
//	       receiving bank); of what the book should not have let pass dead letters
func Funding(directories Directories) pipeline.Stage {
	return pipeline.Stage{
		Name: "funding", Reads: []string{schemas.TopicPreIssues},
		Writes: []string{
			schemas.TopicMovements, schemas.TopicRefusals, schemas.TopicNotices, schemas.TopicDeadLetters,
		},
		Concerns: func(r pipeline.Record) bool {
			g, ok := schemas.GlanceItem(r.Value)
			return !ok || g.Verb == schemas.VerbRequest && g.Outcome == schemas.Outcome_OUTCOME_DONE
		},
		Follow: func(in pipeline.In) ([]pipeline.Out, error) { return followRequest(directories, in) },
	}
}

func followRequest(directories Directories, in pipeline.In) ([]pipeline.Out, error) {
	item := bodyOf[*schemas.PreIssue](in)
	done := item.GetDecision().GetOutcome() == schemas.Outcome_OUTCOME_DONE
	if !done || item.GetRequest().GetRequest() == nil {
		return nil, nil
	}
	if err := agreed(item.GetRequest()); err != nil {
		return buryRequest(in, item, err), nil
	}
	terms := item.GetRequest().GetTerms()
	directory, fault, err := lookUp(directories, terms.GetDirectoryVersion())
	if err != nil {
		return nil, err
	}
	if fault != "" || !signable(directory, terms) {
		recipients := []*schemas.Recipient{buyer(terms), seller(terms), receivingBank(terms)}
		return refuseTerms(in.ID, terms, schemas.Reason_REASON_INVALID, recipients...), nil
	}
	return []pipeline.Out{hold(item.GetRequest())}, nil
}

// signable says whether the key that the terms name was the issuing bank's in their version of the directory.
func signable(d *Directory, terms *schemas.Terms) bool {
	bank, ok := d.Bank(terms.GetIssuingBank())
	return ok && slices.ContainsFunc(bank.GetKeys(), func(key *schemas.PublicKey) bool {
		return key.GetId() == terms.GetKeyId()
	})
}

// hold asks the accounts book to freeze the amount, or to use the line, on the account that the buyer named.
// The invitation has one hold, whoever asks for it and from whichever account.
func hold(request *schemas.IssuanceRequest) pipeline.Out {
	id, movement := holdMovement(request)
	movement.Reference = pack(request)
	return pipeline.Out{Topic: schemas.TopicMovements, ID: id, Body: movement}
}

// holdMovement is what asks for the request's money, but for its reference.
func holdMovement(request *schemas.IssuanceRequest) (id string, _ *schemas.Movement) {
	terms, account := request.GetTerms(), request.GetRequest().GetAccount()
	return schemas.HoldID(terms.GetInvitationId()), &schemas.Movement{
		Account: account,
		Content: append(schemas.TermsDigest(terms), account...),
		Verb: &schemas.Movement_Hold{Hold: &schemas.Hold{
			Amount: terms.GetAmount(),
			Holder: request.GetRequest().GetBuyer(),
			Kind:   schemas.FundingKind(terms.GetFunding()),
		}},
	}
}
