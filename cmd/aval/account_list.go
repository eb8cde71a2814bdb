package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

const aheadHelp = `What is shown is the book's state in Redis, which may be one batch ahead of the journal, which is
the truth.`

func accountShowCommand() *cobra.Command {
	var flags serverFlags
	var format output
	c := &cobra.Command{
		Use:   "show ACCOUNT",
		Short: "Show what an account has",
		Long: `Show what an account has: its kind, status and balances. Of a deposit, available is ledger less frozen;
of a credit account, limit less drawn less held.

` + aheadHelp,
		Example: `  aval account show AVALBRSP/0001-7
  aval account show AVALBRSP/0001-7 -o json`,
		Args: oneArgument("ACCOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			return failed(showAccount(c.Context(), &flags, format, args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	return c
}

func showAccount(
	ctx context.Context, flags *serverFlags, format output, account string, stdout, stderr io.Writer,
) error {
	if _, ok := schemas.BankOf(account); !ok {
		return usage("%q is no account, must be BANK/NUMBER: AVALBRSP/0001-7", account)
	}
	s, err := connect(ctx, flags.place(), flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	row, found, err := s.accounts().row(ctx, account)
	switch {
	case err != nil:
		return err
	case !found:
		return &codeError{code: exitInvalid, err: fmt.Errorf("there is no account %s in the namespace %s; "+
			"`aval account list` shows those that there are, `aval account open` opens one", account, s.namespace)}
	}
	view, err := viewOf(s.accounts().shard(account), account, row)
	if err != nil {
		return err
	}
	return printOne(stdout, format, view, viewColumns()...)
}

// accountFilter says which accounts are listed.
type accountFilter struct {
	bank, kind, currency, status, holder string
	limit                                int
}

func accountListCommand() *cobra.Command {
	var flags serverFlags
	var format output
	var filter accountFilter
	c := &cobra.Command{
		Use:   "list",
		Short: "List accounts",
		Long: `List accounts, all or some, in no order. The book's own accounts, genesis and clearing, of which each
partition has one a currency, are listed with --kind internal alone.

` + aheadHelp + ` A long list is no picture of one moment, and an account that changes
meanwhile may be listed twice.`,
		Example: `  aval account list --bank AVALBRSP --status blocked
  aval account list --holder maria -o ndjson
  aval account list --kind internal`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := filter.check(); err != nil {
				return err
			}
			return failed(listAccounts(c.Context(), &flags, format, filter, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	flags.register(c)
	format.register(c)
	c.Flags().StringVar(&filter.bank, "bank", "", "only those that the bank keeps: a BIC")
	c.Flags().StringVar(&filter.kind, "kind", "", "only deposit, credit or internal ones")
	c.Flags().StringVar(&filter.currency, "currency", "", "only those of the currency: a code of ISO 4217")
	c.Flags().StringVar(&filter.status, "status", "", "only open or blocked ones")
	c.Flags().StringVar(&filter.holder, "holder", "", "only those that the party holds")
	c.Flags().IntVar(&filter.limit, "limit", 0, "at most so many (default: all)")
	completeWords(c, "kind", "deposit", "credit", "internal")
	completeWords(c, "status", string(ledger.Open), string(ledger.Blocked))
	completeWords(c, "currency", schemas.Currencies()...)
	return c
}

// check refuses what no account can be.
func (f accountFilter) check() error {
	if _, ok := schemas.Exponent(f.currency); !ok && f.currency != "" {
		return noCurrency(f.currency)
	}
	if _, ok := schemas.BankOf(f.bank + "/1"); !ok && f.bank != "" {
		return usage("--bank %q, must be a BIC of 8 or 11 characters: AVALBRSP", f.bank)
	}
	switch f.kind {
	case "", "deposit", "credit", "internal":
	default:
		return usage("--kind %q, must be deposit, credit or internal", f.kind)
	}
	switch ledger.Status(f.status) {
	case "", ledger.Open, ledger.Blocked:
	default:
		return usage("--status %q, must be %s or %s", f.status, ledger.Open, ledger.Blocked)
	}
	if f.limit < 0 {
		return usage("--limit %d, must not be below 0", f.limit)
	}
	return nil
}

func (f accountFilter) takes(v accountView) bool {
	return (f.kind == v.Kind || f.kind == "" && v.Kind != "internal") &&
		(f.bank == "" || f.bank == v.Bank) && (f.currency == "" || f.currency == v.Currency) &&
		(f.status == "" || f.status == v.Status) && (f.holder == "" || book.Digest(f.holder) == v.HolderDigest)
}

// errEnough says that as many were listed as are wanted.
var errEnough = errors.New("enough")

func listAccounts(
	ctx context.Context, flags *serverFlags, format output, filter accountFilter, stdout, stderr io.Writer,
) error {
	s, err := connect(ctx, flags.place(), flags.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	p := newPrinter(stdout, format, viewColumns()...)
	count := 0
	err = s.accounts().rows(ctx, func(shard int, account, row string) error {
		view, err := viewOf(shard, account, row)
		if err != nil || !filter.takes(view) {
			return err
		}
		if err := p.print(view); err != nil {
			return err
		}
		if count++; count == filter.limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, p.close())
}

// accountStore reads the accounts book's state.
type accountStore struct {
	*book.Store

	partitions int
}

func (s accountStore) shard(account string) int {
	return schemas.PartitionOf([]byte(account), s.partitions)
}

func (s accountStore) row(ctx context.Context, account string) (row string, found bool, err error) {
	return s.Row(ctx, s.shard(account), ledger.TableAccounts, account)
}

func (s accountStore) rows(ctx context.Context, visit func(shard int, account, row string) error) error {
	for shard := range s.partitions {
		err := s.Rows(ctx, shard, ledger.TableAccounts, func(account, row string) error {
			return visit(shard, account, row)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// accountView is an account as it is printed. Which amounts it has depends on its kind.
type accountView struct {
	Account      string  `json:"account"`
	Bank         string  `json:"bank,omitempty"`
	Kind         string  `json:"kind"`
	Currency     string  `json:"currency"`
	Status       string  `json:"status"`
	Available    *amount `json:"available,omitempty"`
	Ledger       *amount `json:"ledger,omitempty"`
	Frozen       *amount `json:"frozen,omitempty"`
	Limit        *amount `json:"limit,omitempty"`
	Drawn        *amount `json:"drawn,omitempty"`
	Held         *amount `json:"held,omitempty"`
	HolderDigest string  `json:"holder_digest,omitempty"`
	Partition    int     `json:"partition"`
}

// amount is money in print, with the names of the message Money.
type amount struct {
	MinorUnits int64  `json:"minor_units"`
	Currency   string `json:"currency"`
}

func viewOf(shard int, account, row string) (accountView, error) {
	a, err := ledger.ParseAccount(row)
	if err != nil {
		return accountView{}, fmt.Errorf("read account %s: %w", account, err)
	}
	bank, _ := schemas.BankOf(account)
	v := accountView{
		Account: account, Bank: bank, Currency: a.Currency, Status: string(a.Status), HolderDigest: a.Holder,
		Partition: shard,
	}
	of := func(minor int64) *amount { return &amount{minor, a.Currency} }
	switch a.Kind {
	case schemas.AccountKind_ACCOUNT_KIND_DEPOSIT:
		v.Kind, v.Available, v.Ledger, v.Frozen = "deposit", of(a.Available()), of(a.Ledger), of(a.Frozen)
	case schemas.AccountKind_ACCOUNT_KIND_CREDIT:
		v.Kind, v.Available, v.Limit = "credit", of(a.Available()), of(a.Limit)
		v.Drawn, v.Held = of(a.Drawn), of(a.Held)
	case schemas.AccountKind_ACCOUNT_KIND_INTERNAL, schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED:
		v.Kind, v.Ledger = "internal", of(a.Ledger)
	}
	return v, nil
}

// amountCell is an amount without its currency, which has a column of its own.
func amountCell(a *amount) string {
	if a == nil {
		return "-"
	}
	return schemas.FormatAmount(a.MinorUnits, a.Currency)
}

// balances are the amounts in words.
func (v accountView) balances() string {
	var texts []string
	for _, b := range []struct {
		name string
		of   *amount
	}{{"ledger", v.Ledger}, {"frozen", v.Frozen}, {"limit", v.Limit}, {"drawn", v.Drawn}, {"held", v.Held}} {
		if b.of != nil {
			texts = append(texts, b.name+" "+amountCell(b.of))
		}
	}
	return strings.Join(texts, ", ") + " " + v.Currency
}

func viewColumns() []column[accountView] {
	return []column[accountView]{
		{"account", func(v accountView) string { return v.Account }},
		{"kind", func(v accountView) string { return v.Kind }},
		{"currency", func(v accountView) string { return v.Currency }},
		{"status", func(v accountView) string { return v.Status }},
		{"available", func(v accountView) string { return amountCell(v.Available) }},
		{"ledger", func(v accountView) string { return amountCell(v.Ledger) }},
		{"frozen", func(v accountView) string { return amountCell(v.Frozen) }},
		{"limit", func(v accountView) string { return amountCell(v.Limit) }},
		{"drawn", func(v accountView) string { return amountCell(v.Drawn) }},
		{"held", func(v accountView) string { return amountCell(v.Held) }},
		{"partition", func(v accountView) string { return strconv.Itoa(v.Partition) }},
	}
}
