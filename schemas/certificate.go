package schemas

import "strings"

func (x *Certificate) faults(c check) {
	c.id("hold_id", x.GetHoldId())
	if x.GetId() != CertificateID(x.GetHoldId()) {
		c.fault("id", "is not the one derived from hold_id; derive it")
	}
	c.terms("terms", x.GetTerms())
	c.accountOf("issuing_account", x.GetIssuingAccount(), "terms.issuing_bank", x.GetTerms().GetIssuingBank())
	if given := x.GetTerms().GetIssuingAccount(); given != "" && given != x.GetIssuingAccount() {
		c.fault("issuing_account", "is another than terms.issuing_account, must be it")
	}
	c.jws("jws", x.GetJws())
}

// jws checks the form of a compact JWS: three parts of base64url, points between.
func (c check) jws(field, jws string) {
	bad := len(jws) > JWSMax || strings.Count(jws, ".") != 2
	for part := range strings.SplitSeq(jws, ".") {
		bad = bad || part == "" || !isOf(part, digits|1<<'-', letters|1<<('_'-64))
	}
	if bad {
		c.fault(field, "has %d bytes, must be a compact JWS of at most %d: header.payload.signature",
			len(jws), JWSMax)
	}
}
