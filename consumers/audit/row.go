package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// Tables of the books that are compared. What their rows hold is the books' to say; the audit reads it by
// itself.
const (
	tableAccounts = "accounts" // KIND CURRENCY STATUS and three amounts, then digests
	tableHolds    = "holds"    // ACCOUNT AMOUNT CAPTURED RELEASED, then a digest
	tableOpen     = "open"     // TERMS: see termsRow
	tableDecided  = "decided"  // VERB TERMS COMMAND DIGEST; it rotates
)

// termsRow is what stands for terms in the rows of pre-issues: their digest, and the beginning of that of the
// invitation's content.
func termsRow(digest string, c content) string {
	return fmt.Sprintf("%x%x", digest, c.digest[:min(8, len(c.digest))])
}

// Kinds of accounts, as rows name them.
const (
	Deposit  = "deposit"
	Credit   = "credit"
	Internal = "internal"
)

// Account is an account's balances, in minor units.
type Account struct {
	Kind     string // Deposit, Credit or Internal
	Currency string
	Blocked  bool
	Ledger   int64 // deposit, internal
	Frozen   int64 // deposit
	Limit    int64 // credit
	Drawn    int64 // credit
	Held     int64 // credit
}

// Signed is what the account counts in the sum over all accounts of its currency.
func (a Account) Signed() int64 { return a.Ledger - a.Drawn }

// Reserved is what live holds have left on the account: one of the two is zero.
func (a Account) Reserved() int64 { return a.Frozen + a.Held }

// plus adds the balances of the account of another shard that has the same name: only internal ones do.
func (a Account) plus(b Account) Account {
	a.Ledger += b.Ledger
	a.Frozen += b.Frozen
	a.Limit += b.Limit
	a.Drawn += b.Drawn
	a.Held += b.Held
	return a
}

// move adds to what the account has; of a credit account, it pays debt back.
func (a *Account) move(x int64) {
	if a.Kind == Credit {
		a.Drawn -= x
		return
	}
	a.Ledger += x
}

// reserve adds to what live holds have left on the account.
func (a *Account) reserve(x int64) {
	if a.Kind == Credit {
		a.Held += x
		return
	}
	a.Frozen += x
}

func (a Account) String() string {
	status := "open"
	if a.Blocked {
		status = "blocked"
	}
	x, y, z := a.Ledger, a.Frozen, int64(0)
	if a.Kind == Credit {
		x, y, z = a.Limit, a.Drawn, a.Held
	}
	return fmt.Sprintf("%s %s %s %d %d %d", a.Kind, a.Currency, status, x, y, z)
}

// excess says which bound the balances break (I-2), or nothing.
func (a Account) excess() string {
	switch {
	case a.Kind == Internal:
		return ""
	case a.Kind == Credit && (a.Drawn < 0 || a.Held < 0):
		return "drawn or held is below zero"
	case a.Kind == Credit && a.Drawn+a.Held > a.Limit:
		return "drawn and held exceed the limit"
	case a.Kind == Deposit && a.Frozen < 0:
		return "frozen is below zero"
	case a.Kind == Deposit && a.Frozen > a.Ledger:
		return "frozen exceeds the ledger"
	}
	return ""
}

// exact says whether every balance is one that can be counted exactly (I-23).
func (a Account) exact() bool {
	for _, n := range []int64{a.Ledger, a.Frozen, a.Limit, a.Drawn, a.Held} {
		if n > schemas.AmountMax || n < -schemas.AmountMax {
			return false
		}
	}
	return true
}

func parseAccount(row string) (Account, error) {
	f := strings.Split(row, " ")
	if len(f) < 6 {
		return Account{}, fmt.Errorf("the row %q has %d columns", row, len(f))
	}
	n, err := amounts(f[3:6])
	if err != nil {
		return Account{}, fmt.Errorf("the row %q: %w", row, err)
	}
	a := Account{Kind: f[0], Currency: f[1], Blocked: f[2] == "blocked"}
	switch a.Kind {
	case Deposit:
		a.Ledger, a.Frozen = n[0], n[1]
	case Credit:
		a.Limit, a.Drawn, a.Held = n[0], n[1], n[2]
	case Internal:
		a.Ledger = n[0]
	default:
		return Account{}, fmt.Errorf("the row %q has an unknown kind", row)
	}
	if f[2] != "open" && f[2] != "blocked" {
		return Account{}, fmt.Errorf("the row %q has an unknown status", row)
	}
	return a, nil
}

// holdRow is a hold's amounts, in minor units.
type holdRow struct {
	account  string
	amount   int64
	captured int64
	released int64
}

func (h holdRow) remaining() int64 { return h.amount - h.captured - h.released }

// fault says how the hold's parts contradict each other (I-4), or nothing. Only a live hold has a row.
func (h holdRow) fault() string {
	switch {
	case h.amount <= 0 || h.captured < 0 || h.released < 0:
		return "an amount is below zero"
	case h.remaining() < 0:
		return "more is captured and released than it had"
	case h.remaining() == 0:
		return "nothing remains, and it is live"
	}
	return ""
}

func (h holdRow) String() string {
	return fmt.Sprintf("%s %d %d %d", h.account, h.amount, h.captured, h.released)
}

func parseHold(row string) (holdRow, error) {
	f := strings.Split(row, " ")
	if len(f) < 4 {
		return holdRow{}, fmt.Errorf("the row %q has %d columns", row, len(f))
	}
	n, err := amounts(f[1:4])
	if err != nil {
		return holdRow{}, fmt.Errorf("the row %q: %w", row, err)
	}
	return holdRow{account: f[0], amount: n[0], captured: n[1], released: n[2]}, nil
}

// amounts reads integers of at most 2^53-1, written in the one way that integers are (I-23).
func amounts(fields []string) ([3]int64, error) {
	var n [3]int64
	for i, field := range fields {
		v, err := strconv.ParseInt(field, 10, 64)
		exact := v <= schemas.AmountMax && v >= -schemas.AmountMax && strconv.FormatInt(v, 10) == field
		if err != nil || !exact {
			return n, fmt.Errorf("%q is no amount", field)
		}
		n[i] = v
	}
	return n, nil
}
