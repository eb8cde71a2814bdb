package schemas

import "google.golang.org/protobuf/types/known/timestamppb"

func (x *NoticeRetry) faults(c check) {
	c.id("notice_id", x.GetNoticeId())
	c.quoted("notice", x.GetNotice())
	if x.GetTries() < 1 {
		c.fault("tries", "is %d, must be at least 1", x.GetTries())
	}
	c.moment("first", x.GetFirst())
	c.moment("due", x.GetDue())
}

// moment checks a time that must be there.
func (c check) moment(field string, at *timestamppb.Timestamp) {
	if at == nil {
		c.fault(field, "is missing")
	} else if !at.IsValid() || !inTime(at.AsTime()) {
		c.fault(field, "is not between 1970 and 9999")
	}
}
