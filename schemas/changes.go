package schemas

import "google.golang.org/protobuf/encoding/protowire"

// Decided is what a book decided on one command, as an item of its journal has it on the wire. It is for those who read
// many items and need no more of them; its texts are views of the item.
type Decided struct {
	Offset  int64
	Outcome Outcome
	Reason  Reason
	Changes []Changed
}

// Changed is a Change on the wire.
type Changed struct {
	Table, Field, Value []byte
}

// GlanceDecision reads the decision of an Entry or a PreIssue, for a tenth of what reading the item costs. It
// overwrites d, whose memory it uses again. It says no of whatever is not as our books write it.
func GlanceDecision(value []byte, d *Decided) bool {
	const decision = 1
	*d = Decided{Changes: d.Changes[:0]}
	found := false
	for rest := value; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return false
		}
		if number != decision {
			m := protowire.ConsumeFieldValue(number, kind, rest[n:])
			if m < 0 {
				return false
			}
			rest = rest[n+m:]
			continue
		}
		body, m := protowire.ConsumeBytes(rest[n:])
		if m < 0 || kind != protowire.BytesType || found || !eachField(body, d.take) {
			return false
		}
		found, rest = true, rest[n+m:]
	}
	return found
}

func (d *Decided) take(f field) bool {
	const offset, outcome, reason, changes = 1, 2, 3, 4
	if (f.kind == protowire.BytesType) != (f.number == changes) {
		return false
	}
	switch int(f.number) {
	case offset:
		d.Offset = int64(f.numeral) //nolint:gosec // as Protobuf reads it
	case outcome:
		d.Outcome = Outcome(f.numeral) //nolint:gosec // as Protobuf reads it
	case reason:
		d.Reason = Reason(f.numeral) //nolint:gosec // as Protobuf reads it
	case changes:
		var c Changed
		if !eachField(f.bytes, c.take) {
			return false
		}
		d.Changes = append(d.Changes, c)
	default:
		return false
	}
	return true
}

func (c *Changed) take(f field) bool {
	const table, name, value = 1, 2, 3
	if f.kind != protowire.BytesType {
		return false
	}
	switch int(f.number) {
	case table:
		c.Table = f.bytes
	case name:
		c.Field = f.bytes
	case value:
		c.Value = f.bytes
	default:
		return false
	}
	return true
}
