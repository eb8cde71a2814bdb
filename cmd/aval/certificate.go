package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/schemas"
)

func certificateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "certificate",
		Short: "Find, show, export and verify certificates",
		Args:  cobra.NoArgs,
	}
	show := showCommand("certificate", `  aval certificate show 9f86d081884c7d659a2feaa0c55ad015
  aval certificate show 9f86d081884c7d659a2feaa0c55ad015 --follow -o ndjson`)
	c.AddCommand(certificateListCommand(), show, certificateExportCommand(), certificateVerifyCommand())
	return c
}

func certificateExportCommand() *cobra.Command {
	var flags serverFlags
	var out, jwks string
	c := &cobra.Command{
		Use:   "export ID",
		Short: "Write a certificate as it was signed, for others to keep and verify",
		Long: `Write a certificate as it was signed: a compact JWS (RFC 7515, EdDSA) on a line. The ID is its own,
its invitation's or its hold's. With --jwks the issuing bank's public keys are written too, as the latest version of
the directory names them.`,
		Example: `  aval certificate export 9f86d081884c7d659a2feaa0c55ad015 --out certificate.jws --jwks bank.jwks
  aval certificate verify certificate.jws --keys bank.jwks`,
		Args: oneArgument("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(exportCertificate(c.Context(), &flags, args[0], out, jwks, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	c.Flags().StringVar(&out, "out", "", "write it into this file (default: standard output)")
	c.Flags().StringVar(&jwks, "jwks", "", "write the issuing bank's public keys into this file, a JWK set")
	return c
}

func exportCertificate(
	ctx context.Context, flags *serverFlags, id, out, jwks string, stdout, stderr io.Writer,
) error {
	s, err := connect(ctx, flags.place(), flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	story, err := s.story(ctx, id, 0)
	if err != nil {
		return err
	}
	issued, err := issuedOf(story)
	if err != nil {
		return err
	}
	keys, err := s.keysOf(ctx, issued.GetTerms().GetIssuingBank())
	if err != nil {
		return err
	}
	if _, err := certificate.Verify(issued.GetJws(), keys); err != nil {
		return fmt.Errorf("certificate %s does not verify with the keys of %s in the directory: %w", issued.GetId(),
			issued.GetTerms().GetIssuingBank(), err)
	}
	if err := writeOut(out, stdout, []byte(issued.GetJws()+"\n")); err != nil {
		return err
	}
	if jwks == "" {
		return nil
	}
	text, err := keys.JWKS()
	if err != nil {
		return err
	}
	if err := writeOut(jwks, stdout, text); err != nil {
		return err
	}
	if out != "" && out != "-" {
		next(stderr, "aval certificate verify %s --keys %s", quoted(out), quoted(jwks))
	}
	return nil
}

// issuedOf is the certificate of a story that has one.
func issuedOf(story register.Story) (*schemas.Certificate, error) {
	for _, f := range story.Certificates {
		x, _ := f.Body.(*schemas.Certificate)
		return x, nil
	}
	t := taleOf(story)
	why := t.State
	if t.Reason != "" && t.Reason != t.State {
		why += ", " + t.Reason
	}
	if story.State == register.StateIssued {
		why = "the log does not keep it any more"
	}
	return nil, refused("invitation %s has no certificate: %s; see aval invitation show", story.Invitation, why)
}

// keysOf are the public keys of a bank, as the latest version of the directory names them.
func (s *system) keysOf(ctx context.Context, bank string) (certificate.PublicKeys, error) {
	versions, err := directoryVersions(ctx, s.kafka)
	if err != nil {
		return nil, err
	}
	for _, p := range latestOf(versions).body.GetParticipants() {
		if p.GetBank() == bank {
			return certificate.PublicKeysOf(p.GetKeys()), nil
		}
	}
	return nil, fmt.Errorf("the latest version of the directory does not have %s, or no keys of it", bank)
}
