package schemas

const topicMax = 249 // bytes of a topic's name, says Kafka

func (x *DeadLetter) faults(c check) {
	c.between("topic", x.GetTopic(), 1, topicMax)
	if x.GetPartition() < 0 {
		c.fault("partition", "is %d, must not be below 0", x.GetPartition())
	}
	if x.GetOffset() < 0 {
		c.fault("offset", "is %d, must not be below 0", x.GetOffset())
	}
	if x.GetOriginal() == nil {
		c.fault("original", "is missing")
		return
	}
	x.GetOriginal().faults(c.in("original"))
}
