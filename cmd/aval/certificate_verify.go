package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/certificate"
)

// verifyFlags say what is verified, and with what.
type verifyFlags struct {
	keys   string
	bank   string
	format output
}

func certificateVerifyCommand() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify FILE --keys JWKS",
		Short: "Verify certificates with nothing but public keys",
		Long: `Verify certificates, without any server: that the signature fits one of the public keys and nothing
was changed, that it is a certificate's (EdDSA, and no other algorithm), and that what it says makes sense and
follows from itself.

The FILE, or standard input where it is -, has one or more: a compact JWS on each line, or on each line a JSON object
that has one as "jws", as aval demo --certificates and aval certificate list -o ndjson write them.

Whose keys they are is for you to know: take them from the bank, or from the directory. Where they are several
banks', --issuing-bank says whose certificate it has to be.

Exit codes: 0 all verify, 1 some do not, 2 wrong usage or a file that cannot be read.`,
		Example: `  aval certificate verify certificate.jws --keys bank.jwks
  aval certificate list -o ndjson | aval certificate verify - --keys bank.jwks -o ndjson`,
		Args: oneArgument("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if f.keys == "" {
				return usage("--keys is missing: name the issuing bank's public keys, a JWK set")
			}
			return failed(f.run(args[0], c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.format.register(c)
	c.Flags().StringVar(&f.keys, "keys", "", "the issuing bank's public keys: a JWK set")
	c.Flags().StringVar(&f.bank, "issuing-bank", "", "the bank that must have issued them: a BIC (default: any)")
	return c
}

// verdict is what is found of one certificate. Its claims are those that were signed.
type verdict struct {
	Line   int                 `json:"line"`
	Valid  bool                `json:"valid"`
	Fault  string              `json:"fault,omitempty"`
	Claims *certificate.Claims `json:"claims,omitempty"`
}

func (f *verifyFlags) run(path string, stdin io.Reader, stdout, stderr io.Writer) error {
	keys, err := f.publicKeys(stdin)
	if err != nil {
		return err
	}
	in, err := openIn(path, stdin)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	v := &verdicts{format: f.format, stdout: stdout}
	progress := lateProgress(stderr)
	progress.Stage("verify certificates", 0)
	count, faulty := 0, 0
	err = eachLine(in, func(number int, line []byte, tooLong bool) error {
		found := verdict{Line: number}
		if err := f.verify(line, tooLong, keys, &found); err != nil {
			found.Fault = err.Error()
			faulty++
		}
		count++
		progress.Add(1)
		return v.print(found)
	})
	progress.Done()
	switch err := errors.Join(err, v.close()); {
	case err != nil:
		return usage("%s: %w", path, err)
	case count == 0:
		return usage("%s holds no certificate", path)
	case faulty > 0:
		return &codeError{code: exitFailed, err: fmt.Errorf("%d of %d certificates do not verify", faulty, count)}
	}
	return nil
}

func (f *verifyFlags) publicKeys(stdin io.Reader) (certificate.PublicKeys, error) {
	file, err := openIn(f.keys, stdin)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	keys, err := certificate.LoadPublicKeys(file)
	switch {
	case err != nil:
		return nil, usage("--keys %s: %w", f.keys, err)
	case len(keys) == 0:
		return nil, usage("--keys %s has no Ed25519 key", f.keys)
	}
	return keys, nil
}

// verify checks one line.
func (f *verifyFlags) verify(line []byte, tooLong bool, keys certificate.PublicKeys, found *verdict) error {
	if tooLong {
		return fmt.Errorf("the line has more than %d bytes", lineMax)
	}
	token := string(line)
	if line[0] == '{' {
		var object struct {
			JWS string `json:"jws"`
		}
		if err := json.Unmarshal(line, &object); err != nil || object.JWS == "" {
			return errors.New(`the line is no JSON object with a text "jws"`)
		}
		token = object.JWS
	}
	claims, err := certificate.Verify(token, keys)
	if err != nil {
		return err
	}
	if f.bank != "" && claims.IssuingBank != f.bank {
		return fmt.Errorf("it is a certificate of %s, must be of %s", claims.IssuingBank, f.bank)
	}
	found.Valid, found.Claims = true, &claims
	return nil
}

// lineMax bounds a line: a certificate, and what stands beside it.
const lineMax = 1 << 20

// eachLine visits the lines of a text that say something. Of one that is too long the beginning is given.
func eachLine(in io.Reader, visit func(number int, line []byte, tooLong bool) error) error {
	reader := bufio.NewReaderSize(in, lineMax+2)
	for number := 1; ; number++ {
		line, err := reader.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		first := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(first) > 0 {
			if err := visit(number, first, tooLong || len(first) > lineMax); err != nil {
				return err
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // its rest is nothing
			_, err = reader.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", number, err)
		}
	}
}

// verdicts prints what is found: one alone with all that it says, several as rows.
type verdicts struct {
	format output
	stdout io.Writer

	first   *verdict // until it is known whether there are more
	printer *printer[verdict]
}

func (v *verdicts) print(found verdict) error {
	if v.printer == nil {
		if v.first == nil {
			v.first = &found
			return nil
		}
		v.printer = newPrinter(v.stdout, v.format, verdictColumns()...)
		if err := v.printer.print(*v.first); err != nil {
			return err
		}
	}
	return v.printer.print(found)
}

func (v *verdicts) close() error {
	switch {
	case v.printer != nil:
		return v.printer.close()
	case v.first == nil:
		return nil
	case v.format.String() != string(outputTable):
		p := newPrinter(v.stdout, v.format, verdictColumns()...)
		return errors.Join(p.print(*v.first), p.close())
	}
	lines := []line{{"verdict", v.first.word()}, {"fault", v.first.Fault}}
	if v.first.Claims != nil {
		for _, claim := range v.first.Claims.List() {
			lines = append(lines, line{claim.Name, claim.Value})
		}
	}
	return printLines(v.stdout, lines)
}

func (v verdict) word() string {
	if v.Valid {
		return "it verifies"
	}
	return "it does not verify"
}

func verdictColumns() []column[verdict] {
	claim := func(of func(*certificate.Claims) string) func(verdict) string {
		return func(v verdict) string {
			if v.Claims == nil {
				return "-"
			}
			return cell(of(v.Claims))
		}
	}
	return []column[verdict]{
		{"line", func(v verdict) string { return strconv.Itoa(v.Line) }},
		{"verifies", func(v verdict) string { return strconv.FormatBool(v.Valid) }},
		{"certificate", claim(func(c *certificate.Claims) string { return c.CertificateID })},
		{"amount", claim(func(c *certificate.Claims) string { return c.Amount + " " + c.Currency })},
		{"buyer", claim(func(c *certificate.Claims) string { return c.Buyer })},
		{"seller", claim(func(c *certificate.Claims) string { return c.Seller })},
		{"reference", claim(func(c *certificate.Claims) string { return c.Reference })},
		{"issuing bank", claim(func(c *certificate.Claims) string { return c.IssuingBank })},
		{"fault", func(v verdict) string { return v.Fault }},
	}
}
