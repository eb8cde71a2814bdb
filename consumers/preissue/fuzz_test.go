package preissue_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// FuzzPlan gives Plan what nobody would: what it lets through must be what the script can take.
func FuzzPlan(f *testing.F) {
	asks := []ask{
		{verb: "offer"},
		{verb: "offer", change: confirmed},
		{verb: "request"},
		{verb: "request", by: "mallory"},
		{verb: "request", account: receiving},
		{verb: "decline"},
		{verb: "withdraw"},
		{verb: "lapse"},
		{verb: "lapse", due: 5},
		{verb: "lapse", due: never},
		{verb: "tick", keep: 5},
	}
	for _, a := range asks {
		body, err := proto.Marshal(a.request())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	safe := []*regexp.Regexp{
		regexp.MustCompile(`^(offer|request|decline|withdraw|lapse|tick)$`), regexp.MustCompile(`^i$`),
		regexp.MustCompile(`^1$`), regexp.MustCompile(`^([0-9a-f]{32})?$`),
		regexp.MustCompile(`^[0-9A-Za-z._:-]{1,64}$`), regexp.MustCompile(`^[0-9a-f]{48}$`),
		regexp.MustCompile(`^(buyer|seller|account-prefilled|account-bank|early)?$`),
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := &schemas.IssuanceRequest{}
		if proto.Unmarshal(body, r) != nil {
			return
		}
		in := pipeline.In{Attributes: schemas.Attributes{ID: "i", Time: time.UnixMilli(1)}, Body: r}
		fields, err := preissue.Book{}.Plan(in)
		if err != nil {
			return
		}
		if len(fields) > book.Width(preissue.Book{}) {
			t.Fatalf("Plan() = %q, too wide", fields)
		}
		for i, field := range fields {
			if !safe[i].MatchString(field) {
				t.Errorf("Plan() = %q, field %d is not safe", fields, i)
			}
		}
		again, err := preissue.Book{}.Plan(in)
		if err != nil || !slices.Equal(fields, again) {
			t.Errorf("Plan() = %q, then %q %v", fields, again, err)
		}
	})
}
