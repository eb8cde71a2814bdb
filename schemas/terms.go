package schemas

func (x *Terms) faults(c check) {
	c.id("invitation_id", x.GetInvitationId())
	c.digest("content_digest", x.GetContentDigest())
	c.text("seller", x.GetSeller())
	c.text("reference", x.GetReference())
	c.text("buyer", x.GetBuyer())
	c.money("amount", x.GetAmount(), 1)
	c.enum("funding", x.GetFunding())
	c.bank("receiving_bank", x.GetReceivingBank())
	c.accountOf("receiving_account", x.GetReceivingAccount(), "receiving_bank", x.GetReceivingBank())
	c.bank("issuing_bank", x.GetIssuingBank())
	c.enum("account_source", x.GetAccountSource())
	switch confirmed := x.GetAccountSource() == AccountSource_ACCOUNT_SOURCE_CONFIRMED; {
	case confirmed:
		c.accountOf("issuing_account", x.GetIssuingAccount(), "issuing_bank", x.GetIssuingBank())
	case x.GetIssuingAccount() != "":
		c.fault("issuing_account", "is set, must be empty unless account_source is CONFIRMED")
	}
	c.enum("route", x.GetRoute())
	c.deadlines("deadlines", x.GetDeadlines())
	c.id("key_id", x.GetKeyId())
	if x.GetDirectoryVersion() == 0 {
		c.fault("directory_version", "is missing; give the version that named the issuing bank and its key")
	}
}

// terms checks terms that must be there.
func (c check) terms(field string, x *Terms) {
	if x == nil {
		c.fault(field, "are missing")
		return
	}
	x.faults(c.in(field))
}
