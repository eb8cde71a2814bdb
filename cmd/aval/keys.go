package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
)

func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make and exchange the keys with which a bank signs certificates",
		Long: `Make and exchange the keys with which an issuing bank signs certificates: Ed25519, in a JWK set (RFC
7517) that only its owner can read. The last key of the set signs. Those before it stay: a certificate that was asked
for while one of them signed is signed with that one, and what they signed stays verifiable.

Private keys are never printed. Whoever has the file signs in the bank's name: keep it where secrets are kept, and keep
a copy, since what it signs cannot be signed without it.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(keysGenerateCommand(), keysRotateCommand(), keysListCommand(), keysExportCommand())
	return c
}

func keysGenerateCommand() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make a file with a new signing key",
		Long:  `Make a file with a new signing key, that only its owner can read. A file that is there is not touched.`,
		Example: `  aval keys generate keys.json
  aval keys generate keys.json --id issuing-bank-2027`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(generateKeys(args[0], id, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&id, "id", "", "the key's id, which stands in certificates for ever (default: its thumbprint)")
	return c
}

func keysRotateCommand() *cobra.Command {
	var id string
	c := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Add a new key, which signs from now on",
		Long: `Add a new key to the file; it signs from now on. The others stay.

Let every "aval run" that has the stage certificate load the file before the directory names the new key: what is to
be signed with a key that a process does not have waits.`,
		Example: `  aval keys rotate keys.json
  aval directory publish directory.yaml`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(rotateKeys(args[0], id, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	c.Flags().StringVar(&id, "id", "", "the key's id, which stands in certificates for ever (default: its thumbprint)")
	return c
}

func keysListCommand() *cobra.Command {
	var format output
	c := &cobra.Command{
		Use:     "list FILE",
		Short:   "List the keys of a file",
		Long:    `List the keys of a file: their ids and public halves, and which of them signs.`,
		Example: `  aval keys list keys.json -o json`,
		Args:    oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(listKeys(args[0], format, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	format.register(c)
	return c
}

func keysExportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the public keys of a file as a JWK set",
		Long: `Write the public keys of a file as a JWK set: what others verify certificates with. It may be shown to
everybody.`,
		Example: `  aval keys export keys.json --out issuing-bank.jwks
  aval certificate verify certificate.jws --keys issuing-bank.jwks`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			set, err := readKeys(args[0], c.ErrOrStderr())
			if err != nil {
				return failed(err)
			}
			text, err := set.JWKS()
			if err != nil {
				return failed(err)
			}
			return failed(writeOut(out, c.OutOrStdout(), text))
		},
	}
	c.Flags().StringVar(&out, "out", "", "write them into this file (default: standard output)")
	return c
}

// oneArgument asks for one argument of that name.
func oneArgument(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usage("%s: %s is missing; see %s --help", c.CommandPath(), name, c.CommandPath())
		case len(args) > 1:
			return usage("%s takes one %s, not %d; see %s --help", c.CommandPath(), name, len(args), c.CommandPath())
		}
		return nil
	}
}

func generateKeys(path, id string, stdout, stderr io.Writer) error {
	set := &certificate.KeySet{}
	id, err := set.Generate(id)
	if err != nil {
		return usage("%w", err)
	}
	text, err := set.Private()
	if err != nil {
		return err
	}
	if err := makeFile(path, modePrivate, text); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, id)
	next(stderr, "aval directory init --keys %s --out directory.yaml", quoted(path))
	return err
}

func rotateKeys(path, id string, stdout, stderr io.Writer) error {
	unlock, err := lockKeys(path)
	if err != nil {
		return err
	}
	defer unlock()
	set, err := readKeys(path, stderr)
	if err != nil {
		return err
	}
	if id, err = set.Generate(id); err != nil {
		return usage("%w", err)
	}
	text, err := set.Private()
	if err != nil {
		return err
	}
	if err := replaceFile(path, modePrivate, text); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, id)
	next(stderr, "start every aval run with the new %s; then aval directory publish", quoted(path))
	return err
}

// lockKeys lets nobody else change the file meanwhile: of two keys that are added at once one would be lost.
func lockKeys(path string) (unlock func(), err error) {
	file, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, usage("%w; aval keys generate makes a file", err)
	}
	unlock = func() { _ = file.Close() } // which ends the lock
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	held, failure := file.Stat()
	now, wrong := os.Stat(path)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = fmt.Errorf("%s is being changed by another process; try again", path)
	case err != nil:
		err = fmt.Errorf("lock %s: %w", path, err)
	case failure != nil || wrong != nil || !os.SameFile(held, now):
		err = fmt.Errorf("%s was replaced meanwhile; try again", path)
	default:
		return unlock, nil
	}
	unlock()
	return nil, err
}

// readKeys reads a file of private keys, and warns where others can read it too.
func readKeys(path string, stderr io.Writer) (*certificate.KeySet, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, usage("%w; aval keys generate makes a file", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	set, err := certificate.ReadKeySet(file)
	if err != nil {
		return nil, usage("%s: %w", path, err)
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		_, _ = fmt.Fprintf(stderr, "aval: others can read %s, and sign with its keys: chmod 600 %s\n", path,
			quoted(path))
	}
	return set, nil
}

// signingKey is a key as it is listed.
type signingKey struct {
	KeyID  string `json:"key_id"`
	Signs  bool   `json:"signs"`
	Public string `json:"public"` // base64url
}

func listKeys(path string, format output, stdout, stderr io.Writer) error {
	set, err := readKeys(path, stderr)
	if err != nil {
		return err
	}
	p := newPrinter(stdout, format,
		column[signingKey]{"key id", func(k signingKey) string { return k.KeyID }},
		column[signingKey]{"signs", func(k signingKey) string { return strconv.FormatBool(k.Signs) }},
		column[signingKey]{"public key", func(k signingKey) string { return k.Public }},
	)
	public := set.Public()
	for i, key := range public {
		k := signingKey{
			KeyID: key.GetId(), Signs: i == len(public)-1,
			Public: base64.RawURLEncoding.EncodeToString(key.GetEd25519()),
		}
		if err := p.print(k); err != nil {
			return err
		}
	}
	return p.close()
}

// next tells whoever is new what comes next. It is no part of the output.
func next(stderr io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(stderr, "Next: "+format+"\n", args...)
}
