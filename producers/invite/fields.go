package invite

import "strings"

// fields takes a row of CSV apart, as Python's csv module does: a quote that does not begin a field is text, and so
// is what follows a closing quote, up to the next comma. The row has no line end but in quotes.
func fields(row string, into []string) []string {
	into = into[:0]
	for {
		if !strings.HasPrefix(row, `"`) {
			field, rest, more := strings.Cut(row, ",")
			into = append(into, field)
			if row = rest; !more {
				return into
			}
			continue
		}
		field, rest, more := quoted(row[1:])
		into = append(into, field)
		if row = rest; !more {
			return into
		}
	}
}

// quoted reads a field after its first quote.
func quoted(row string) (field, rest string, more bool) {
	var b strings.Builder
	for {
		text, after, _ := strings.Cut(row, `"`)
		b.WriteString(text)
		switch {
		case strings.HasPrefix(after, `"`):
			b.WriteByte('"')
			row = after[1:]
		case after == "":
			return b.String(), "", false
		case after[0] == ',':
			return b.String(), after[1:], true
		default: // what follows a closing quote is text, and may hold quotes
			text, rest, more = strings.Cut(after, ",")
			b.WriteString(text)
			return b.String(), rest, more
		}
	}
}
