package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/notice"
)

func noticeKeysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make the keys that sign webhooks",
		Long: `Make the keys that sign webhooks. They stand in a file that only its owner can read, one a line: an id, a
space, a key. "aval run --webhook-keys FILE" signs with them, and reads the file again when it changes. The directory
names for each party its webhook_url and, as webhook_key_id, the id of its key; the key itself it hands over by a safe
way.

A symmetric key (whsec_) is known to both sides: give every party its own. Of an asymmetric one (whsk_) the party gets
the public half (whpk_), which is no secret.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(noticeKeysGenerateCommand(), noticeKeysListCommand())
	return c
}

func noticeKeysGenerateCommand() *cobra.Command {
	var id string
	var asymmetric, add bool
	c := &cobra.Command{
		Use:   "generate FILE --id ID",
		Short: "Add a new key to a file, which is made if it is not there",
		Long: `Add a new key to a file, which is made if it is not there. The key is not printed; of an asymmetric one
the public half is.

To change a party's key, give it a second one with --add: both sign until the line of the former is taken out.`,
		Example: `  aval notice keys generate webhook-keys --id shop-2026
  aval notice keys generate webhook-keys --id bank-2026 --asymmetric`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(addWebhookKey(args[0], id, asymmetric, add, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&id, "id", "", "the key's id, by which the directory names it")
	c.Flags().BoolVar(&asymmetric, "asymmetric", false, "make an Ed25519 key, whose public half checks")
	c.Flags().BoolVar(&add, "add", false, "add it to the keys of an id that has one")
	required(c, "id")
	return c
}

func noticeKeysListCommand() *cobra.Command {
	var format output
	c := &cobra.Command{
		Use:     "list FILE",
		Short:   "List the keys of a file",
		Long:    `List the keys of a file: their ids, their kinds, and of asymmetric ones the public halves.`,
		Example: `  aval notice keys list webhook-keys -o json`,
		Args:    oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(listWebhookKeys(args[0], format, c.OutOrStdout()))
		},
	}
	format.register(c)
	return c
}

// webhookKey is a key as it is listed.
type webhookKey struct {
	KeyID  string `json:"key_id"`
	Kind   string `json:"kind"`
	Public string `json:"public_key,omitempty"`
}

func listWebhookKeys(path string, format output, stdout io.Writer) error {
	keys, err := notice.ReadKeys(path)
	if err != nil {
		return usage("%w", err)
	}
	p := newPrinter(stdout, format,
		column[webhookKey]{"key id", func(k webhookKey) string { return k.KeyID }},
		column[webhookKey]{"kind", func(k webhookKey) string { return k.Kind }},
		column[webhookKey]{"public key", func(k webhookKey) string { return k.Public }},
	)
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		for _, key := range keys[id] {
			if err := p.print(webhookKey{KeyID: id, Kind: key.String(), Public: key.Public()}); err != nil {
				return err
			}
		}
	}
	return p.close()
}

// addWebhookKey adds a line to the file. The file is replaced as a whole: who reads it meanwhile sees one or the other.
func addWebhookKey(path, id string, asymmetric, add bool, stdout, stderr io.Writer) error {
	if err := notice.CheckKeyID(id); err != nil {
		return usage("--id: %w", err)
	}
	before, err := os.ReadFile(path) //nolint:gosec // the path is the user's own
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return usage("%w", err)
	}
	keys, err := notice.LoadKeys(bytes.NewReader(before))
	if err != nil {
		return usage("%s: %w", path, err)
	}
	if len(keys[id]) > 0 && !add {
		return usage("%s has a key of %s: give --add, and both sign", path, id)
	}
	key, text := notice.GenerateKey(asymmetric)
	after := before
	if len(after) > 0 && after[len(after)-1] != '\n' {
		after = append(after, '\n')
	}
	after = fmt.Appendf(after, "%s %s\n", id, text)
	if _, err := notice.LoadKeys(bytes.NewReader(after)); err != nil {
		return usage("%s: %w", path, err)
	}
	if isNew {
		err = makeFile(path, modePrivate, after)
	} else {
		err = replaceFile(path, modePrivate, after)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, cmp.Or(key.Public(), id))
	next(stderr, "name it in the directory: parties: [{id: PARTY, webhook_url: https://…, webhook_key_id: %s}]; "+
		"then aval run --webhook-keys %s", id, quoted(path))
	return err
}
