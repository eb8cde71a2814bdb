package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/producers/demo"
)

// directoryExample is what a directory begins with.
const directoryExample = `# The directory of participants: which banks there are, and with which keys
# they sign. See aval directory --help.
participants:
  # A bank that receives: its sellers' accounts begin with {{.Receiving}}/.
  - bank: {{.Receiving}}
    name: Receiving Bank
  # A bank that issues: its buyers' accounts begin with {{.Issuing}}/.
  - bank: {{.Issuing}}
    name: Issuing Bank
    # Whose buyers it answers for: e-mail addresses, telephone numbers, "@domain" for all addresses of one.
    contacts: ["@issuing-bank.example"]
    # Its keys: a file that 'aval keys' made, or the public half of one. The last key signs.
    jwks: {{.Keys}}
# Who is told by webhook; everybody else reads the inbox.
# parties:
#   - id: shop
#     webhook_url: https://shop.example/aval
#     webhook_key_id: shop-1
`

func directoryInitCommand() *cobra.Command {
	var keys, receiving, issuing, out string
	c := &cobra.Command{
		Use:   "init --keys FILE",
		Short: "Write an example of a directory, to begin with",
		Long: `Write an example of a directory, to begin with: a bank that receives and one that issues, with the keys
of a file. Nothing is published.`,
		Example: `  aval directory init --keys keys.json --out directory.yaml
  aval directory init --keys issuing.jwks --issuing-bank PAGABRRJ --receiving-bank AVALBRSP > directory.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if keys == "" {
				return usage("--keys is missing: name the issuing bank's keys; aval keys generate makes some")
			}
			words := map[string]string{"Receiving": receiving, "Issuing": issuing, "Keys": keys}
			return failed(initDirectory(words, out, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&keys, "keys", "", "the issuing bank's keys: a JWK set, private or public")
	c.Flags().StringVar(&receiving, "receiving-bank", demo.ReceivingBank, "identifier of the bank that receives: a BIC")
	c.Flags().StringVar(&issuing, "issuing-bank", demo.IssuingBank, "identifier of the bank that issues: a BIC")
	c.Flags().StringVar(&out, "out", "", "write it into this file, which must not be there (default: standard output)")
	return c
}

func initDirectory(words map[string]string, out string, stdout, stderr io.Writer) error {
	keys := words["Keys"]
	file, err := os.Open(keys) //nolint:gosec // the path is the user's own
	if err != nil {
		return usage("%w; aval keys generate makes a file", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if _, err := certificate.ReadPublicSet(file); err != nil {
		return usage("%s: %w", keys, err)
	}
	if out != "" && !filepath.IsAbs(keys) { // names are those that the file's folder knows
		folder, err := filepath.Abs(filepath.Dir(out))
		if err != nil {
			return fmt.Errorf("find folder of %s: %w", out, err)
		}
		if keys, err = filepath.Abs(keys); err != nil {
			return fmt.Errorf("find %s: %w", words["Keys"], err)
		}
		if words["Keys"], err = filepath.Rel(folder, keys); err != nil {
			words["Keys"] = keys
		}
	}
	for name, word := range words {
		words[name] = yamlText(word)
	}
	var text strings.Builder
	if err := template.Must(template.New("directory").Parse(directoryExample)).Execute(&text, words); err != nil {
		return fmt.Errorf("write directory: %w", err)
	}
	if out == "" {
		_, err := io.WriteString(stdout, text.String())
		return err
	}
	if err := makeFile(out, modePublic, []byte(text.String())); err != nil {
		return err
	}
	next(stderr, "look at %s; then aval directory publish %s", quoted(out), quoted(out))
	return nil
}

// yamlText is a text as YAML has it.
func yamlText(text string) string {
	if quoted(text) == text && !strings.ContainsAny(text[:1], "%,-@=") && !strings.Contains(text, ":") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
