package schemas

func (x *Entry) faults(c check) {
	var command interface{ faults(check) }
	if x.GetMovement() != nil {
		command = x.GetMovement()
	}
	c.answered(x.GetDecision(), x.GetId(), command, "movement", x.GetUnreadable())
}
