package schemas

import "strings"

const reasonPrefix = "REASON_"

// Word is the reason as the books' scripts and people write it: "account-unknown".
func (x Reason) Word() string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(x.String(), reasonPrefix), "_", "-"))
}

// ReasonOf returns the reason that has the word.
func ReasonOf(word string) (Reason, bool) {
	r := Reason(Reason_value[reasonPrefix+strings.ToUpper(strings.ReplaceAll(word, "-", "_"))])
	if r == Reason_REASON_UNSPECIFIED || r.Word() != word {
		return Reason_REASON_UNSPECIFIED, false
	}
	return r, true
}
