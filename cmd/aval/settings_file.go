package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// settingsFile is the file of settings: YAML, with the flags' names as keys. It is a koanf.Parser that keeps each
// value as it was written, which a password of digits needs, and where it stands.
type settingsFile struct {
	path  string
	lines map[string]int
	errs  []error
}

// settingsFileMax is the largest file that can be one of settings.
const settingsFileMax = 1 << 20 // bytes

// readSettingsFile returns the file's text.
func readSettingsFile(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	defer file.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(file, settingsFileMax+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	if len(text) > settingsFileMax {
		return nil, fmt.Errorf("%s has more than %d bytes: it is no file of settings", path, settingsFileMax)
	}
	return text, nil
}

// Unmarshal implements koanf.Parser. What is wrong with the file it keeps, so that all else can be looked at.
func (f *settingsFile) Unmarshal(text []byte) (map[string]any, error) {
	found := map[string]any{}
	f.lines = map[string]int{}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			f.errs = append(f.errs, fmt.Errorf("%s is no YAML: %s", f.path, withoutText(err)))
		}
		return found, nil
	}
	root := document.Content[0]
	if isNull(root) {
		return found, nil
	}
	if root.Kind != yaml.MappingNode {
		f.fault(root, "must be keys and values such as `kafka: localhost:9092`")
		return found, nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		f.entry(found, root.Content[i], root.Content[i+1])
	}
	return found, nil
}

// Marshal implements koanf.Parser.
func (*settingsFile) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("settings are not written")
}

func (f *settingsFile) entry(found map[string]any, key, value *yaml.Node) {
	name := key.Value
	if _, ok := settingOf(name); !ok {
		f.fault(key, fmt.Sprintf("there is no setting %q%s", name, didYouMean(name, settingNames())))
		return
	}
	if line, ok := f.lines[name]; ok {
		f.fault(key, fmt.Sprintf("%s stands in line %d already", name, line))
		return
	}
	f.lines[name] = key.Line
	switch text, ok := nodeText(value); {
	case !ok:
		f.fault(value, name+" must be a value, or a list of values")
	case text != "":
		found[name] = text
	}
}

func (f *settingsFile) fault(at *yaml.Node, what string) {
	f.errs = append(f.errs, fmt.Errorf("%s:%d: %s", f.path, at.Line, what))
}

// nodeText is what stands there: a value, or values with commas between.
func nodeText(node *yaml.Node) (string, bool) {
	switch {
	case node.Kind == yaml.AliasNode:
		return nodeText(node.Alias)
	case isNull(node):
		return "", true
	case node.Kind == yaml.ScalarNode:
		return node.Value, true
	case node.Kind != yaml.SequenceNode:
		return "", false
	}
	var parts []string
	for _, part := range node.Content {
		if part.Kind != yaml.ScalarNode || isNull(part) {
			return "", false
		}
		parts = append(parts, part.Value)
	}
	return strings.Join(parts, ","), true
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// withoutText is what the parser complains about without the piece of the file that it may quote: it could be of a
// password.
func withoutText(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := strings.IndexByte(text, '`'); at >= 0 {
		text = strings.TrimSpace(text[:at])
	}
	return text
}
