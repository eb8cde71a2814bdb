package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// historyFlags are the flags of aval account history.
type historyFlags struct {
	keptFlags

	at     string
	all    bool
	format output
}

func accountHistoryCommand() *cobra.Command {
	var f historyFlags
	c := &cobra.Command{
		Use:   "history ACCOUNT",
		Short: "Show what happened to an account, and what it had after each",
		Long: `Show what happened to an account, the oldest first, and what it had after each: its entries in the book's
journal, which is the truth. With --at, up to a moment of the past: the last line is what the account had then. A moment
is one of the log's, when Kafka took an entry in; the time that is shown is the command's own.

What changed nothing, such as what was refused or came again, is shown with --all.`,
		Example: `  aval account history AVALBRSP/0001-7
  aval account history AVALBRSP/0001-7 --at 2026-01-31T12:00:00Z -o ndjson
  aval account history AVALBRSP/0001-7 --at 24h --all --data-dir data`,
		Args: oneArgument("ACCOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return failed(f.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	f.format.register(c)
	c.Flags().StringVar(&f.at, "at", "", "up to when: a time (RFC 3339), or how long ago: 90m, 24h, 7d (default: now)")
	c.Flags().BoolVar(&f.all, "all", false, "show what changed nothing, too")
	return c
}

func (f *historyFlags) run(ctx context.Context, account string, stdout, stderr io.Writer) (err error) {
	h := &history{
		account: account, all: f.all, printer: newPrinter(stdout, f.format, historyColumns()...),
		internal: strings.HasPrefix(account, ledger.Genesis("")) || strings.HasPrefix(account, ledger.Clearing("")),
	}
	if _, ok := schemas.BankOf(account); !ok && !h.internal {
		return usage("%q is no account, must be BANK/NUMBER: AVALBRSP/0001-7", account)
	}
	if h.until, err = sinceTime(f.at, time.Now()); err != nil {
		return usage("--at %q, must be a time (2026-01-31T10:00:00Z), or how long ago: 90m, 24h, 7d", f.at)
	}
	s, closeAll, err := f.connect(ctx, f.logger(stderr), connectKafka)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := errors.Join(h.readAll(ctx, s), h.printer.close()); err != nil {
		return err
	}
	if !h.known {
		return &codeError{code: exitInvalid, err: fmt.Errorf("nothing happened to an account %s in the namespace "+
			"%s%s; `aval account list` shows those that there are", account, s.namespace, h.before())}
	}
	return nil
}

// history prints what happened to an account.
type history struct {
	account  string
	internal bool // its changes stand in others' entries
	all      bool
	until    time.Time // zero: up to now
	printer  *printer[historyView]
	known    bool
	row      string // what it has
}

func (h *history) before() string {
	if h.until.IsZero() {
		return ""
	}
	return " before " + h.until.UTC().Format(time.RFC3339)
}

// readAll visits the account's shard. Of the book's own accounts each shard has its own.
func (h *history) readAll(ctx context.Context, s *system) error {
	shards, err := s.kafka.Partitions(ctx, schemas.TopicEntries)
	if err != nil {
		return err
	}
	if !h.internal {
		return h.read(ctx, s, schemas.PartitionOf([]byte(h.account), shards))
	}
	for shard := range shards {
		if err := h.read(ctx, s, shard); err != nil {
			return err
		}
	}
	return nil
}

// read visits the entries of a shard, up to a time where that is one.
func (h *history) read(ctx context.Context, s *system, shard int) error {
	first, end, err := s.kafka.Bounds(ctx, schemas.TopicEntries, shard)
	if err != nil {
		return err
	}
	if !h.until.IsZero() {
		if end, _, err = s.kafka.Since(ctx, schemas.TopicEntries, shard, h.until.Add(time.Millisecond)); err != nil {
			return err
		}
	}
	if first >= end {
		return nil
	}
	h.row = ""
	var journal pipeline.Journal
	return s.kafka.Read(ctx, schemas.TopicEntries, shard, first, end, func(records []pipeline.Record) error {
		for _, e := range journal.Read(records) {
			for _, r := range e.Records {
				if err := h.record(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (h *history) record(r pipeline.Record) error {
	if !h.internal && string(r.Key) != h.account {
		return nil
	}
	in, err := pipeline.Decode(r)
	if err != nil {
		return fmt.Errorf("read entry at %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	entry, ok := in.Body.(*schemas.Entry)
	if !ok || entry.GetMovement() == nil {
		return nil
	}
	changed := h.change(entry.GetDecision())
	own := entry.GetMovement().GetAccount() == h.account
	h.known = h.known || own && h.row != "" || changed
	if !changed && (!h.all || !own) {
		return nil
	}
	view, err := historyOf(in, entry, h.account, h.row)
	if err != nil {
		return err
	}
	return h.printer.print(view)
}

// change takes what a decision made of the account, and says whether it made anything of it.
func (h *history) change(d *schemas.Decision) (changed bool) {
	for _, c := range d.GetChanges() {
		if c.GetTable() == ledger.TableAccounts && c.GetField() == h.account {
			changed, h.row = true, c.GetValue()
		}
	}
	return changed
}

// historyView is what happened once, as it is printed.
type historyView struct {
	Time    string  `json:"time"` // the command's own
	Verb    string  `json:"verb"`
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Amount  *amount `json:"amount,omitempty"`
	Hold    string  `json:"hold,omitempty"`
	ID      string  `json:"id"`
	// Where it stands.
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	// After is what the account has after it; of one that is not opened yet there is nothing.
	After *accountView `json:"after,omitempty"`
}

func historyOf(in pipeline.In, entry *schemas.Entry, account, row string) (historyView, error) {
	d, m := entry.GetDecision(), entry.GetMovement()
	v := historyView{
		Time: moment(in.Time), Verb: verbOf(m), Outcome: outcomeWord(d.GetOutcome()), ID: entry.GetId(),
		Topic: in.Topic, Partition: in.Partition, Offset: in.Offset,
	}
	if d.GetReason() != schemas.Reason_REASON_UNSPECIFIED {
		v.Reason = d.GetReason().Word()
	}
	if money := moneyOf(m); money != nil {
		v.Amount = &amount{money.GetMinorUnits(), money.GetCurrency()}
	}
	switch {
	case m.GetHold() != nil:
		v.Hold = entry.GetId()
	case m.GetCapture() != nil:
		v.Hold = m.GetCapture().GetHold()
	case m.GetRelease() != nil:
		v.Hold = m.GetRelease().GetHold()
	}
	if row == "" {
		return v, nil
	}
	after, err := viewOf(in.Partition, account, row)
	if err != nil {
		return historyView{}, err
	}
	v.After = &after
	return v, nil
}

// moneyOf is the amount that a movement names.
func moneyOf(m *schemas.Movement) *schemas.Money {
	for _, money := range []*schemas.Money{
		m.GetOpen().GetFunds(), m.GetCredit().GetAmount(), m.GetDebit().GetAmount(), m.GetHold().GetAmount(),
		m.GetCapture().GetAmount(),
	} {
		if money != nil {
			return money
		}
	}
	return nil
}

func historyColumns() []column[historyView] {
	after := func(cell func(accountView) string) func(historyView) string {
		return func(v historyView) string {
			if v.After == nil {
				return "-"
			}
			return cell(*v.After)
		}
	}
	return []column[historyView]{
		{"time", func(v historyView) string { return v.Time }},
		{"command", func(v historyView) string { return v.Verb }},
		{"outcome", func(v historyView) string { return strings.TrimSuffix(v.Outcome+" "+v.Reason, " ") }},
		{"amount", func(v historyView) string { return amountCell(v.Amount) }},
		{"available", after(func(a accountView) string { return amountCell(a.Available) })},
		{"balances", after(accountView.balances)},
		{"entries", func(v historyView) string { return fmt.Sprintf("%d/%d", v.Partition, v.Offset) }},
		{"id", func(v historyView) string { return v.ID }},
	}
}
