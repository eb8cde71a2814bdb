package schemas

func (x *Takeover) faults(c check) {
	c.id("history", x.GetHistory())
	if x.GetPartitions() < 1 {
		c.fault("partitions", "is %d, must be at least 1", x.GetPartitions())
	}
	c.between("owner", x.GetOwner(), 0, NameMax)
}
