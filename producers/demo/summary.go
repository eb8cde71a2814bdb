package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

// Summary is what a run tells in the end. Amounts are decimal texts.
type Summary struct {
	Orders     int                           `json:"orders"`   // records of the file
	Outcomes   map[Outcome]int               `json:"outcomes"` // of records
	Amounts    map[string]map[Outcome]string `json:"amounts"`  // by currency, each seller's reference once
	Balances   map[string]Balance            `json:"balances"` // by currency
	Invariants Invariants                    `json:"invariants"`
	Seconds    json.Number                   `json:"seconds"`
	Kafka      string                        `json:"kafka"`
	Redis      string                        `json:"redis"`
}

// Balance is read from the accounts of the file's buyers.
type Balance struct {
	Frozen string `json:"frozen"` // of deposits, and held of lines
}

// Invariants is what the audit found.
type Invariants struct {
	Checked  int `json:"checked"`
	Violated int `json:"violated"`
}

// sums is a summary that is being added up. Sums of many amounts exceed 64 bits.
type sums struct {
	Summary

	amounts map[string]map[Outcome]*big.Int
	frozen  map[string]*big.Int
}

func newSummary(r *run) *sums {
	s := &sums{
		Summary: Summary{Orders: r.rows, Outcomes: map[Outcome]int{}, Kafka: r.Kafka, Redis: r.Redis},
		amounts: map[string]map[Outcome]*big.Int{}, frozen: map[string]*big.Int{},
	}
	for _, outcome := range outcomes() {
		s.Outcomes[outcome] = 0
	}
	for currency := range r.currencies {
		s.frozen[currency] = new(big.Int)
		s.amounts[currency] = map[Outcome]*big.Int{}
		for _, outcome := range outcomes() {
			if outcome != Invalid { // such a row has no amount
				s.amounts[currency][outcome] = new(big.Int)
			}
		}
	}
	return s
}

func (s *sums) add(money *schemas.Money, outcome Outcome) {
	sum := s.amounts[money.GetCurrency()][outcome]
	sum.Add(sum, big.NewInt(money.GetMinorUnits()))
}

func (s *sums) finish() Summary {
	s.Amounts, s.Balances = map[string]map[Outcome]string{}, map[string]Balance{}
	for currency, byOutcome := range s.amounts {
		s.Amounts[currency] = map[Outcome]string{}
		for outcome, sum := range byOutcome {
			s.Amounts[currency][outcome] = decimal(sum, currency)
		}
		s.Balances[currency] = Balance{Frozen: decimal(s.frozen[currency], currency)}
	}
	return s.Summary
}

// decimal writes a sum, which is not below zero, with exactly the digits that its currency has.
func decimal(sum *big.Int, currency string) string {
	exponent, _ := schemas.Exponent(currency)
	digits := fmt.Sprintf("%0*s", exponent+1, sum.String())
	if exponent == 0 {
		return digits
	}
	return digits[:len(digits)-exponent] + "." + digits[len(digits)-exponent:]
}

func seconds(d time.Duration) json.Number {
	millis := strconv.FormatInt(d.Milliseconds(), 10)
	return json.Number(decimalPoint(millis))
}

func decimalPoint(millis string) string {
	millis = strings.Repeat("0", max(0, 4-len(millis))) + millis
	return millis[:len(millis)-3] + "." + millis[len(millis)-3:]
}

// JSON writes the summary as one object on a line.
func (s Summary) JSON(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(s); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// Table writes the summary for people.
func (s Summary) Table(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d orders in %s s, kafka %s, redis %s\n\n", s.Orders, s.Seconds, s.Kafka, s.Redis)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, err := io.WriteString(table, s.cells())
	err = errors.Join(err, table.Flush())
	fmt.Fprintf(&b, "\n%d invariants checked, %d violations\n", s.Invariants.Checked, s.Invariants.Violated)
	if err == nil {
		_, err = io.WriteString(w, b.String())
	}
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// cells are the table's, a tab after each.
func (s Summary) cells() string {
	var b strings.Builder
	currencies := slices.Sorted(maps.Keys(s.Amounts))
	b.WriteString("\torders\t")
	for _, currency := range currencies {
		b.WriteString(currency + "\t")
	}
	for _, outcome := range outcomes() {
		fmt.Fprintf(&b, "\n%s\t%d\t", outcome, s.Outcomes[outcome])
		for _, currency := range currencies {
			b.WriteString(s.Amounts[currency][outcome] + "\t")
		}
	}
	b.WriteString("\nfrozen\t\t")
	for _, currency := range currencies {
		b.WriteString(s.Balances[currency].Frozen + "\t")
	}
	b.WriteString("\n")
	return b.String()
}

// UsageError is one that whoever started the run mends.
type UsageError struct{ Err error }

// Error says what is wrong.
func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e UsageError) Unwrap() error { return e.Err }

// ViolatedError says that invariants are violated.
type ViolatedError struct {
	Violated int
	Details  []string
}

// Error lists the violations.
func (e ViolatedError) Error() string {
	return fmt.Sprintf("%d violations of invariants: %s", e.Violated, strings.Join(e.Details, "; "))
}

// Exit codes.
const (
	ExitDecided    = 0 // every order is decided, refused and declined ones included
	ExitUnfinished = 1
	ExitUsage      = 2
	ExitInvalid    = 3 // every order is decided, and some rows are none
)

// ExitCode is what a process that ran the demo exits with.
func ExitCode(s Summary, err error) int {
	var usage UsageError
	var fault batch.FaultError
	switch {
	case errors.As(err, &usage), errors.As(err, &fault):
		return ExitUsage
	case err != nil:
		return ExitUnfinished
	case s.Outcomes[Invalid] > 0:
		return ExitInvalid
	default:
		return ExitDecided
	}
}
