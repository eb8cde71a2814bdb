package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settingsTopic is the help on all settings.
func settingsTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString(`Settings are said by flags, by variables, and by keys of a YAML file that --config or
AVAL_CONFIG names; they count in this order. A list has commas between, and in the file
may be one of YAML's. What is secret is no flag: others could see it. A name that nobody knows is an error.

  # aval.yaml
  kafka: [broker1:9093, broker2:9093]
  kafka-tls: true
  kafka-sasl: scram-sha-512
  kafka-user: aval
  kafka-password-file: /run/secrets/kafka

`)
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  SETTING\tVARIABLE\tDEFAULT\tIS")
	for _, s := range settingsTable() {
		def, help := s.explained()
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", s.name, s.variable(), def, help)
	}
	_ = table.Flush() // it writes into memory
	return &cobra.Command{Use: "settings", Short: "What can be set, and how", Long: text.String()}
}

// explained says what the setting is, and is by default.
func (s setting) explained() (def, help string) {
	def, help = s.def, s.help
	if s.kind == kindStages {
		def = "all"
	}
	if len(s.one) > 0 {
		help += ": " + oneOf(s.one)
	}
	if s.secret() {
		help += "; no flag"
	}
	return def, help
}

// guide makes the help and the messages of all commands alike.
func guide(root *cobra.Command) {
	root.SetFlagErrorFunc(flagFault)
	root.SetUsageFunc(printUsage)
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			each(child)
		}
		if c.HasSubCommands() && !c.Runnable() {
			c.Args = knownCommand
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		c.Args = taught(c.Args)
	}
	each(root)
}

// taught says of arguments that are wrong what is wrong with them, and where to learn what they are.
func taught(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		err := check(c, args)
		if _, said := errors.AsType[*codeError](err); err == nil || said {
			return err
		}
		if none := cobra.NoArgs(c, args); none != nil && none.Error() == err.Error() {
			err = fmt.Errorf("%s takes flags alone, and is given %q", c.CommandPath(), args[0])
		}
		return usage("%w; see %s --help", err, c.CommandPath())
	}
}

// absentFlags names the flags that the command cannot do without.
func absentFlags(c *cobra.Command) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if len(f.Annotations[cobra.BashCompOneRequiredFlag]) > 0 && !f.Changed {
			names = append(names, "--"+f.Name)
		}
	})
	if len(names) == 0 {
		return nil
	}
	return usage("%s: %s is missing; see %s --help", c.CommandPath(), strings.Join(names, ", "), c.CommandPath())
}

// knownCommand names the command that is likely meant by one that is none.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, child := range c.Commands() {
		if child.IsAvailableCommand() {
			names = append(names, child.Name())
		}
	}
	near := didYouMean(args[0], names)
	if near == "" {
		near = "; there are " + strings.Join(names, ", ")
	}
	return usage("%s has no command %s%s", c.CommandPath(), args[0], near)
}

// flagFault names the flag that is likely meant by one that the command does not have.
func flagFault(c *cobra.Command, err error) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if unknown, ok := unknownFlag(err); ok {
		for _, s := range settingsTable() {
			if s.secret() && "--"+s.name == unknown {
				return fmt.Errorf("%s is no flag, since others could see it: set %s, or %s-file",
					unknown, s.variable(), unknown)
			}
		}
		return fmt.Errorf("%s has no flag %s%s", c.CommandPath(), unknown, didYouMean(unknown, names))
	}
	return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
}

// unknownFlag returns the flag that the command does not have.
func unknownFlag(err error) (name string, ok bool) {
	absent, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || absent.GetSpecifiedShortnames() != "" {
		return "", false
	}
	return "--" + absent.GetSpecifiedName(), true
}

// printUsage prints a command's flags by what they are about.
func printUsage(c *cobra.Command) error {
	w := c.OutOrStderr()
	part := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text != "" {
			_, _ = fmt.Fprintf(w, "\n%s:\n%s\n", title, text)
		}
	}
	_, _ = fmt.Fprintln(w, "Usage:")
	if c.Runnable() && !c.HasAvailableSubCommands() {
		_, _ = fmt.Fprintln(w, "  "+c.UseLine())
	}
	if c.HasAvailableSubCommands() {
		_, _ = fmt.Fprintln(w, "  "+c.CommandPath()+" COMMAND")
	}
	part("Examples", c.Example)
	part("Commands", listCommands(c, (*cobra.Command).IsAvailableCommand))
	part("More help", listCommands(c, (*cobra.Command).IsAdditionalHelpTopicCommand))
	about := map[string]*pflag.FlagSet{}
	for _, title := range flagTitles() {
		about[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
		about[title].SortFlags = title == flagsOwn
	}
	c.Flags().VisitAll(func(f *pflag.Flag) { about[flagTitle(f)].AddFlag(f) })
	settings := false
	for _, title := range flagTitles() {
		part(title, about[title].FlagUsages())
		settings = settings || title != flagsOwn && about[title].HasAvailableFlags()
	}
	return printFooter(c, w, settings)
}

func printFooter(c *cobra.Command, w io.Writer, settings bool) (err error) {
	if c.HasAvailableSubCommands() {
		_, err = fmt.Fprintf(w, "\n%s COMMAND --help tells more of one.\n", c.CommandPath())
	}
	if settings {
		_, err = fmt.Fprintln(w, "\nEach setting is a variable and a key of a file, too: aval help settings.")
	}
	return err
}

func listCommands(c *cobra.Command, which func(*cobra.Command) bool) string {
	var text strings.Builder
	for _, child := range c.Commands() {
		if which(child) {
			_, _ = fmt.Fprintf(&text, "  %-*s %s\n", c.NamePadding(), child.Name(), child.Short)
		}
	}
	return text.String()
}

// What flags are about.
const (
	flagsOwn      = "Flags"
	flagsServers  = "Settings"
	flagsSecurity = "Settings of secured servers"
)

func flagTitles() []string { return []string{flagsOwn, flagsServers, flagsSecurity} }

func flagTitle(f *pflag.Flag) string {
	of, ok := f.Annotations[groupAnnotation]
	switch {
	case !ok:
		return flagsOwn
	case of[0] == string(groupSecurity):
		return flagsSecurity
	}
	return flagsServers
}
