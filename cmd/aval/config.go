package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline/access"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the settings and where they come from, and check them",
		Long: `Show the settings and where they come from, and check them. Each setting is a flag, a variable such as
AVAL_KAFKA_TLS_CA, and a key of the YAML file that --config or AVAL_CONFIG names; they count in this order, and what
nobody sets has a default. A name that nobody knows is an error. ` + "`aval help settings`" + ` lists them all.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(configPrintCommand(), configCheckCommand())
	return c
}

func configPrintCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "print",
		Short: "Show each setting and where it comes from, without secrets",
		Long: `Show each setting and where it comes from: a flag, a variable, a line of the file, or the default.
Passwords are shown as ***.`,
		Example: `  aval config print
  aval config print --config aval.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(flags.printTo(c.OutOrStdout(), format))
		},
	}
	flags.register(c, groupNew, groupSign, groupDev, groupRun, groupTrace, groupWebhookKeys)
	format.register(c)
	return c
}

// settingRow is a setting as it is shown.
type settingRow struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	From     string `json:"from"`
	Variable string `json:"variable"`
	Secret   bool   `json:"secret,omitempty"`
}

func (s *settings) printTo(w io.Writer, format output) error {
	p := newPrinter(w, format,
		column[settingRow]{"setting", func(r settingRow) string { return r.Name }},
		column[settingRow]{"value", func(r settingRow) string { return r.Value }},
		column[settingRow]{"from", func(r settingRow) string { return r.From }},
	)
	for _, setting := range append([]setting{{name: configFlag}}, settingsTable()...) {
		row := settingRow{
			Name: setting.name, Value: s.texts[setting.name], From: s.sources[setting.name].String(),
			Variable: setting.variable(), Secret: setting.secret(),
		}
		switch {
		case row.Secret:
			row.Value = access.Secret(row.Value).String()
		case setting.name == configFlag:
			row.Value = s.config
		case setting.kind == kindTruth:
			row.Value = strconv.FormatBool(row.Value == "true")
		}
		if err := p.print(row); err != nil {
			return err
		}
	}
	return p.close()
}

func configCheckCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "check",
		Short: "Find everything that is wrong with the settings",
		Long: `Find everything that is wrong with the settings, at once: names that nobody knows, values that are none,
files that cannot be read, settings that contradict each other. It asks no server: ` + "`aval topics check`" + ` does.

Exit codes: 0 the settings are right, 2 they are not.`,
		Example: `  aval config check --config aval.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(flags.checkTo(c.OutOrStdout(), c.ErrOrStderr(), format))
		},
	}
	flags.lenient = true
	flags.register(c, groupNew, groupSign, groupDev, groupRun, groupTrace, groupWebhookKeys)
	format.register(c)
	return c
}

// finding is something that is wrong with the settings, or just unwise.
type finding struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

func (f *serverFlags) checkTo(stdout, stderr io.Writer, format output) error {
	faults := f.faults
	if _, err := f.signer(); err != nil {
		faults = append(faults, err)
	}
	faults = append(faults, append(f.webhookFaults(), f.timingFaults()...)...)
	p := newPrinter(stdout, format,
		column[finding]{"level", func(f finding) string { return f.Level }},
		column[finding]{"message", func(f finding) string { return f.Message }},
	)
	for _, fault := range faults {
		if err := p.print(finding{"error", fault.Error()}); err != nil {
			return err
		}
	}
	for _, warning := range f.unwise() {
		if err := p.print(finding{"warning", warning}); err != nil {
			return err
		}
	}
	if err := p.close(); err != nil {
		return err
	}
	switch {
	case len(faults) == 1:
		return usage("the settings have a fault")
	case len(faults) > 1:
		return usage("the settings have %d faults", len(faults))
	case format.String() == string(outputTable):
		_, _ = fmt.Fprintln(stderr, "the settings are right")
	}
	return nil
}

// unwise is what works, and should not be.
func (f *serverFlags) unwise() (warnings []string) {
	v := f.values
	plainly := func(server string, password, tls bool, addresses []string) {
		if password && !tls && !thisMachine(addresses) {
			warnings = append(warnings, fmt.Sprintf("the password of %s goes over the network for everybody to read: "+
				"set %s-tls", server, server))
		}
	}
	plainly("kafka", v.KafkaSASL == access.Plain, v.KafkaTLS, v.Kafka)
	plainly("redis", v.RedisPassword != "", v.RedisTLS, v.Redis)
	for _, setting := range settingsTable() {
		at := f.sources[setting.name]
		if !setting.secret() || at.file == "" {
			continue
		}
		if info, err := os.Stat(at.file); err == nil && info.Mode().Perm()&0o044 != 0 {
			warnings = append(warnings, fmt.Sprintf("%s holds a password, and others than its owner can read it: "+
				"chmod 600 %s, or name a file with %s-file", at, at.file, setting.name))
		}
	}
	return warnings
}

// thisMachine says whether all addresses are of this machine.
func thisMachine(addresses []string) bool {
	for _, address := range addresses {
		host, _, _ := net.SplitHostPort(address)
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
