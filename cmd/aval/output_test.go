package main

import (
	"strings"
	"testing"
)

func TestPrinter(t *testing.T) {
	t.Parallel()
	type item struct {
		Name string `json:"name"`
		City string `json:"city"`
	}
	two := []item{{"ana", "recife"}, {"bo\x1b[31m\nb", ""}}
	for name, test := range map[string]struct {
		format output
		items  []item
		want   string
	}{
		"table":       {"", two, "NAME       CITY\nana        recife\nbo?[31m?b  \n"},
		"empty table": {outputTable, nil, ""},
		"json": {
			outputJSON, two,
			`[{"name":"ana","city":"recife"},` + "\n" + ` {"name":"bo\u001b[31m\nb","city":""}]` + "\n",
		},
		"empty json":   {outputJSON, nil, "[]\n"},
		"ndjson":       {outputNDJSON, two[:1], "{\"name\":\"ana\",\"city\":\"recife\"}\n"},
		"empty ndjson": {outputNDJSON, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			p := newPrinter(&got, test.format,
				column[item]{"name", func(i item) string { return i.Name }},
				column[item]{"city", func(i item) string { return i.City }})
			for _, i := range test.items {
				if err := p.print(i); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want {
				t.Errorf("printed\n%q, want\n%q", got.String(), test.want)
			}
		})
	}
}

func TestPrintOne(t *testing.T) {
	t.Parallel()
	type item struct {
		Name string `json:"name"`
	}
	for format, want := range map[output]string{
		outputTable: "NAME\nana\n", outputJSON: "{\"name\":\"ana\"}\n", outputNDJSON: "{\"name\":\"ana\"}\n",
	} {
		var got strings.Builder
		err := printOne(&got, format, item{"ana"}, column[item]{"name", func(i item) string { return i.Name }})
		if err != nil || got.String() != want {
			t.Errorf("printed %q as %s (%v), want %q", got.String(), format, err, want)
		}
	}
}
