package schemas

import "google.golang.org/protobuf/proto"

func (x *Receipt) faults(c check) {
	c.id("notice_id", x.GetNoticeId())
	c.quoted("notice", x.GetNotice())
	c.known("delivery", x.GetDelivery())
}

// quoted checks a notice that another message carries.
func (c check) quoted(field string, n *Notice) {
	if n == nil {
		c.fault(field, "is missing")
		return
	}
	if size := proto.Size(n); size > NoticeMax {
		c.fault(field, "has %d bytes, must have at most %d: the next leg is made of it", size, NoticeMax)
	}
	n.faults(c.in(field))
}
