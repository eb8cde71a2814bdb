// Package audit checks the invariants of the whole system of a namespace.
//
//	reads   every topic, and the state of both books
//	effect  none
//	emits   a report: what was checked, and every violation
//
// It believes no stage: it folds the journals itself, by what the verbs mean, and compares its own balances
// with what the journals say has changed, with Redis, and with the certificates. It may run while the system
// works.
//
// One sweep reads effects before their causes: certificates, refusals, entries, movements, pre-issues,
// issuance requests, invitations. A cause is durable before its effect is, so whatever an effect follows from
// is read in the same sweep, and its absence is a violation. An effect may be late; how late it may be stands
// in Config.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// Log is the part of pipeline.Log that an audit needs.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64,
		visit func([]pipeline.Record) error,
	) error
}

// State is what Redis holds of the books.
type State interface {
	// State returns a book's shard as it stood at one moment: the command offset decided up to, the digest of
	// the history up to there, and the rows of the tables by table and field. Nothing of a shard that was
	// never used.
	State(ctx context.Context, book string, shard int) (
		at int64, digest string, tables map[string]map[string]string, err error)
}

// Names of the books.
const (
	BookAccounts  = "accounts"
	BookPreIssues = "pre-issues"
)

// Defaults of Config.
const (
	AttemptsDefault = 50
	PauseDefault    = 100 * time.Millisecond
)

// ViolationsMax is how many violations a report lists; it counts all.
const ViolationsMax = 100

// Config is what an audit needs to know.
type Config struct {
	Log        Log
	State      State
	Partitions int // of every keyed topic

	// AtRest says that nobody is at work and nothing is on its way: then every effect must be there. Else
	// what lies behind the position that its stage has reached must come within Attempts, and the rest may.
	AtRest bool
	// Canaries are texts that must occur nowhere: values that were planted in what must not be told on.
	Canaries []string
	// Attempts bounds how often the audit looks again, Pause apart, for what may be on its way: Redis is one
	// batch ahead of the journal, a stage is in the middle of its batch. Zero: the defaults.
	Attempts int
	Pause    time.Duration
}

func (c Config) withDefaults() Config {
	c.Attempts = cmp.Or(c.Attempts, AttemptsDefault)
	c.Pause = cmp.Or(c.Pause, PauseDefault)
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.Log == nil {
		errs = append(errs, errors.New("log is missing"))
	}
	if c.State == nil {
		errs = append(errs, errors.New("state is missing"))
	}
	if c.Partitions < 1 {
		errs = append(errs, fmt.Errorf("partitions is %d, must be at least 1", c.Partitions))
	}
	for _, canary := range c.Canaries {
		if canary == "" {
			errs = append(errs, errors.New("a canary is empty: it occurs everywhere"))
		}
	}
	return errors.Join(errs...)
}

// Report is what an audit found.
type Report struct {
	Checked    []string    // the invariants that were checked
	Violations []Violation // the first ViolationsMax of them
	Total      int         // how many violations there are

	Records      int64 // that were read, of all topics
	Invitations  int   // different ones, by content
	Certificates int   // different ones
	Refusals     int   // different ones
	Holds        int   // live ones

	// Accounts are the balances that Redis held when its shard was compared. The internal accounts of the
	// shards are added up.
	Accounts map[string]Account
}

// OK says that nothing violates an invariant.
func (r Report) OK() bool { return r.Total == 0 }

// Violation is something that must never be.
type Violation struct {
	Invariant string // "I-3"
	Shard     int    // -1: of no single shard
	Where     string // topic/partition/offset, or a table in Redis
	What      string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s at %s: %s", v.Invariant, v.Where, v.What)
}

// Run audits the namespace. An error says what could not be checked: the report tells of the rest.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	a := newAuditor(c.withDefaults())
	err := a.run(ctx)
	return a.done(), err
}

// checked are the invariants that an audit checks.
func checked() []string {
	return []string{
		"I-1", "I-2", "I-3", "I-4", "I-5", "I-6", "I-8", "I-10", "I-12", "I-13", "I-14", "I-16", "I-22", "I-23",
	}
}

// auditor is an audit at work.
type auditor struct {
	Config
	report    Report
	facts     *facts
	steps     []step // of a sweep, effects before causes
	unchecked []error
	late      map[string]bool // what was late at the first judgement
}

// step reads a part of what there is, from where it was left.
type step func(ctx context.Context, first bool) error

func newAuditor(c Config) *auditor {
	a := &auditor{
		Config: c, report: Report{Checked: checked(), Accounts: map[string]Account{}},
		facts: newFacts(), late: map[string]bool{},
	}
	accounts := func(number int) fold { return newLedger(number, a.facts, a.violate) }
	preIssues := func(number int) fold { return newPreIssues(number, a.facts, a.violate) }
	a.plain(schemas.TopicReceipts, nil)
	a.plain(schemas.TopicNoticeRetries, nil)
	a.plain(schemas.TopicNotices, nil)
	a.plain(schemas.TopicCertificates, a.certificate)
	a.plain(schemas.TopicRefusals, a.refusal)
	a.book(BookAccounts, schemas.TopicEntries, schemas.TopicMovements, accounts)
	a.book(BookPreIssues, schemas.TopicPreIssues, schemas.TopicIssuanceRequests, preIssues)
	a.plain(schemas.TopicInvitations, a.invitation)
	a.plain(schemas.TopicDirectory, nil)
	a.plain(schemas.TopicAudits, nil)
	a.plain(schemas.TopicDeadLetters, a.deadLetter)
	return a
}

func (a *auditor) run(ctx context.Context) error {
	for attempt := range a.Attempts {
		first, last := attempt == 0, attempt == a.Attempts-1
		if !first {
			if err := pipeline.Pause(ctx, a.Pause); err != nil {
				return err
			}
		}
		if err := a.sweep(ctx, first); err != nil {
			return err // what was read does not belong together: it is not judged
		}
		j := a.judge(first)
		if j.late > 0 && !last {
			continue
		}
		for _, v := range j.found {
			a.violate(v)
		}
		break
	}
	return errors.Join(a.unchecked...)
}

func (a *auditor) sweep(ctx context.Context, first bool) error {
	for _, step := range a.steps {
		if err := step(ctx, first); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) violate(v Violation) {
	a.report.Total++
	if len(a.report.Violations) < ViolationsMax {
		a.report.Violations = append(a.report.Violations, v)
	}
}

func (a *auditor) done() Report {
	a.facts.count(&a.report)
	return a.report
}
