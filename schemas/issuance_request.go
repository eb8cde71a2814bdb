package schemas

func (x *IssuanceRequest) faults(c check) {
	if tick := x.GetTick(); tick != nil {
		if x.GetTerms() != nil {
			c.fault("terms", "are set, must not be: a tick is the shard's")
		}
		tick.faults(c.in("tick"))
		return
	}
	c.terms("terms", x.GetTerms())
	switch verb := x.GetVerb().(type) {
	case *IssuanceRequest_Request:
		c.in("request").text("buyer", verb.Request.GetBuyer())
		// What the buyer enters is the book's to refuse: so the buyer is told.
		c.in("request").text("account", verb.Request.GetAccount())
	case *IssuanceRequest_Decline:
		c.in("decline").text("buyer", verb.Decline.GetBuyer())
	case *IssuanceRequest_Withdraw:
		c.in("withdraw").text("seller", verb.Withdraw.GetSeller())
	case *IssuanceRequest_Offer, *IssuanceRequest_Lapse:
	default:
		c.fault("verb", "is not set; give one of %s", verbs(x.ProtoReflect().Descriptor()))
	}
}
