package schemas_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/aval-systems/aval/schemas"
)

func TestDecodeTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		headers func([]schemas.Header) []schemas.Header
		value   func([]byte) []byte
		want    []string // parts of the error; none: it is read
	}{
		"nothing": {},
		"other headers, doubled too": {
			headers: add("traceparent", "00-1", "traceparent", "00-2", "aval-entry", "1"),
		},
		"an extension": {headers: add("ce_traceparent", "00-1")},
		"a field of a newer version": {
			value: func(v []byte) []byte { return append(v, 0xfa, 0x7f, 1, 'x') },
		},
		"no headers": {
			headers: func([]schemas.Header) []schemas.Header { return nil },
			want: []string{
				"ce_specversion is missing", "ce_id is missing", "ce_source is missing", "ce_type is missing",
				"ce_time is missing",
			},
		},
		"a doubled header": {
			headers: add("ce_id", "01J:a.b_c-d"), want: []string{`header "ce_id" stands twice`},
		},
		"a doubled extension": {
			headers: add("ce_x", "1", "ce_x", "1"), want: []string{`header "ce_x" stands twice`},
		},
		"a doubled content type": {
			headers: add("content-type", "application/protobuf"), want: []string{"stands twice"},
		},
		"another version": {headers: set("ce_specversion", "0.3"), want: []string{`"0.3", must be "1.0"`}},
		"another content": {
			headers: set("content-type", "application/json"), want: []string{"application/protobuf"},
		},
		"an empty id":   {headers: set("ce_id", ""), want: []string{"ce_id has no value"}},
		"an odd id":     {headers: set("ce_id", "a b"), want: []string{"header ce_id", "0-9 A-Z a-z"}},
		"a long id":     {headers: set("ce_id", strings.Repeat("a", 65)), want: []string{"has 65 bytes"}},
		"an odd cause":  {headers: set("ce_causationid", "é"), want: []string{"header ce_causationid"}},
		"an odd source": {headers: set("ce_source", "/aval/a b"), want: []string{"header ce_source"}},
		"a long source": {
			headers: set("ce_source", strings.Repeat("a", 257)), want: []string{"has 257 bytes"},
		},
		"no time": {headers: set("ce_time", "yesterday"), want: []string{`"yesterday"`, "RFC 3339"}},
		"a time without zone": {
			headers: set("ce_time", "2026-01-31T10:00:00"), want: []string{"RFC 3339"},
		},
		"a time before 1970": {headers: set("ce_time", "1969-12-31T23:59:59Z"), want: []string{"1970"}},
		"several": {
			headers: func(h []schemas.Header) []schemas.Header {
				return set("ce_time", "")(set("ce_id", "/")(h))
			},
			want: []string{"ce_id", "ce_time"},
		},
		"a type that is unknown": {
			headers: set("ce_type", "aval.v1.Presentation"),
			want:    []string{`"aval.v1.Presentation"`, "unknown"},
		},
		"a type without package": {headers: set("ce_type", "Invitation"), want: []string{"unknown"}},
		"a type without topic":   {headers: set("ce_type", "aval.v1.Terms"), want: []string{"unknown"}},
		"a type of somebody else": {
			headers: set("ce_type", "google.protobuf.Any"), want: []string{"unknown"},
		},
		"a long header": {
			headers: set("ce_id", strings.Repeat("a", 1025)), want: []string{"has 1025 bytes"},
		},
		"too many headers": {
			headers: func(h []schemas.Header) []schemas.Header {
				return append(h, make([]schemas.Header, 64)...)
			},
			want: []string{"has 71 headers"},
		},
		"a cut body": {
			value: func(v []byte) []byte { return v[:len(v)-1] }, want: []string{"is no aval.v1.Invitation"},
		},
		"text that is not UTF-8": {
			value: func(v []byte) []byte { return append(v, 0x22, 1, 0xff) },
			want:  []string{"seller", "UTF-8"},
		},
		"a body that is too large": {
			value: func([]byte) []byte { return make([]byte, schemas.InvitationMax+1) },
			want:  []string{"has 65537 bytes, at most 65536"},
		},
		"an empty body": {
			value: func([]byte) []byte { return nil },
			want: []string{
				"id is empty", "seller is empty", "reference is empty", "buyer is empty",
				"amount is missing",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers, value := encoded(t, message(confirmed()))
			if test.headers != nil {
				headers = test.headers(headers)
			}
			if test.value != nil {
				value = test.value(value)
			}
			got, err := schemas.Decode(headers, value)
			if test.want == nil {
				if err != nil || got.ID != message(nil).ID {
					t.Errorf("Decode: %v, %v, want no error", got, err)
				}
				return
			}
			if err == nil {
				t.Fatalf("Decode: no error, want %q", test.want)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Decode: %v, want %q in it", err, part)
				}
			}
		})
	}
}

