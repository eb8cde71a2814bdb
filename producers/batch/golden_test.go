package batch_test

// golden is what Python's csv.DictReader(newline="") reads of these texts: order_id, seller_id,
// buyer_id, amount and currency of each record, a missing one as "".
type golden struct {
	text string
	want [][5]string
}

const header = "order_id,seller_id,buyer_id,amount,currency\n"

func goldens() map[string]golden {
	return map[string]golden{
		"plain rows": {
			text: header + "1,2,3,4,5\n6,7,8,9,10\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
				{"6", "7", "8", "9", "10"},
			},
		},
		"no line end at the end": {
			text: header + "1,2,3,4,5",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"line ends of three kinds": {
			text: "order_id,seller_id,buyer_id,amount,currency\r\n1,2,3,4,5\r6,7,8,9,10\r\n11,12,13,14,15\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
				{"6", "7", "8", "9", "10"},
				{"11", "12", "13", "14", "15"},
			},
		},
		"blank lines": {
			text: header + "\n\r\n\r1,2,3,4,5\n\n\n6,7,8,9,10\n\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
				{"6", "7", "8", "9", "10"},
			},
		},
		"a line of spaces is a record": {
			text: header + "  \n1,2,3,4,5\n",
			want: [][5]string{
				{"  ", "", "", "", ""},
				{"1", "2", "3", "4", "5"},
			},
		},
		"a line of two quotes is a record": {
			text: header + "\"\"\n",
			want: [][5]string{
				{"", "", "", "", ""},
			},
		},
		"commas, quotes and line ends in quotes": {
			text: header + "\"a,b\",\"c\"\"d\",\"e\r\nf\",\"g\rh\",\"i\nj\"\n",
			want: [][5]string{
				{"a,b", "c\"d", "e\r\nf", "g\rh", "i\nj"},
			},
		},
		"a quote in the middle of a field": {
			text: header + "a\"b,c\"\"d,\"e\"f,\"g\"h\"i, \"j\"\n",
			want: [][5]string{
				{"a\"b", "c\"\"d", "ef", "gh\"i", " \"j\""},
			},
		},
		"text after a closing quote holds quotes": {
			text: header + "\"a\"b\"c,\"d\" ,\"e\"\"f\"g,\"h\"\",i\"\n,k\n",
			want: [][5]string{
				{"ab\"c", "d ", "e\"fg", "h\",i", ""},
				{"", "k", "", "", ""},
			},
		},
		"a doubled quote and nothing": {
			text: header + "\"\"\"\",\"\"\"\"\"\",\"\"x,\"\"\"x\",\"x\"\"\"\n",
			want: [][5]string{
				{"\"", "\"\"", "x", "\"x", "x\""},
			},
		},
		"a field of line ends": {
			text: header + "\"\n\",\"\r\",\"\r\n\",\"\n\r\",\"\r\r\n\"\n",
			want: [][5]string{
				{"\n", "\r", "\r\n", "\n\r", "\r\r\n"},
			},
		},
		"missing trailing fields": {
			text: header + "1,2\n1,2,3,4\n",
			want: [][5]string{
				{"1", "2", "", "", ""},
				{"1", "2", "3", "4", ""},
			},
		},
		"extra fields": {
			text: header + "1,2,3,4,5,6,7\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"a trailing comma": {
			text: header + "1,2,3,4,5,\n,,,,\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
				{"", "", "", "", ""},
			},
		},
		"spaces stay": {
			text: header + " 1 ,2\t,\u00a03,4 , 5\n",
			want: [][5]string{
				{" 1 ", "2\t", "\u00a03", "4 ", " 5"},
			},
		},
		"other line separators are text": {
			text: header + "a\u2028b,c\u0085d,e\x0bf,g\x0ch,i\x1cj\n",
			want: [][5]string{
				{"a\u2028b", "c\u0085d", "e\x0bf", "g\x0ch", "i\x1cj"},
			},
		},
		"zero bytes": {
			text: header + "a\x00b,2,3,4,5\n",
			want: [][5]string{
				{"a\x00b", "2", "3", "4", "5"},
			},
		},
		"columns in another order": {
			text: "currency,x,amount,buyer_id,seller_id,order_id\nBRL,y,1.00,b,s,o\n",
			want: [][5]string{
				{"o", "s", "b", "1.00", "BRL"},
			},
		},
		"a header in quotes": {
			text: "\"order_id\",\"seller_id\",buyer_id,\"amount\",currency\n1,2,3,4,5\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"other columns stand twice": {
			text: "order_id,x,seller_id,buyer_id,amount,currency,x\n1,y,2,3,4,5,z\n",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"a quoted field ends the file": {
			text: header + "1,2,3,4,\"5\"",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"a carriage return ends the file": {
			text: header + "1,2,3,4,5\r",
			want: [][5]string{
				{"1", "2", "3", "4", "5"},
			},
		},
		"non-ASCII": {
			text: header + "Müller,店,\"Ñ,ü\",٣,€\n",
			want: [][5]string{
				{"Müller", "店", "Ñ,ü", "٣", "€"},
			},
		},
	}
}
