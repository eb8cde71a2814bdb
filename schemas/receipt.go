package schemas

import "google.golang.org/protobuf/proto"

func (x *Receipt) faults(c check) {
	c.id("notice_id", x.GetNoticeId())
	if x.GetNotice() == nil {
		c.fault("notice", "is missing")
		return
	}
	if size := proto.Size(x.GetNotice()); size > NoticeMax {
		c.fault("notice", "has %d bytes, must have at most %d: the next leg is made of it", size, NoticeMax)
	}
	x.GetNotice().faults(c.in("notice"))
}
