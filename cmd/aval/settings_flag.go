package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// settingFlag is a setting's flag. It keeps what it is given; settings.load looks at it together with all others.
type settingFlag struct {
	owner   *settings
	setting setting
	text    string
	given   bool
}

// groupAnnotation marks flags that are settings with their group.
const groupAnnotation = "aval_group"

// register gives a command the settings of these groups.
func (s *settings) register(c *cobra.Command, groups ...group) {
	s.groups = groups
	c.Flags().String(configFlag, "", "file of settings, YAML with the flags' names as keys")
	_ = c.MarkFlagFilename(configFlag, "yaml", "yml")
	_ = c.Flags().SetAnnotation(configFlag, groupAnnotation, []string{string(groupServers)})
	for _, setting := range settingsTable() {
		if !slices.Contains(groups, setting.group) || setting.secret() {
			continue
		}
		value := &settingFlag{owner: s, setting: setting, text: s.defaultOf(setting)}
		flag := c.Flags().VarPF(value, setting.name, "", setting.help)
		flag.Annotations = map[string][]string{groupAnnotation: {string(setting.group)}}
		if setting.kind == kindTruth {
			flag.NoOptDefVal = "true"
		}
		if complete := setting.completion(); complete != nil {
			_ = c.RegisterFlagCompletionFunc(setting.name, complete)
		}
	}
}

// Set implements pflag.Value. Lists grow when they are given again.
func (f *settingFlag) Set(text string) error {
	if f.given && f.setting.list() {
		text = f.text + "," + text
	}
	f.text, f.given = text, true
	return nil
}

// String implements pflag.Value.
func (f *settingFlag) String() string { return f.text }

// Type implements pflag.Value.
func (f *settingFlag) Type() string { return string(f.setting.kind) }

// completion is what a shell offers for the value, nil for files.
func (s setting) completion() cobra.CompletionFunc {
	switch s.kind {
	case kindFile:
		return nil
	case kindChoice:
		return cobra.FixedCompletions(s.one, cobra.ShellCompDirectiveNoFileComp)
	case kindStages:
		return completeList(stageNames())
	case kindText, kindSecret, kindTruth, kindNumber, kindDuration, kindAddresses, kindListen, kindNamespace, kindURL:
	}
	return cobra.NoFileCompletions
}

// completeList offers the words that a list with commas between does not name yet.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		named := split(typed)
		before := ""
		if at := len(typed) - len(named[len(named)-1]); at > 0 {
			before = typed[:at]
		}
		var offered []string
		for _, word := range words {
			if strings.HasPrefix(word, named[len(named)-1]) && !slices.Contains(named[:len(named)-1], word) {
				offered = append(offered, before+word)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}
