package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/embedded"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/producers/sample"
	"github.com/aval-systems/aval/schemas"
)

// sampleSeed makes every demo without a file of orders the same.
const sampleSeed = 1

// demoFlags are the flags of aval demo.
type demoFlags struct {
	serverFlags

	orders       string
	funds        string
	report       string
	certificates string
	dataDir      string
	attach       bool
	progress     string
	output       string
}

func demoCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play all parties over a file of orders",
		Long: `Play all parties over a file of orders: open the accounts, invite for each order, let buyers answer, wait
until all is decided, and tell what became of each.

The orders are a CSV file with the columns order_id, seller_id, buyer_id, amount and currency, and optionally
payment_type (credit_card pays from a credit line, everything else from a deposit) and order_status (canceled: the
buyer declines; unavailable: the buyer never answers). Without a file, a sample is made up.

Without --kafka and --redis both are embedded in this process; with --data-dir they go on where they were. A run that
was cut off is finished by starting it again.

Exit codes: 0 every order is decided, 3 so are all but invalid rows, 2 wrong usage, 1 it could not finish.`,
		Example: `  aval demo
  aval demo --orders orders.csv --funds 1000 --report report.csv --certificates certificates.ndjson --data-dir data
  aval demo --orders orders.csv --kafka localhost:9092 --redis localhost:6379 --attach -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.defaults = map[string]string{"kafka": "", "redis": ""} // embedded
	f.register(c, groupNew, groupSign, groupTrace, groupWebhookKeys)
	c.Flags().StringVar(&f.orders, "orders", "", "CSV file of orders (default: a sample)")
	c.Flags().StringVar(&f.funds, "funds", sample.Funds, "what each buyer's account is opened with, in its currency")
	c.Flags().StringVar(&f.report, "report", "", "write what became of each order into this CSV file")
	c.Flags().StringVar(&f.certificates, "certificates", "",
		"write the certificates into this file, one JSON object a line, and their public keys into FILE.jwks")
	c.Flags().StringVar(&f.dataDir, "data-dir", "", "keep what the embedded servers hold in this folder")
	c.Flags().BoolVar(&f.attach, "attach", false, "use the stages that run elsewhere (aval run)")
	c.Flags().StringVar(&f.progress, "progress", demo.ProgressAuto, "how to show progress: auto, plain, json or none")
	c.Flags().StringVarP(&f.output, "output", "o", "table", "how to print the summary: table or json")
	return c
}

// check refuses flags that contradict each other.
func (f *demoFlags) check() error {
	switch {
	case f.embeds("kafka") != f.embeds("redis"):
		return usage("--kafka and --redis go together")
	case !f.embeds("kafka") && f.dataDir != "":
		return usage("--data-dir is of the embedded servers, and %s names real ones, which keep their own",
			f.names("kafka"))
	case f.attach && f.embeds("kafka"):
		return usage("--attach needs --kafka and --redis, where the stages run")
	case f.output != "table" && f.output != "json":
		return usage("--output %q, must be table or json", f.output)
	}
	return f.serverFlags.check()
}

// embeds says whether nobody names servers of this name.
func (f *demoFlags) embeds(server string) bool { return !f.is(server) }

func (f *demoFlags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	progress, err := demo.NewProgress(f.progress, stderr, isTerminal(stderr))
	if err != nil {
		return &codeError{code: demo.ExitUsage, err: err}
	}
	orders, remove, err := f.ordersFile()
	if err != nil {
		return failed(err)
	}
	defer remove()
	c := demo.Config{
		Orders: orders, Funds: f.funds, Report: f.report, Certificates: f.certificates,
		Kafka: cmp.Or(f.texts["kafka"], "embedded"), Redis: cmp.Or(f.texts["redis"], "embedded"),
		Now: time.Now, Progress: progress,
	}
	if err := demo.Check(c); err != nil {
		return &codeError{code: demo.ExitCode(demo.Summary{}, err), err: err}
	}
	keys, err := f.signer()
	if err != nil {
		return err
	}
	logger := f.logger(stderr)
	p := f.place()
	if f.embeds("kafka") {
		servers, err := embedded.Start(ctx, embedded.Config{Dir: f.dataDir, Logger: logger})
		if err != nil {
			return &codeError{code: demo.ExitUsage, err: err}
		}
		defer func() { err = errors.Join(err, failed(servers.Close())) }() // what it could not keep, it says now
		p = embeddedPlace(p, servers)
	}
	s, err := open(ctx, p, logger)
	if err != nil {
		return failed(err)
	}
	defer s.close() //nolint:errcheck // everything was flushed
	c.Partitions, c.Logger = s.partitions, logger
	if publish, err := f.publishes(ctx, s); err != nil {
		return failed(err)
	} else if publish {
		c.Keys = publicKeys(f.values.Namespace, keys)
	}
	summary, err := f.play(ctx, s, keys, c)
	return f.finish(summary, err, stdout)
}

// publishes says whether the demo brings the directory of its banks: not where the stages run elsewhere, with keys
// of their own, and whoever runs them has published one.
func (f *demoFlags) publishes(ctx context.Context, s *system) (bool, error) {
	if !f.attach {
		return true, nil
	}
	_, end, err := s.kafka.Bounds(ctx, schemas.TopicDirectory, 0)
	return end == 0, err
}

// play runs the demo, and beside it the stages, unless they run elsewhere.
func (f *demoFlags) play(ctx context.Context, s *system, keys *certificate.Keys, c demo.Config) (demo.Summary, error) {
	var summary demo.Summary
	done := errors.New("done")
	client := func(ctx context.Context) (err error) {
		summary, err = demo.Run(ctx, c, demo.Deps{Publisher: s.entrance(), Log: s.kafka, Audit: s.audit})
		return cmp.Or(err, done)
	}
	actors := []func(context.Context) error{client}
	if !f.attach {
		actors = append(actors, func(ctx context.Context) error {
			return pipeline.Router{
				Consumer: s.kafka, Logger: s.logger, Meter: s.monitor.measures(), Outages: s.monitor.outages,
			}.Run(ctx, s.works(stageNames(), keys)...)
		})
	}
	err := pipeline.Run(ctx, actors...)
	if errors.Is(err, done) {
		err = nil
	} else if err == nil {
		err = cmp.Or(context.Cause(ctx), errors.New("the stages ended before every order was decided"))
	}
	return summary, err
}

func (f *demoFlags) finish(summary demo.Summary, err error, stdout io.Writer) error {
	code := demo.ExitCode(summary, err)
	if violated := (demo.ViolatedError{}); err != nil && !errors.As(err, &violated) {
		return &codeError{code: code, err: err}
	}
	if f.output == "json" {
		if failure := summary.JSON(stdout); failure != nil {
			return failed(failure)
		}
	} else if failure := summary.Table(stdout); failure != nil {
		return failed(failure)
	}
	if code == 0 {
		return nil
	}
	return &codeError{code: code, err: err}
}

// ordersFile is the file of orders, or a sample that is removed in the end.
func (f *demoFlags) ordersFile() (path string, remove func(), err error) {
	if f.orders != "" {
		return f.orders, func() {}, nil
	}
	var text bytes.Buffer
	if err := sample.Generate(&text, sampleSeed, sample.RowsDefault); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "aval-sample-")
	if err != nil {
		return "", nil, fmt.Errorf("make folder of sample: %w", err)
	}
	path = filepath.Join(dir, "sample.csv")
	remove = func() { _ = os.RemoveAll(dir) }
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		remove()
		return "", nil, fmt.Errorf("write sample: %w", err)
	}
	return path, remove, nil
}

// demonstrationKeys are the keys with which the demo's issuing bank signs in a namespace.
func demonstrationKeys(namespace string) (*certificate.Keys, error) {
	id, key := certificate.DemonstrationKey(namespace)
	return certificate.NewKeys(map[string]ed25519.PrivateKey{id: key})
}

// publicKeys are those that the directory names. The receiving bank issues nothing in the demo; its key is one of
// the demonstration whatever the issuing bank signs with.
func publicKeys(namespace string, keys *certificate.Keys) map[string][]*schemas.PublicKey {
	id, key := certificate.DemonstrationKey(namespace + "-receiving")
	receiving, _ := key.Public().(ed25519.PublicKey)
	public := map[string][]*schemas.PublicKey{demo.ReceivingBank: {{Id: id, Ed25519: receiving}}}
	all := keys.Public()
	for _, id := range keys.IDs() { // the last one signs
		public[demo.IssuingBank] = append(public[demo.IssuingBank], &schemas.PublicKey{Id: id, Ed25519: all[id]})
	}
	return public
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
