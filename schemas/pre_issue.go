package schemas

func (x *PreIssue) faults(c check) {
	var command interface{ faults(check) }
	if x.GetRequest() != nil {
		command = x.GetRequest()
	}
	c.answered(x.GetDecision(), x.GetId(), command, "request", x.GetUnreadable())
}
