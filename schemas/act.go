package schemas

func (x *Act) faults(c check) {
	if _, known := ActKind_name[int32(x.GetKind())]; !known || x.GetKind() == ActKind_ACT_KIND_UNSPECIFIED {
		c.fault("kind", "is %d, must be a kind of act", x.GetKind())
	}
	c.between("subject", x.GetSubject(), 1, NameMax)
	c.between("by", x.GetBy(), 1, NameMax)
	c.between("note", x.GetNote(), 0, NameMax)
}
