package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aval-systems/aval/schemas"
)

// Tables of the book, besides the protocol's. Each is a HASH of one row a field.
const (
	// TableAccounts holds a row for each account, under its id. KIND CURRENCY STATUS, three amounts in minor
	// units, and two digests of 32 hexadecimal digits:
	//
	//	AVALBRSP/0001-7  deposit BRL open LEDGER FROZEN 0 HOLDER OPENED
	//	AVALBRSP/0002-5  credit BRL blocked LIMIT DRAWN HELD HOLDER OPENED
	//	genesis/BRL      internal BRL open LEDGER 0 0 - -
	TableAccounts = "accounts"
	// TableHolds holds a row for each live hold, under its id: the account, three amounts in minor units of
	// which the first exceeds the sum of the others by what remains, and the digest of the command that
	// made it:
	//
	//	9f86d081884c7d65  AVALBRSP/0001-7 AMOUNT CAPTURED RELEASED DIGEST
	TableHolds = "holds"
)

// Genesis is the shard's internal account on the other side of money from and to the outside.
func Genesis(currency string) string { return "genesis/" + currency }

// Clearing is the shard's internal account on the other side of a settlement's legs.
func Clearing(currency string) string { return "clearing/" + currency }

// Account is a row of TableAccounts. Amounts are minor units.
type Account struct {
	Kind     schemas.AccountKind
	Currency string
	Status   Status
	Ledger   int64  // deposit, internal
	Frozen   int64  // deposit: what live holds have left
	Limit    int64  // credit
	Drawn    int64  // credit
	Held     int64  // credit: what live holds have left
	Holder   string // digest of the holder; empty of an internal account
	Opened   string // digest of the command that opened it; empty of an internal account
}

// Status says whether new money moves on an account.
//
//	      ┌── block ───▶
//	Open ─┤              Blocked
//	      ◀── unblock ──┘
type Status string

// The states of an account. On a blocked one only captures and releases of live holds go through.
const (
	Open    Status = "open"
	Blocked Status = "blocked"
)

// Available is what a new hold or debit may take. An internal account has no bound but the largest amount.
func (a Account) Available() int64 {
	switch a.Kind {
	case schemas.AccountKind_ACCOUNT_KIND_CREDIT:
		return a.Limit - a.Drawn - a.Held
	case schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, schemas.AccountKind_ACCOUNT_KIND_INTERNAL,
		schemas.AccountKind_ACCOUNT_KIND_UNSPECIFIED:
	}
	return a.Ledger - a.Frozen
}

// Signed is what the account counts in the sum over all accounts of a currency, which is zero.
func (a Account) Signed() int64 { return a.Ledger - a.Drawn }

// ParseAccount reads a row of TableAccounts.
func ParseAccount(row string) (Account, error) {
	f := strings.Split(row, " ")
	if len(f) != 8 {
		return Account{}, fmt.Errorf("account row %q has %d columns, must have 8", row, len(f))
	}
	n, err := amounts(f[3:6])
	if err != nil {
		return Account{}, fmt.Errorf("account row %q: %w", row, err)
	}
	a := Account{Currency: f[1], Status: Status(f[2]), Holder: f[6], Opened: f[7]}
	switch f[0] {
	case kindDeposit:
		a.Kind, a.Ledger, a.Frozen = schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, n[0], n[1]
	case kindCredit:
		a.Kind, a.Limit, a.Drawn, a.Held = schemas.AccountKind_ACCOUNT_KIND_CREDIT, n[0], n[1], n[2]
	case kindInternal:
		a.Kind, a.Ledger, a.Holder, a.Opened = schemas.AccountKind_ACCOUNT_KIND_INTERNAL, n[0], "", ""
	default:
		return Account{}, fmt.Errorf("account row %q: kind %q is unknown", row, f[0])
	}
	if a.Status != Open && a.Status != Blocked {
		return Account{}, fmt.Errorf("account row %q: status %q is unknown", row, f[2])
	}
	if _, ok := schemas.Exponent(a.Currency); !ok {
		return Account{}, fmt.Errorf("account row %q: currency %q is unknown", row, f[1])
	}
	return a, nil
}

// Hold is a row of TableHolds. Amounts are minor units.
type Hold struct {
	Account  string
	Amount   int64
	Captured int64
	Released int64
	Digest   string // of the command that made it
}

// Remaining is what is still frozen, or held, for it; a live hold has more than zero.
func (h Hold) Remaining() int64 { return h.Amount - h.Captured - h.Released }

// ParseHold reads a row of TableHolds.
func ParseHold(row string) (Hold, error) {
	f := strings.Split(row, " ")
	if len(f) != 5 {
		return Hold{}, fmt.Errorf("hold row %q has %d columns, must have 5", row, len(f))
	}
	n, err := amounts(f[1:4])
	if err != nil {
		return Hold{}, fmt.Errorf("hold row %q: %w", row, err)
	}
	return Hold{Account: f[0], Amount: n[0], Captured: n[1], Released: n[2], Digest: f[4]}, nil
}

func amounts(fields []string) ([3]int64, error) {
	var n [3]int64
	for i, field := range fields {
		v, err := strconv.ParseInt(field, 10, 64)
		exact := v >= -schemas.AmountMax && v <= schemas.AmountMax
		if err != nil || !exact || strconv.FormatInt(v, 10) != field {
			return n, fmt.Errorf("%q is no amount", field)
		}
		n[i] = v
	}
	return n, nil
}
