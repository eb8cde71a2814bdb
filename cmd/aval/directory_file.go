package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/schemas"
)

// directoryBytesMax bounds a file of the directory: what is larger fits into no record.
const directoryBytesMax = 1 << 20

// directoryFile reads a directory of participants out of YAML, of which JSON is a part. It goes on after a fault, to
// find every one.
type directoryFile struct {
	path   string
	lines  map[string]int // of each field that was read
	faults []error
}

// readDirectoryFile reads a directory, and says all that is wrong with it.
func readDirectoryFile(path string, stdin io.Reader) (*schemas.Directory, error) {
	in, err := openIn(path, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(in, directoryBytesMax+1))
	if err != nil {
		return nil, usage("%s: %w", path, err)
	}
	if len(text) > directoryBytesMax {
		return nil, refused("%s has more than %d bytes, which no record holds", path, directoryBytesMax)
	}
	f := &directoryFile{path: path, lines: map[string]int{}}
	d := f.directory(text)
	if len(f.faults) > 0 {
		return nil, refused("%w", errors.Join(f.faults...))
	}
	return d, nil
}

// refused is an error about input that is invalid or unknown, or that a book has refused.
func refused(format string, args ...any) error {
	return &codeError{code: exitInvalid, err: fmt.Errorf(format, args...)}
}

func (f *directoryFile) fault(line int, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%s:%d: %w", f.path, line, fmt.Errorf(format, args...)))
}

func (f *directoryFile) directory(text []byte) *schemas.Directory {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		f.fault(1, "it is empty; `aval directory init` makes an example")
		return nil
	case err != nil:
		f.faults = append(f.faults, fmt.Errorf("%s: %w", f.path, err))
		return nil
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		f.fault(more.Line, "something stands behind the directory")
	}
	d := &schemas.Directory{}
	root := document.Content[0]
	if root.Kind == yaml.MappingNode {
		root.Content = withoutMembers(root.Content, "version", "published") // which `directory show` tells
	}
	f.message(root, d.ProtoReflect(), "")
	if len(f.faults) > 0 {
		return nil
	}
	for _, fault := range schemas.FaultsOf(schemas.Validate(d)) {
		f.fault(f.line(fault.Field), "%w", fault)
	}
	return d
}

// withoutMembers leaves members out of a mapping's content, which has names and values by turns.
func withoutMembers(content []*yaml.Node, names ...string) []*yaml.Node {
	var kept []*yaml.Node
	for i := 0; i+1 < len(content); i += 2 {
		if !slices.Contains(names, content[i].Value) {
			kept = append(kept, content[i], content[i+1])
		}
	}
	return kept
}

// line is where a field stands, or what it is part of.
func (f *directoryFile) line(field string) int {
	for {
		if line, ok := f.lines[field]; ok {
			return line
		}
		end := strings.LastIndexAny(field, ".[")
		if end < 0 {
			return 1
		}
		field = field[:end]
	}
}

// message reads a mapping's members as the fields of a message.
func (f *directoryFile) message(node *yaml.Node, m protoreflect.Message, path string) {
	if node.Kind != yaml.MappingNode {
		f.fault(node.Line, "%s is no mapping of names to values", shownPath(path))
		return
	}
	f.lines[strings.TrimSuffix(path, ".")] = node.Line
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		field := m.Descriptor().Fields().ByName(protoreflect.Name(name.Value))
		switch participant, is := m.Interface().(*schemas.Participant); {
		case seen[name.Value]:
			f.fault(name.Line, "%s stands twice", path+name.Value)
		case is && name.Value == "jwks":
			f.jwks(value, participant)
		case field == nil:
			f.fault(name.Line, "%s is no field%s", path+name.Value, didYouMean(name.Value, fieldNames(m)))
		default:
			f.lines[path+name.Value] = name.Line
			f.field(value, m, field, path+name.Value)
		}
		seen[name.Value] = true
	}
}

func fieldNames(m protoreflect.Message) []string {
	var names []string
	for i := range m.Descriptor().Fields().Len() {
		names = append(names, string(m.Descriptor().Fields().Get(i).Name()))
	}
	return names
}

func shownPath(path string) string {
	if path == "" {
		return "the file"
	}
	return strings.TrimSuffix(path, ".")
}

func (f *directoryFile) field(node *yaml.Node, m protoreflect.Message, d protoreflect.FieldDescriptor, path string) {
	if node.Tag == "!!null" {
		return
	}
	if !d.IsList() {
		if value, ok := f.value(node, d, m.NewField(d), path); ok {
			m.Set(d, value)
		}
		return
	}
	if node.Kind != yaml.SequenceNode {
		f.fault(node.Line, "%s is no list", path)
		return
	}
	list := m.Mutable(d).List()
	for i, item := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		f.lines[at] = item.Line
		if value, ok := f.value(item, d, list.NewElement(), at); ok {
			list.Append(value)
		}
	}
}

// value reads a message, a text or bytes: a directory has nothing else. Whatever stands where a text belongs is taken
// as it is written: +5511999 is no number.
func (f *directoryFile) value(
	node *yaml.Node, d protoreflect.FieldDescriptor, empty protoreflect.Value, path string,
) (value protoreflect.Value, ok bool) {
	if d.Message() != nil {
		f.message(node, empty.Message(), path+".")
		return empty, true
	}
	if node.Kind != yaml.ScalarNode {
		f.fault(node.Line, "%s is no text", path)
		return empty, false
	}
	if d.Kind() != protoreflect.BytesKind {
		return protoreflect.ValueOfString(node.Value), true
	}
	raw, err := base64.StdEncoding.DecodeString(node.Value)
	if err != nil {
		raw, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(node.Value, "="))
	}
	if err != nil {
		f.fault(node.Line, "%s is no base64", path)
		return empty, false
	}
	return protoreflect.ValueOfBytes(raw), true
}

// jwks adds the keys of a JWK set that stands in a file beside: the last one signs, unless another is said to.
func (f *directoryFile) jwks(node *yaml.Node, p *schemas.Participant) {
	path := node.Value
	if f.path != "-" && !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(f.path), path)
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		f.fault(node.Line, "jwks: %w", err)
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	keys, err := certificate.ReadPublicSet(file)
	if err != nil {
		f.fault(node.Line, "jwks: %s: %w", path, err)
		return
	}
	for _, key := range keys {
		same := func(k *schemas.PublicKey) bool { return proto.Equal(k, key) }
		if !slices.ContainsFunc(p.GetKeys(), same) {
			p.Keys = append(p.Keys, key)
		}
	}
	if p.GetSigningKeyId() == "" {
		p.SigningKeyId = keys[len(keys)-1].GetId()
	}
}
