package schemas_test

import (
	"testing"

	"github.com/aval-systems/aval/schemas"
)

func TestReasonWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for number := range schemas.Reason_name {
		r := schemas.Reason(number)
		word := r.Word()
		if got, ok := schemas.ReasonOf(word); got != r || ok != (number != 0) {
			t.Errorf("ReasonOf(%q) = %v, %t", word, got, ok)
		}
		if seen[word] {
			t.Errorf("%q stands for two reasons", word)
		}
		seen[word] = true
	}
	if got := schemas.Reason_REASON_ACCOUNT_UNKNOWN.Word(); got != "account-unknown" {
		t.Errorf("Word() = %q, want account-unknown", got)
	}
	for _, word := range []string{
		"", "unspecified", "account_unknown", "Account-Unknown", "REASON_STALE", "stale ", "99",
	} {
		if r, ok := schemas.ReasonOf(word); ok {
			t.Errorf("ReasonOf(%q) = %v, want none", word, r)
		}
	}
}
