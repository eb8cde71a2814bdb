package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	variablePrefix = "AVAL_"
	// testPrefix begins variables that are the tests' own.
	testPrefix = "AVAL_TEST_"
	// configFlag names the file of settings, as does its variable.
	configFlag     = "config"
	configVariable = variablePrefix + "CONFIG"
	// koanfDelimiter is between names of settings within settings, of which there are none.
	koanfDelimiter = "."
)

// source is where a setting was set: by a flag, in a variable, in a line of the file, or nowhere.
type source struct {
	flag     string
	variable string
	file     string
	line     int
}

// String says where a value comes from.
func (s source) String() string {
	switch {
	case s.flag != "":
		return "--" + s.flag
	case s.variable != "":
		return s.variable
	case s.file != "":
		return s.file + ":" + strconv.Itoa(s.line)
	}
	return "default"
}

// label is how messages name a setting: as whoever set it did.
func (s source) label(name string) string {
	switch {
	case s.file != "":
		return s.String() + ": " + name
	case s == source{}:
		return name
	}
	return s.String()
}

// settings are what a command may be told, and was.
type settings struct {
	values values

	lenient bool    // faults are kept, for the command to tell
	faults  []error // what is wrong with the settings

	config   string // the file, empty: none
	groups   []group
	defaults map[string]string // other ones than the table's
	texts    map[string]string // in the form that values are read from
	sources  map[string]source

	kafkaTLS, redisTLS *tls.Config // nil: without
}

// settingsOf finds the settings of a command, nil if it has none.
func settingsOf(c *cobra.Command) *settings {
	var found *settings
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if v, ok := f.Value.(*settingFlag); ok {
			found = v.owner
		}
	})
	return found
}

// loadSettings is what a command begins with.
func loadSettings(c *cobra.Command, environ []string) error {
	s := settingsOf(c)
	if s == nil {
		return nil
	}
	s.faults = s.load(c.Flags(), environ)
	if len(s.faults) > 0 && !s.lenient {
		return usage("%w", errors.Join(s.faults...))
	}
	return nil
}

// load sets the values: by flag, else by variable, else by the file, else by default. It goes on after a fault, to
// find every one.
func (s *settings) load(flags *pflag.FlagSet, environ []string) []error {
	k, errs := s.merge(flags, environ)
	s.texts = map[string]string{}
	final := map[string]any{}
	for _, setting := range settingsTable() {
		setting.def = s.defaultOf(setting)
		text := setting.def
		if slices.Contains(s.groups, setting.group) {
			parsed, err := setting.parse(k.String(setting.name))
			if err == nil {
				text = parsed
			} else {
				errs = append(errs, s.fault(setting, k.String(setting.name), err))
			}
		}
		s.texts[setting.name], final[setting.name] = text, setting.value(text)
	}
	err := errors.Join(k.Load(confmap.Provider(final, koanfDelimiter), nil), k.Unmarshal("", &s.values))
	if err != nil {
		return append(errs, fmt.Errorf("read settings: %w", err))
	}
	return append(errs, s.settle()...)
}

func (s *settings) defaultOf(setting setting) string {
	if def, ok := s.defaults[setting.name]; ok {
		return def
	}
	return setting.def
}

// fault says what is wrong with a value, and where it was set. That of a secret is shown to nobody.
func (s *settings) fault(setting setting, text string, err error) error {
	label := s.sources[setting.name].label(setting.name)
	if setting.secret() || text == "" || setting.kind == kindAddresses || setting.kind == kindListen {
		return fmt.Errorf("%s: %w", label, err)
	}
	return fmt.Errorf("%s %s: %w", label, withoutPassword(text), err)
}

// merge lays the layers over each other, and keeps where each setting comes from.
func (s *settings) merge(flags *pflag.FlagSet, environ []string) (*koanf.Koanf, []error) {
	k := koanf.New(koanfDelimiter)
	s.sources = map[string]source{}
	defaults := map[string]any{}
	for _, setting := range settingsTable() {
		defaults[setting.name] = s.defaultOf(setting)
	}
	errs := s.layer(k, confmap.Provider(defaults, koanfDelimiter), nil, func(string) source { return source{} })
	if path, named := configFile(flags, environ); path != "" {
		s.config, s.sources[configFlag] = path, named
		file := &settingsFile{path: path}
		text, err := readSettingsFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", named, err))
		}
		errs = append(errs, s.layer(k, rawbytes.Provider(text), file, func(name string) source {
			return source{file: path, line: file.lines[name]}
		})...)
		errs = append(errs, file.errs...)
	}
	errs = append(errs, unknownVariables(environ)...)
	variables := env.Provider(koanfDelimiter, env.Opt{
		Prefix: variablePrefix, EnvironFunc: func() []string { return environ }, TransformFunc: fromVariable,
	})
	errs = append(errs, s.layer(k, variables, nil, func(name string) source {
		return source{variable: setting{name: name}.variable()}
	})...)
	given := posflag.ProviderWithFlag(flags, koanfDelimiter, nil, fromFlag)
	return k, append(errs, s.layer(k, given, nil, func(name string) source { return source{flag: name} })...)
}

// layer lays one over what is there.
func (s *settings) layer(
	k *koanf.Koanf, provider koanf.Provider, parser koanf.Parser, from func(name string) source,
) []error {
	own := koanf.New(koanfDelimiter)
	if err := errors.Join(own.Load(provider, parser), k.Merge(own)); err != nil {
		return []error{fmt.Errorf("read settings: %w", err)}
	}
	for _, name := range own.Keys() {
		s.sources[name] = from(name)
	}
	return nil
}

// configFile is the file of settings, and who names it.
func configFile(flags *pflag.FlagSet, environ []string) (path string, named source) {
	if f := flags.Lookup(configFlag); f != nil && f.Changed {
		return f.Value.String(), source{flag: configFlag}
	}
	return lookup(environ, configVariable), source{variable: configVariable}
}

// lookup returns a variable's value, empty if there is none.
func lookup(environ []string, variable string) string {
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); name == variable {
			return value
		}
	}
	return ""
}

// fromVariable names the setting of a variable. One that is empty sets nothing.
func fromVariable(variable, value string) (string, any) {
	for _, s := range settingsTable() {
		if s.variable() == variable && value != "" {
			return s.name, value
		}
	}
	return "", nil
}

// fromFlag names the setting of a flag.
func fromFlag(f *pflag.Flag) (string, any) {
	if v, ok := f.Value.(*settingFlag); ok {
		return v.setting.name, v.text
	}
	return "", nil
}

// unknownVariables finds those that look like settings and are none: a slip would else go unnoticed.
func unknownVariables(environ []string) []error {
	known := map[string]bool{configVariable: true}
	for _, s := range settingsTable() {
		known[s.variable()] = true
	}
	var errs []error
	for _, pair := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, variablePrefix) || strings.HasPrefix(name, testPrefix) || known[name] ||
			serviceLink(name, value) {
			continue
		}
		errs = append(errs, fmt.Errorf("there is no setting %s%s", name,
			didYouMean(name, slices.Sorted(maps.Keys(known)))))
	}
	return errs
}

// serviceLink says whether Kubernetes set the variable, which it does for every service beside a container: one named
// aval, or aval-and-more, makes a number of them.
func serviceLink(name, value string) bool {
	return regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?$`).
		MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// settingNames are the names of all settings.
func settingNames() []string {
	var names []string
	for _, s := range settingsTable() {
		names = append(names, s.name)
	}
	return names
}
