package book

import "strings"

// Difference is something in Redis that the journal does not say.
type Difference struct {
	Book  string `json:"book"`
	Shard int    `json:"shard"`
	// Key is the row: its table and its field, or "header".
	Key string `json:"key"`
	// Field is what differs of the row, RowField where that is the row itself.
	Field   string `json:"field"`
	Redis   string `json:"redis"`   // empty where it is missing
	Journal string `json:"journal"` // empty where the journal has none
}

// WholeRow is the field of a difference of a row that one side does not have, or that has not the form of its table.
const WholeRow = "row"

// Column is a part of a row, with its name.
type Column struct{ Name, Value string }

// Columns gives the parts of a row their names; nil where there is not one for each.
func Columns(names, parts []string) []Column {
	if len(names) != len(parts) {
		return nil
	}
	columns := make([]Column, len(parts))
	for i, name := range names {
		columns[i] = Column{Name: name, Value: parts[i]}
	}
	return columns
}

// Describer is a book that knows the names of what its rows hold.
type Describer interface {
	// Columns takes a row of a table apart, in the order in which it stands there. Nil where it has another form.
	Columns(table, row string) []Column
}

// columnsOf takes a row of any table of a book apart.
func columnsOf(b Book, table, row string) []Column {
	if table == "seen0" || table == "seen1" {
		digest, reason, _ := strings.Cut(row, " ")
		return []Column{{"digest", digest}, {"reason", reason}}
	}
	if d, ok := b.(Describer); ok {
		return d.Columns(table, row)
	}
	return nil
}

// differences tells two forms of a row apart; nil is none.
func differences(b Book, table, field string, redis, journal *string) []Difference {
	d := Difference{Book: b.Name(), Key: table + " " + field, Field: WholeRow}
	if table == "clock" {
		d.Key, d.Field = table, field
	}
	if redis != nil {
		d.Redis = *redis
	}
	if journal != nil {
		d.Journal = *journal
	}
	if redis == nil || journal == nil {
		return []Difference{d}
	}
	left, right := columnsOf(b, table, *redis), columnsOf(b, table, *journal)
	if len(left) != len(right) {
		return []Difference{d}
	}
	var all []Difference
	for i := range right { // the journal's names: what stands in Redis may be of another kind
		if left[i].Value != right[i].Value {
			d.Field, d.Redis, d.Journal = right[i].Name, left[i].Value, right[i].Value
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return []Difference{d}
	}
	return all
}
