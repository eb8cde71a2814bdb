package invite_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/producers/invite"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", invite.RowMax+1)
	tests := map[string]struct {
		text string
		csv  bool
		want []invite.Row
		stop int // the line of the fault that ends the reading
	}{
		"nothing":   {},
		"a mark":    {text: "\xef\xbb\xbf", csv: true},
		"line ends": {text: "\n\r\n\n\r", csv: true},
		"three ends": {text: "\xef\xbb\xbfa\nb\r\nc\rd", csv: true, want: []invite.Row{
			{Line: 1, Text: "a"}, {Line: 2, Text: "b"}, {Line: 3, Text: "c"}, {Line: 4, Text: "d", Last: true},
		}},
		"blank lines": {text: "\n\n\r\na\n\nb\n", csv: true, want: []invite.Row{
			{Line: 4, Text: "a"}, {Line: 6, Text: "b"},
		}},
		"quoted line ends": {text: "\"a\r\nb\rc\n\"\r\nd,\"e\n\"\nf", csv: true, want: []invite.Row{
			{Line: 1, Text: "\"a\r\nb\rc\n\""}, {Line: 5, Text: "d,\"e\n\""}, {Line: 7, Text: "f", Last: true},
		}},
		"quotes that are text": {text: "a\"b\nc \"\nd\n", csv: true, want: []invite.Row{
			{Line: 1, Text: "a\"b"}, {Line: 2, Text: "c \""}, {Line: 3, Text: "d"},
		}},
		"an open quote": {
			text: "a\nb,\"c\n\",\"d\ne\nf\n", csv: true, stop: 3,
			want: []invite.Row{{Line: 1, Text: "a"}},
		},
		"an open quote that is long": {
			text: "a\n\"\n" + long + "\n", csv: true, stop: 2,
			want: []invite.Row{{Line: 1, Text: "a"}},
		},
		"a long row": {text: "a\n" + long + long + "\r\nb\n", csv: true, want: []invite.Row{
			{Line: 1, Text: "a"}, {Line: 2, TooLong: true}, {Line: 3, Text: "b"},
		}},
		"a long row with quotes": {text: "a\n" + long + ",\"\"\nb\n", csv: true, want: []invite.Row{
			{Line: 1, Text: "a"}, {Line: 2, TooLong: true}, {Line: 3, Text: "b"},
		}},
		"the longest row": {text: long[1:] + "\nb\n", csv: true, want: []invite.Row{
			{Line: 1, Text: long[1:]}, {Line: 2, Text: "b"},
		}},
		"a long last row": {text: long, csv: true, want: []invite.Row{{Line: 1, TooLong: true}}},
		"lines of JSON": {text: "{\"a\":\"\\\"\"}\r\n\n{\n\"b\"\n", want: []invite.Row{
			{Line: 1, Text: "{\"a\":\"\\\"\"}\r"}, {Line: 3, Text: "{"}, {Line: 4, Text: "\"b\""},
		}},
		"a long line of JSON": {text: "\"" + long + "\n{}", want: []invite.Row{
			{Line: 1, TooLong: true}, {Line: 2, Text: "{}", Last: true},
		}},
	}
	for name, test := range tests {
		for way, in := range map[string]io.Reader{
			"at once":        strings.NewReader(test.text),
			"byte by byte":   iotest.OneByteReader(strings.NewReader(test.text)),
			"with its end":   iotest.DataErrReader(strings.NewReader(test.text)),
			"in odd lengths": &oddReader{text: test.text},
		} {
			if way == "byte by byte" && len(test.text) > invite.RowMax {
				continue // it takes long, and says nothing that the odd lengths do not
			}
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				rows, ends, err := invite.Split(in, test.csv)
				var stop *invite.StopError
				if errors.As(err, &stop) != (test.stop > 0) || err != nil && stop == nil ||
					stop != nil && stop.Line != test.stop {
					t.Errorf("it ended with %v, want a stop at line %d", err, test.stop)
				}
				if !slices.Equal(rows, test.want) {
					t.Errorf("rows %.200v, want %.200v", rows, test.want)
				}
				for i, end := range ends {
					same, rest, err := invite.SkipTo(strings.NewReader(test.text), test.csv, end)
					if !same || !slices.Equal(rest, test.want[i+1:]) {
						t.Errorf("after row %d there is %.200v (%v, %v)", i, rest, same, err)
					}
				}
			})
		}
	}
}

// oddReader reads in lengths that fit nothing.
type oddReader struct {
	text string
	n    int
}

// Read implements io.Reader.
func (r *oddReader) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	r.n = (r.n*7 + 3) % 4099
	n := copy(p[:min(len(p), r.n+1)], r.text)
	r.text = r.text[n:]
	return n, nil
}

func TestSkipTo(t *testing.T) {
	t.Parallel()
	text := "a,b\n1,2\n3,4\n"
	_, ends, err := invite.Split(strings.NewReader(text), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text string
		same bool
	}{
		"the same":       {text, true},
		"more after it":  {text + "5,6\n", true},
		"another byte":   {"a,b\n1,3\n3,4\n", false},
		"a line more":    {"a,b\n0,0\n1,2\n3,4\n", false},
		"a line less":    {"a,b\n3,4\n", false},
		"cut before it":  {"a,b\n1", false},
		"nothing":        {"", false},
		"its first rows": {"a,b\n1,2\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			same, _, err := invite.SkipTo(strings.NewReader(test.text), true, ends[1])
			if same != test.same || err != nil {
				t.Errorf("%q is the same: %v, %v; want %v", test.text, same, err, test.same)
			}
		})
	}
}

func TestReadFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	rows, _, err := invite.Split(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), true)
	if !errors.Is(err, broken) || len(rows) != 1 {
		t.Errorf("read %v and then %v: what is not known to be whole is no row", rows, err)
	}
}

const orders = "order_id,seller_id,buyer_id,amount,currency\n"

// FuzzSplit looks for texts that are read otherwise than by the reader of orders, which reads as Python does.
func FuzzSplit(f *testing.F) {
	for _, text := range []string{
		"1,2,3,4,5\n6,7,8,9,10\r11", "a\"b,c\"\"d,\"e\"f,\"g\"h\"i, \"j\"\n", "\"\n\",\"\r\",\"\r\n\"\n",
		"\"a,b\"\"\",c\n",
		"\"\"\n", ",,,,\n", "\"x", "a,\"b\r\n", "\xff\n", "\r\r\n\n\"\r\r\n\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, _, err := invite.Split(iotest.HalfReader(strings.NewReader(orders+text)), true)
		in, fault := batch.NewReader("f", strings.NewReader(orders+text))
		if fault != nil {
			t.Fatal(fault)
		}
		for i := 1; ; i++ {
			want, fault := in.Next()
			switch {
			case errors.Is(fault, io.EOF):
				if err != nil || i != len(rows) {
					t.Fatalf("%q: %d rows and %v, want %d", text, len(rows), err, i)
				}
				return
			case fault != nil: // it stops where a row is not UTF-8, or has no end
				return
			case i >= len(rows):
				t.Fatalf("%q: %d rows and %v, want more", text, len(rows), err)
			}
			got := append(invite.Fields(rows[i].Text), "", "", "", "")
			if !slices.Equal(got[:5], []string{want.OrderID, want.SellerID, want.BuyerID, want.Amount, want.Currency}) {
				t.Fatalf("%q: row %d is %q, want %+v", text, i, got, want)
			}
		}
	})
}
