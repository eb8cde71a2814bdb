package schemas

import "strings"

// answered checks a journal's item: the decision, and either the command that can be read or the one that
// cannot.
func (c check) answered(decision *Decision, id string, command interface{ faults(check) }, field string,
	unreadable *Unreadable,
) {
	if decision == nil {
		c.fault("decision", "is missing")
	} else {
		decision.faults(c.in("decision"))
	}
	c.utf8("id", id)
	if decision.GetOutcome() == Outcome_OUTCOME_UNREADABLE {
		if unreadable == nil {
			c.fault("unreadable", "is missing, must be set: the outcome is UNREADABLE")
		} else {
			unreadable.faults(c.in("unreadable"))
		}
		if command != nil {
			c.fault(field, "is set, must not be: the outcome is UNREADABLE")
		}
		return
	}
	c.id("id", id)
	if command == nil {
		c.fault(field, "is missing, must be set: the outcome is not UNREADABLE")
	} else {
		command.faults(c.in(field))
	}
	if unreadable != nil {
		c.fault("unreadable", "is set, must not be: the outcome is not UNREADABLE")
	}
}

func (x *Decision) faults(c check) {
	if x.GetOffset() < 0 {
		c.fault("offset", "is %d, must not be below 0", x.GetOffset())
	}
	c.enum("outcome", x.GetOutcome())
	c.known("reason", x.GetReason())
	switch set := x.GetReason() != Reason_REASON_UNSPECIFIED; {
	case x.GetOutcome() == Outcome_OUTCOME_REFUSED && !set:
		c.fault("reason", "is not set; say why it is refused")
	case x.GetOutcome() == Outcome_OUTCOME_DONE && set:
		c.fault("reason", "is set, must not be: the outcome is DONE")
	}
	for i, change := range x.GetChanges() {
		if c.full() {
			return
		}
		change.faults(c.item("changes", i))
	}
}

func (x *Change) faults(c check) {
	if x.GetTable() == "" {
		c.fault("table", "is empty; name it")
	}
	for _, f := range []struct{ name, text string }{
		{"table", x.GetTable()}, {"field", x.GetField()}, {"value", x.GetValue()},
	} {
		if strings.ContainsAny(f.text, "\t\n") {
			c.fault(f.name, "has tabs or line ends, which part answers, must have none")
		}
		c.utf8(f.name, f.text)
	}
}
