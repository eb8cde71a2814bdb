package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

func directoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "directory",
		Short: "Show and publish the directory of participants",
		Long: `Show and publish the directory of participants: which banks there are, for whom they answer, with which
keys they sign, and who is told by webhook. Each publication is a version, kept for ever: an invitation is decided with
the version that it was sent with, whatever is published later.

The directory is a file in YAML or JSON:

  participants:
    - bank: AVALBRSPISS                      # a BIC of 8 or 11 characters
      name: Issuing Bank
      contacts: ["@issuing-bank.example"]    # addresses, telephone numbers, "@domain" for all addresses of one
      jwks: keys.json                        # the bank's keys, private or public: the last one signs
      keys:                                  # or the public keys themselves
        - {id: k1, ed25519: base64 of 32 bytes}
      signing_key_id: k1                     # if another than the last one signs
  parties:
    - {id: shop, webhook_url: https://shop.example/aval, webhook_key_id: shop-1}

A bank without keys receives and issues nothing.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(directoryInitCommand(), directoryCheckCommand(), directoryPublishCommand(), directoryShowCommand())
	return c
}

func directoryShowCommand() *cobra.Command {
	var flags serverFlags
	var format output
	var version uint64
	c := &cobra.Command{
		Use:   "show",
		Short: "Show a version of the directory",
		Long: `Show a version of the directory: the latest one, unless another is named. What -o json prints can be
changed and published again.`,
		Example: `  aval directory show
  aval directory show --version 3 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(showDirectory(c.Context(), &flags, version, format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	c.Flags().Uint64Var(&version, "version", 0, "which version (default: the latest)")
	return c
}

// directoryVersion is a version that was published.
type directoryVersion struct {
	number uint64
	id     string // of the message
	time   time.Time
	body   *schemas.Directory
}

// directoryVersions reads all versions that can be read, in their order.
func directoryVersions(ctx context.Context, log pipeline.Log) ([]directoryVersion, error) {
	var versions []directoryVersion
	first, end, err := log.Bounds(ctx, schemas.TopicDirectory, 0)
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	err = log.Read(ctx, schemas.TopicDirectory, 0, first, end, func(records []pipeline.Record) error {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if body, ok := in.Body.(*schemas.Directory); ok && err == nil {
				versions = append(versions, directoryVersion{
					number: uint64(r.Offset) + 1, id: in.ID, time: in.Time, body: body, //nolint:gosec // an offset
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read directory: %w", err)
	}
	return versions, nil
}

func showDirectory(
	ctx context.Context, flags *serverFlags, number uint64, format output, stdout, stderr io.Writer,
) error {
	s, err := connect(ctx, flags.place(), flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // it was only read
	versions, err := directoryVersions(ctx, s.kafka)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return refused("no directory was published yet: aval directory init writes an example, " +
			"aval directory publish publishes it")
	}
	v := versions[len(versions)-1]
	if number != 0 {
		latest := v.number
		for _, v = range versions {
			if v.number == number {
				break
			}
		}
		if v.number != number {
			return refused("the directory has no version %d; the latest is %d", number, latest)
		}
	}
	return v.print(stdout, format)
}

func (v directoryVersion) print(w io.Writer, format output) error {
	if output(format.String()) != outputTable {
		return v.printJSON(w, format)
	}
	published := v.time.UTC().Format(time.RFC3339)
	if _, err := fmt.Fprintf(w, "version %d, published %s\n\n", v.number, published); err != nil {
		return err
	}
	p := newPrinter(w, format,
		column[*schemas.Participant]{"bank", (*schemas.Participant).GetBank},
		column[*schemas.Participant]{"name", (*schemas.Participant).GetName},
		column[*schemas.Participant]{"contacts", func(p *schemas.Participant) string {
			return shortList(p.GetContacts())
		}},
		column[*schemas.Participant]{"keys", func(p *schemas.Participant) string {
			return strconv.Itoa(len(p.GetKeys()))
		}},
		column[*schemas.Participant]{"signs with", func(p *schemas.Participant) string {
			if p.GetSigningKeyId() == "" {
				return "- (receives only)"
			}
			return p.GetSigningKeyId()
		}},
	)
	for _, participant := range v.body.GetParticipants() {
		if err := p.print(participant); err != nil {
			return err
		}
	}
	if err := p.close(); err != nil || len(v.body.GetParties()) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	parties := newPrinter(w, format,
		column[*schemas.Party]{"party", (*schemas.Party).GetId},
		column[*schemas.Party]{"webhook", (*schemas.Party).GetWebhookUrl},
		column[*schemas.Party]{"webhook key", (*schemas.Party).GetWebhookKeyId},
	)
	for _, party := range v.body.GetParties() {
		if err := parties.print(party); err != nil {
			return err
		}
	}
	return parties.close()
}

// shortList names the first ones of a list, and how many more there are.
func shortList(items []string) string {
	const shown = 3
	if len(items) <= shown {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:shown], ", "), len(items)-shown)
}

// printJSON prints the directory as a file of it may be, with its version before it.
func (v directoryVersion) printJSON(w io.Writer, format output) error {
	body, err := schemas.ToJSON(v.body)
	if err != nil {
		return err
	}
	head, err := json.Marshal(struct {
		Version   uint64 `json:"version"`
		Published string `json:"published"`
	}{v.number, v.time.UTC().Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("print directory: %w", err)
	}
	text := append(head[:len(head)-1], ',')
	text = append(text, body[1:]...)
	return printDocument(w, format, text)
}
