package schemas

func (x *Refusal) faults(c check) {
	c.id("invitation_id", x.GetInvitationId())
	c.digest("content_digest", x.GetContentDigest())
	c.text("seller", x.GetSeller())
	c.text("reference", x.GetReference())
	c.enum("reason", x.GetReason())
	c.between("detail", x.GetDetail(), 0, DetailMax)
}
