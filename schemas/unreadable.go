package schemas

// UnreadableMax bounds why a record cannot be read, in bytes: all of a message's faults fit, so that no
// record is too wrong to be kept.
const UnreadableMax = 64 << 10

func (x *Unreadable) faults(c check) {
	c.between("reason", x.GetReason(), 1, UnreadableMax)
	for i, h := range x.GetHeaders() {
		if c.full() {
			return
		}
		c.item("headers", i).utf8("key", h.GetKey())
	}
}
