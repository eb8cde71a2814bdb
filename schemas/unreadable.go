package schemas

// NewUnreadable is a record that cannot be read, and why. A header's key that is not UTF-8, as Kafka asks for,
// gets U+FFFD in place of what is not, as Java's client shows it.
func NewUnreadable(why error, key, value []byte, headers []Header) *Unreadable {
	u := &Unreadable{Reason: Shorten(why.Error(), DetailMax), Key: key, Value: value}
	for _, h := range headers {
		u.Headers = append(u.Headers, &OriginalHeader{Key: Shorten(h.Key, len(h.Key)*3), Value: h.Value})
	}
	return u
}

func (x *Unreadable) faults(c check) { c.between("reason", x.GetReason(), 1, DetailMax) }
