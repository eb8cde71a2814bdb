package schemas

const thenMax = 8 // recipients after the first

func (x *Notice) faults(c check) {
	c.recipient("recipient", x.GetRecipient())
	c.enum("subject", x.GetSubject())
	x.about(c)
	if len(x.GetContentDigest()) > 0 { // absent of what was written before there was one
		c.digest("content_digest", x.GetContentDigest())
	}
	if x.GetReference() != "" {
		c.text("reference", x.GetReference())
	}
	c.utf8("certificate_id", x.GetCertificateId())
	c.utf8("jws", x.GetJws())
	if x.GetTerms() != nil || x.GetSubject() == Subject_SUBJECT_PRE_ISSUE {
		c.terms("terms", x.GetTerms())
	}
	switch x.GetSubject() {
	case Subject_SUBJECT_REFUSED, Subject_SUBJECT_ANSWER_REFUSED:
		c.enum("reason", x.GetReason())
	case Subject_SUBJECT_ISSUED:
		c.id("certificate_id", x.GetCertificateId())
		c.jws("jws", x.GetJws())
	case Subject_SUBJECT_PRE_ISSUE, Subject_SUBJECT_UNSPECIFIED:
	}
	c.known("reason", x.GetReason())
	if len(x.GetThen()) > thenMax {
		c.fault("then", "has %d recipients, must have at most %d", len(x.GetThen()), thenMax)
		return
	}
	for i, r := range x.GetThen() {
		c.recipient(itemName("then", i), r)
	}
}

// about checks what the notice is about: an invitation, or a command that was refused and is about none.
func (x *Notice) about(c check) {
	advice := x.GetSubject() == Subject_SUBJECT_ANSWER_REFUSED && x.GetInvitationId() == ""
	if !advice {
		c.id("invitation_id", x.GetInvitationId())
	}
	if advice || x.GetCommandId() != "" {
		c.id("command_id", x.GetCommandId())
	}
	if advice || x.GetAccount() != "" {
		c.account("account", x.GetAccount())
	}
}

func (c check) recipient(field string, x *Recipient) {
	if x == nil {
		c.fault(field, "is missing")
		return
	}
	c = c.in(field)
	c.enum("role", x.GetRole())
	switch x.GetRole() {
	case Role_ROLE_RECEIVING_BANK, Role_ROLE_ISSUING_BANK:
		c.bank("id", x.GetId())
	case Role_ROLE_SELLER, Role_ROLE_BUYER, Role_ROLE_UNSPECIFIED:
		c.text("id", x.GetId())
	}
}
