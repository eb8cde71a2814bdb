package ledger_test

import (
	"errors"
	"fmt"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/schemas"
)

// broken says which of the invariants the tables break, or nothing.
func broken(tables map[string]map[string]string) error {
	accounts := map[string]ledger.Account{}
	sums := map[string]int64{}
	for id, row := range tables[ledger.TableAccounts] {
		a, err := ledger.ParseAccount(row)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		accounts[id] = a
		sums[a.Currency] += a.Signed()
		if err := withinBounds(a); err != nil {
			return fmt.Errorf("%s %+v: %w", id, a, err)
		}
	}
	for currency, sum := range sums {
		if sum != 0 {
			return fmt.Errorf("I-1: the sum over all accounts of %s is %d", currency, sum)
		}
	}
	return held(accounts, tables[ledger.TableHolds])
}

func withinBounds(a ledger.Account) error {
	switch a.Kind {
	case schemas.AccountKind_ACCOUNT_KIND_DEPOSIT:
		if a.Frozen < 0 || a.Frozen > a.Ledger {
			return errors.New("I-2: not 0 <= frozen <= ledger")
		}
	case schemas.AccountKind_ACCOUNT_KIND_CREDIT:
		if a.Drawn < 0 || a.Held < 0 || a.Drawn+a.Held > a.Limit {
			return errors.New("I-2: not 0 <= drawn, 0 <= held, drawn + held <= limit")
		}
	case schemas.AccountKind_ACCOUNT_KIND_INTERNAL, schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED:
	}
	return nil
}

func held(accounts map[string]ledger.Account, rows map[string]string) error {
	remaining := map[string]int64{}
	for id, row := range rows {
		h, err := ledger.ParseHold(row)
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		if h.Amount <= 0 || h.Captured < 0 || h.Released < 0 || h.Remaining() <= 0 {
			return fmt.Errorf("I-4: hold %s is live as %+v", id, h)
		}
		if _, ok := accounts[h.Account]; !ok {
			return fmt.Errorf("I-3: hold %s is of no account: %s", id, h.Account)
		}
		remaining[h.Account] += h.Remaining()
	}
	for id, a := range accounts {
		if a.Frozen+a.Held != remaining[id] {
			return fmt.Errorf("I-3: %s %+v, but its live holds have %d left", id, a, remaining[id])
		}
	}
	return nil
}
