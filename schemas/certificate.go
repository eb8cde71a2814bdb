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
	if !isOf(x.GetJws(), digits|1<<'-'|1<<'.', letters|1<<('_'-64)) {
		c.fault("jws", "has other characters than those of base64url, with points between the parts")
	}
}

// jws checks the form of a compact JWS: three parts, points between. What notices repeat is not looked at again
// character for character: there are three for each certificate, and JWS are long.
func (c check) jws(field, jws string) {
	header, rest, _ := strings.Cut(jws, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if len(jws) > JWSMax || header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		c.fault(field, "has %d bytes, must be a compact JWS of at most %d: header.payload.signature",
			len(jws), JWSMax)
	}
}
