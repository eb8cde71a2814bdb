package schemas

func (x *Receipt) faults(c check) {
	c.id("notice_id", x.GetNoticeId())
	if x.GetNotice() == nil {
		c.fault("notice", "is missing")
		return
	}
	x.GetNotice().faults(c.in("notice"))
}
