package main

import (
	"context"
	"fmt"

	"github.com/aval-systems/aval/consumers/audit"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/producers/demo"
)

// audit checks the invariants of the whole namespace, while it works.
func (s *system) audit(ctx context.Context) (demo.Audit, error) {
	report, err := audit.Run(ctx, audit.Config{
		Log: s.kafka, Partitions: s.partitions,
		State: states{audit.BookAccounts: s.store(ledger.Book{}), audit.BookPreIssues: s.store(preissue.Book{})},
	})
	if err != nil {
		return demo.Audit{}, fmt.Errorf("check invariants: %w", err)
	}
	a := demo.Audit{Checked: len(report.Checked), Violated: report.Total}
	for _, v := range report.Violations {
		a.Details = append(a.Details, v.String())
	}
	a.Frozen = func(account string) (int64, bool) {
		found, ok := report.Accounts[account]
		return found.Reserved(), ok
	}
	return a, nil
}

// states are the stores of the books, by name.
type states map[string]*book.Store

// State implements audit.State.
func (s states) State(ctx context.Context, name string, shard int) (
	at int64, digest string, tables map[string]map[string]string, err error,
) {
	state, err := s[name].State(ctx, shard)
	return state.At, state.Digest, state.Tables, err
}
