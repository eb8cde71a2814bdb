package bench

import "github.com/aval-systems/aval/schemas"

// OutcomeOf and AnswerOf are what records are read by, and made of, without their messages.
func OutcomeOf(item []byte) schemas.Outcome { return outcomeOf(item) }

// AnswerOf is the answer to the offer in a book's item.
func AnswerOf(item, request []byte) []byte {
	return answerTo(fieldOf(fieldOf(item, itemCommand), requestTerms), request)
}
