package schemas_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aval-systems/aval/schemas"
)

// What is generated writes what Protobuf's own library writes, and reads it back.
func TestMarshalIsProtobufs(t *testing.T) {
	t.Parallel()
	for name, body := range examples() {
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := schemas.Marshal(body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: Marshal = %x, %v, want %x", name, got, err, want)
		}
		read := body.ProtoReflect().New().Interface()
		if err := schemas.Unmarshal(want, read); err != nil || !proto.Equal(read, body) {
			t.Errorf("%s: Unmarshal = %v, %v, want %v", name, read, err, body)
		}
		view := body.ProtoReflect().New().Interface()
		if err := schemas.UnmarshalView(want, view); err != nil || !proto.Equal(view, body) {
			t.Errorf("%s: UnmarshalView = %v, %v, want %v", name, view, err, body)
		}
	}
}

// FuzzUnmarshal compares the two readers on any bytes: what ours takes, Protobuf's own library understands likewise.
func FuzzUnmarshal(f *testing.F) {
	for _, body := range examples() {
		if value, err := proto.Marshal(body); err == nil {
			f.Add(value)
		}
	}
	kinds := examples()
	f.Fuzz(func(t *testing.T, value []byte) {
		for name, body := range kinds {
			ours, theirs := body.ProtoReflect().New().Interface(), body.ProtoReflect().New().Interface()
			err := schemas.Unmarshal(value, ours)
			view := body.ProtoReflect().New().Interface()
			viewed := schemas.UnmarshalView(value, view)
			if (viewed == nil) != (err == nil) || !proto.Equal(view, ours) {
				t.Errorf("%s: Unmarshal = %v, %v, UnmarshalView = %v, %v", name, ours, err, view, viewed)
			}
			if schemas.Validate(ours) != nil || err != nil {
				continue
			}
			if err := proto.Unmarshal(value, theirs); err != nil || !proto.Equal(ours, theirs) {
				t.Errorf("%s: Unmarshal = %v, Protobuf's library says %v, %v", name, ours, theirs, err)
			}
		}
	})
}

// No text of any message may be other than UTF-8: others could not read it.
func TestTextsAreUTF8(t *testing.T) {
	t.Parallel()
	texts := 0
	for name, body := range examples() {
		count := eachText(body.ProtoReflect(), func(path string, set func(string)) {
			set("\xff\xfe")
			headers, _, err := schemas.Encode(message(examples()[name]))
			if err != nil {
				t.Fatal(err)
			}
			value, err := schemas.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := schemas.Decode(headers, value); err == nil {
				t.Errorf("%s: Decode takes %s that is not UTF-8", name, path)
			}
		})
		texts += count
	}
	if texts < 100 {
		t.Errorf("%d texts were tried, want more", texts)
	}
}

// eachText visits each text that the message has or could have, and puts it back.
func eachText(m protoreflect.Message, visit func(path string, set func(string))) (count int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsList() && f.Message() != nil:
			for j := range m.Get(f).List().Len() {
				count += eachText(m.Get(f).List().Get(j).Message(), visit)
			}
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			for j := range m.Get(f).List().Len() {
				before := m.Get(f).List().Get(j)
				visit(string(f.FullName()), func(s string) { m.Get(f).List().Set(j, protoreflect.ValueOfString(s)) })
				m.Get(f).List().Set(j, before)
				count++
			}
		case f.Message() != nil && m.Has(f):
			count += eachText(m.Get(f).Message(), visit)
		case f.Kind() == protoreflect.StringKind && !f.IsList():
			before := proto.Clone(m.Interface()).ProtoReflect()
			visit(string(f.FullName()), func(s string) { m.Set(f, protoreflect.ValueOfString(s)) })
			restore(m, before)
			count++
		}
	}
	return count
}

func restore(m, before protoreflect.Message) {
	proto.Reset(m.Interface())
	proto.Merge(m.Interface(), before.Interface())
}
