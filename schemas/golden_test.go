package schemas_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/aval-systems/aval/schemas"
)

const golden = "testdata/golden/v1"

// TestGolden reads and writes bytes as they stood when they were first written. A golden file is never
// changed: a message that has grown gets another example, with a name of its own.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, body := range examples() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			headers, value, err := schemas.Encode(message(body))
			if err != nil {
				t.Fatalf("Encode: %v", err)
			}
			if got, want := string(value), goldenFile(t, name+".bin", string(value)); got != want {
				t.Errorf("value is %x, want %x", got, want)
			}
			text := headerText(headers)
			if want := goldenFile(t, name+".headers", text); text != want {
				t.Errorf("headers are %q, want %q", text, want)
			}
		})
	}
}

// TestGoldenDecodes reads every golden file there is, also those that no example writes any more.
func TestGoldenDecodes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(golden + "/*.bin")
	if err != nil || len(files) < len(examples()) {
		t.Fatalf("%d golden files, %v; run: go test ./schemas -update", len(files), err)
	}
	all := examples()
	for _, file := range files {
		value, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		headers, err := os.ReadFile(strings.TrimSuffix(file, ".bin") + ".headers")
		if err != nil {
			t.Fatal(err)
		}
		m, err := schemas.Decode(parseHeaders(string(headers)), value)
		if err != nil {
			t.Errorf("Decode(%s): %v", file, err)
			continue
		}
		view, err := schemas.DecodeView(parseHeaders(string(headers)), value)
		if err != nil || !proto.Equal(view.Body, m.Body) || view.Attributes != m.Attributes {
			t.Errorf("DecodeView(%s) = %v, %v, want %v", file, view, err, m)
		}
		want, ok := all[strings.TrimSuffix(filepath.Base(file), ".bin")]
		if !ok {
			continue
		}
		if !proto.Equal(m.Body, want) || m.Attributes != message(nil).Attributes {
			t.Errorf("Decode(%s) = %v, want %v", file, m, want)
		}
	}
}

// TestExamplesSetEveryField keeps the golden files complete: a new field asks for a new one.
func TestExamplesSetEveryField(t *testing.T) {
	t.Parallel()
	missing := map[protoreflect.FullName]bool{}
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		if d := mt.Descriptor(); d.FullName().Parent() == "aval.v1" {
			for i := range d.Fields().Len() {
				missing[d.Fields().Get(i).FullName()] = true
			}
		}
		return true
	})
	if len(missing) < 100 {
		t.Fatalf("only %d fields found", len(missing))
	}
	for _, body := range examples() {
		visit(body.ProtoReflect(), func(f protoreflect.FieldDescriptor) { delete(missing, f.FullName()) })
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no example sets %s", name)
	}
}

func visit(m protoreflect.Message, see func(protoreflect.FieldDescriptor)) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		see(f)
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				visit(v.List().Get(i).Message(), see)
			}
		case f.Message() != nil:
			visit(v.Message(), see)
		}
		return true
	})
}

// goldenFile returns what the file holds; where there is none, -update makes it.
func goldenFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(golden, name)
	want, err := os.ReadFile(file)
	if os.IsNotExist(err) && flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err != nil {
		t.Fatalf("%v; run: go test ./schemas -update", err)
	}
	return string(want)
}

func headerText(headers []schemas.Header) string {
	var b strings.Builder
	for _, h := range headers {
		b.WriteString(h.Key + ": " + string(h.Value) + "\n")
	}
	return b.String()
}

func parseHeaders(text string) []schemas.Header {
	var headers []schemas.Header
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		headers = append(headers, schemas.Header{Key: key, Value: []byte(value)})
	}
	return headers
}