func add(pairs ...string) func([]schemas.Header) []schemas.Header {
	return func(headers []schemas.Header) []schemas.Header {
		for pair := range slices.Chunk(pairs, 2) {
			headers = append(headers, schemas.Header{Key: pair[0], Value: []byte(pair[1])})
		}
		return headers
	}
}

func set(key, value string) func([]schemas.Header) []schemas.Header {
	return func(headers []schemas.Header) []schemas.Header {
		for i, h := range headers {
			if h.Key == key {
				headers[i].Value = []byte(value)
			}
		}
		return headers
	}
}

func encoded(t *testing.T, m schemas.Message) ([]schemas.Header, []byte) {
	t.Helper()
	headers, value, err := schemas.Encode(m)
	if err != nil {
		t.Fatalf("Encode(%v): %v", m, err)
	}
	return headers, value
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	var none *schemas.Invitation
	large := confirmed()
	large.ProtoReflect().SetUnknown(append([]byte{0xfa, 0x7f, 0x80, 0x80, 0x04}, make([]byte, 1<<16)...))
	for name, test := range map[string]struct {
		message schemas.Message
		want    []string
	}{
		"nothing": {
			schemas.Message{}, []string{"id is empty", "source is empty", "time is not", "body is missing"},
		},
		"a nil body": {
			schemas.Message{Attributes: message(nil).Attributes, Body: none}, []string{"body is missing"},
		},
		"a body that does not stand alone": {message(terms().GetAmount()), []string{"aval.v1.Money"}},
		"a body that is too large":         {message(large), []string{"at most 65536"}},
		"faults of both": {
			schemas.Message{Attributes: schemas.Attributes{ID: "1", Source: "/"}, Body: &schemas.Refusal{}},
			[]string{
				"time is not", "invitation_id is empty", "content_digest has 0 bytes",
				"reason is not set",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers, value, err := schemas.Encode(test.message)
			if err == nil || headers != nil || value != nil {
				t.Fatalf("Encode: %v, %v, %v", headers, value, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("Encode: %v, want %q in it", err, part)
				}
			}
		})
	}
}

func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	headers, value := encoded(t, message(confirmed()))
	newer := append(bytes.Clone(value), 0xfa, 0x7f, 1, 'x')
	m, err := schemas.Decode(headers, newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, again := encoded(t, m); !bytes.Equal(again, newer) {
		t.Errorf("written again it is %x, want %x", again, newer)
	}
}

