// Package demo plays the parties of a file of orders: it opens their accounts, submits the orders as
// invitations, lets buyers answer, waits until all is decided, and tells what became of each.
//
//	reads   a file of orders, directory, entries, pre-issues, certificates, refusals, notices
//	effect  writes the report and the certificates into files
//	emits   directory, movements (open), invitations, issuance-requests (request, decline)
//
// It is only a client of the pipeline: every fact that it tells comes from the log, or from those who read
// the accounts. It keeps nothing of its own: started again anywhere, it finds in the log how far it had come.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/batch"
	"github.com/aval-systems/aval/schemas"
)

const source = "/aval/demo"

// Config is what a run needs to know.
type Config struct {
	Orders       string // path of the orders
	Funds        string // what each buyer's account is opened with, in whatever currency it has
	Report       string // path of the report; empty for none
	Certificates string // path of the certificates; their keys go to the same with .jwks; empty for none

	// Keys are the public keys of the demo's banks, the last of each signs. Nil says that the stages run
	// elsewhere, with keys of their own: then the directory that is there is used.
	Keys       map[string][]*schemas.PublicKey
	Partitions int // of every keyed topic

	Kafka string // what the summary says about where it ran
	Redis string

	Window   int              // rows on their way at a time; zero: WindowDefault
	Now      func() time.Time // the time at which messages are taken in
	Progress Progress         // nil for none
	Logger   *slog.Logger
}

// Deps are the parts of the pipeline that a run uses.
type Deps struct {
	Publisher pipeline.Publisher
	Log       Log
	// Audit checks the invariants and reads the accounts.
	Audit func(ctx context.Context) (Audit, error)
}

// Audit is what an audit found.
type Audit struct {
	Checked  int      // invariants that were checked
	Violated int      // violations
	Details  []string // of the violations, or some of them
	// Frozen is what of a buyer's account is frozen, or held of its line; ok says whether the account exists.
	Frozen func(account string) (minor int64, ok bool)
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Orders == "" {
		errs = append(errs, errors.New("give --orders FILE"))
	}
	if c.Funds == "" {
		errs = append(errs, errors.New("give --funds AMOUNT"))
	}
	if c.Partitions < 1 {
		errs = append(errs, fmt.Errorf("%d partitions, must be at least 1", c.Partitions))
	}
	if c.Window < 0 {
		errs = append(errs, fmt.Errorf("a window of %d rows, must not be below 0", c.Window))
	}
	if c.Now == nil || c.Logger == nil {
		errs = append(errs, errors.New("clock and logger must be given"))
	}
	return errors.Join(errs...)
}

// Check says what is wrong with the files and the funds, before anything is begun and anybody is waited for.
func Check(c Config) error {
	if err := checkOutputs(c); err != nil {
		return UsageError{Err: err}
	}
	if err := checkFunds(c.Funds); err != nil {
		return err
	}
	_, err := batch.Scan(c.Orders)
	return err
}

// Run runs the demo. With an error of an audit that found violations the summary is there nevertheless.
func Run(ctx context.Context, c Config, d Deps) (Summary, error) {
	if c.Progress == nil {
		c.Progress = Silent{}
	}
	if err := errors.Join(c.Validate(), checkOutputs(c)); err != nil {
		return Summary{}, UsageError{Err: err}
	}
	r := &run{
		Config: c, deps: d, tracker: NewTracker(c.Window), began: c.Now(), currencies: map[string]*schemas.Money{},
	}
	if err := r.plan(); err != nil {
		return Summary{}, err
	}
	if err := r.drive(ctx); err != nil {
		return Summary{}, err
	}
	return r.report(ctx)
}

// run is a run at work.
type run struct {
	Config

	deps       Deps
	tracker    *Tracker
	began      time.Time
	rows       int
	currencies map[string]*schemas.Money // of valid rows, and the funds in each
	directory  *schemas.Directory
	version    uint64 // of the directory
}

// plan reads the whole file first: what is wrong with it is said before anything is begun.
func (r *run) plan() error {
	if err := checkFunds(r.Funds); err != nil {
		return err
	}
	rows, err := batch.Scan(r.Orders)
	if err != nil {
		return err
	}
	r.rows = rows
	r.Progress.Stage("read orders", rows)
	defer r.Progress.Done()
	return r.orders(func(_ batch.Row, order batch.Order, reason string) error {
		r.Progress.Add(1)
		if reason != "" {
			return nil
		}
		funds, ok := r.currencies[order.Currency]
		if !ok {
			if funds, err = fundsIn(r.Funds, order.Currency); err != nil {
				return err
			}
			r.currencies[order.Currency] = funds
		}
		r.tracker.Plan(order, funds)
		return nil
	})
}

// orders visits the rows of the file, each with its order, or the reason why it is none.
func (r *run) orders(visit func(row batch.Row, order batch.Order, reason string) error) (err error) {
	in, err := batch.Open(r.Orders)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	rows := 0
	for row, err := range in.Rows() {
		if err != nil {
			return err
		}
		rows++
		order, reason := batch.Parse(row)
		if err := visit(row, order, reason); err != nil {
			return err
		}
	}
	if rows != r.rows {
		return fmt.Errorf("%s had %d rows and has %d now: it was changed meanwhile", r.Orders, r.rows, rows)
	}
	return nil
}

// fundsIn is what an account of the currency is opened with: an amount, or nothing.
func fundsIn(text, currency string) (*schemas.Money, error) {
	money, err := schemas.ParseMoney(text, currency)
	if err == nil {
		return money, nil
	}
	if before, zero := strings.CutSuffix(text, "0"); zero && strings.Trim(before, "0.") == "" {
		if _, err := schemas.ParseMoney(before+"1", currency); err == nil { // no faster way to see its form
			return &schemas.Money{Currency: currency}, nil
		}
	}
	return nil, UsageError{Err: fmt.Errorf("--funds: %w", err)}
}

// checkFunds refuses what is an amount in no currency.
func checkFunds(text string) error {
	_, err := fundsIn(text, "KWD") // the finest
	if _, large := fundsIn(text, "JPY"); err != nil && large != nil {
		return err
	}
	return nil
}
