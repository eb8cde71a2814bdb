package schemas_test

import (
	"testing"

	"github.com/aval-systems/aval/schemas"
)

func BenchmarkEncode(b *testing.B) {
	m := message(examples()["entry"])
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := schemas.Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"invitation-account", "issuance-request-request", "entry", "certificate"} {
		b.Run(name, func(b *testing.B) {
			headers, value, err := schemas.Encode(message(examples()[name]))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := schemas.Decode(headers, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