// TestWhatFollowsFits takes the largest messages that can be read, and writes what quotes them.
func TestWhatFollowsFits(t *testing.T) {
	t.Parallel()
	const (
		text = schemas.TextMax
		rest = 8 << 10 // what has small bounds of its own, and what keeps fields apart
	)
	for what, size := range map[string]struct{ quoted, limit int }{
		"an invitation": {3*text + rest, schemas.InvitationMax},
		"a request":     {5*text + rest, schemas.IssuanceRequestMax},
		"a vouch":       {schemas.InvitationMax + text + rest, schemas.MovementMax},
		"a hold":        {schemas.IssuanceRequestMax + text + rest, schemas.MovementMax},
		"a JWS":         {(3*text*6 + rest) / 3 * 4, schemas.JWSMax},
		"a certificate": {schemas.IssuanceRequestMax + schemas.JWSMax + rest, schemas.BodyMax},
		"its notice": {
			schemas.IssuanceRequestMax + schemas.JWSMax + 2*text + rest, schemas.NoticeMax,
		},
		"a pre-issue's notice":     {schemas.IssuanceRequestMax + 10*text + rest, schemas.NoticeMax},
		"a receipt, or a retry":    {schemas.NoticeMax + rest, schemas.BodyMax},
		"a refusal":                {2*text + schemas.DetailMax + rest, schemas.BodyMax},
		"an item":                  {schemas.MovementMax + rest, schemas.ItemMax},
		"an original":              {schemas.OriginalMax + schemas.UnreadableMax + rest, schemas.ItemMax},
		"the largest record, kept": {1<<20 + rest, schemas.OriginalMax},
	} {
		if size.quoted > size.limit {
			t.Errorf("%s has up to %d bytes, which do not fit into %d", what, size.quoted, size.limit)
		}
	}
	for name, limit := range map[string]int{
		schemas.TopicInvitations: schemas.InvitationMax, schemas.TopicCertificates: schemas.BodyMax,
		schemas.TopicRefusals: schemas.BodyMax, schemas.TopicMovements: schemas.MovementMax,
		schemas.TopicIssuanceRequests: schemas.IssuanceRequestMax, schemas.TopicNotices: schemas.NoticeMax,
		schemas.TopicReceipts: schemas.BodyMax, schemas.TopicDirectory: schemas.BodyMax,
		schemas.TopicNoticeRetries: schemas.BodyMax,
		schemas.TopicEntries:       schemas.ItemMax, schemas.TopicPreIssues: schemas.ItemMax,
		schemas.TopicDeadLetters: schemas.ItemMax,
	} {
		const headers = schemas.HeadersMax * schemas.HeaderValueMax // of the envelope
		if topic, ok := schemas.TopicOf(name); !ok || topic.MaxMessageBytes < limit+headers {
			t.Errorf("%s takes %d bytes, bodies have up to %d", name, topic.MaxMessageBytes, limit)
		}
	}
	receipt := &schemas.Receipt{NoticeId: "n1", Notice: notice()}
	receipt.Notice.ProtoReflect().SetUnknown(append([]byte{0xfa, 0x7f, 0x80, 0x80, 0x40},
		make([]byte, 1<<20)...))
	if got := fields(schemas.Validate(receipt)); got != "notice" {
		t.Errorf("a receipt of a notice that cannot go on has faults %q, want notice", got)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	all := examples()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	id := rapid.StringMatching(`[0-9A-Za-z._:-]{1,64}`)
	text := rapid.StringN(1, -1, schemas.TextMax).Filter(func(s string) bool { return s != "" })
	rapid.Check(t, func(t *rapid.T) {
		body := proto.Clone(all[rapid.SampledFrom(names).Draw(t, "kind")])
		if i, ok := body.(*schemas.Invitation); ok {
			i.Seller, i.Buyer, i.Reference = text.Draw(t, "seller"), text.Draw(t, "buyer"),
				text.Draw(t, "reference")
			i.Amount.MinorUnits = rapid.Int64Range(1, schemas.AmountMax).Draw(t, "amount")
		}
		seconds := rapid.Int64Range(0, 253402300799).Draw(t, "seconds")
		m := schemas.Message{Body: body, Attributes: schemas.Attributes{
			ID: id.Draw(t, "id"), Source: "/aval/test",
			Cause: rapid.OneOf(id, rapid.Just("")).Draw(t, "cause"),
			Time:  time.Unix(seconds, rapid.Int64Range(0, 999999999).Draw(t, "nanos")).UTC(),
		}}
		headers, value, err := schemas.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := schemas.Decode(headers, value)
		if err != nil || got.Attributes != m.Attributes || !proto.Equal(got.Body, m.Body) {
			t.Fatalf("Decode = %v, %v, want %v", got, err, m)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, body := range examples() {
		headers, value, err := schemas.Encode(message(body))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(headers[3].Value, []byte("1"), []byte("2026-01-31T10:00:00Z"), value)
	}
	f.Add([]byte("aval.v1.Entry"), []byte("/"), []byte("0"), []byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, kind, id, at, value []byte) {
		m, err := schemas.Decode([]schemas.Header{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: id},
			{Key: "ce_time", Value: at},
			{Key: "ce_source", Value: []byte("/fuzz")},
			{Key: "ce_type", Value: kind},
		}, value)
		if err != nil {
			if len(err.Error()) > 64<<10 {
				t.Fatalf("the error has %d bytes", len(err.Error()))
			}
			return
		}
		headers, value := encoded(t, m)
		again, err := schemas.Decode(headers, value)
		if err != nil || again.Attributes != m.Attributes || !proto.Equal(again.Body, m.Body) {
			t.Fatalf("Decode of what Encode wrote: %v, %v, want %v", again, err, m)
		}
	})
}
