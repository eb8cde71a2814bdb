package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/register"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

// limitDefault is how many are listed at most.
const limitDefault = 100

// listFlags say what is listed.
type listFlags struct {
	serverFlags

	state                    string
	seller, buyer, reference string
	issuing, receiving       string
	since                    string
	limit                    int
	page                     string
	follow, quiet            bool
	format                   output

	from time.Time // since
}

// stateWords are those that can be listed.
func stateWords() []string {
	return []string{
		string(register.StateIssued), string(register.StateRefused), string(register.StateDeclined),
		string(register.StateWithdrawn), string(register.StateLapsed), string(register.StateOpen),
		string(register.StateRequested), string(register.StateInvited),
	}
}

func certificateListCommand() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List certificates, or what became none",
		Long: `List certificates, the newest first, or with --state what has not become one:

  issued      the certificates (default)
  refused     the bank does not guarantee, or nobody vouched; the reason is what the seller may know
  declined    by the buyer
  withdrawn   by the seller
  lapsed      nobody answered in time
  open        the pre-issue waits for the buyer's answer
  requested   the buyer has answered, the money is not decided on yet
  invited     nobody has offered yet

They are read in the log from its end back, so that however many there are takes no memory; where few of many are
wanted, --since says where to stop. After --limit of them the next page is named.`,
		Example: `  aval certificate list --seller shop --since 24h
  aval certificate list --state refused --issuing-bank AVALBRSPISS -o ndjson
  aval certificate list --state requested --limit 0
  aval certificate list --follow -o ndjson`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.follow && !c.Flags().Changed("limit") {
				f.limit = 0
			}
			if err := f.check(time.Now()); err != nil {
				return err
			}
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.state, "state", string(register.StateIssued), "how far they have come: "+
		strings.Join(stateWords(), ", "))
	completeWords(c, "state", stateWords()...)
	c.Flags().StringVar(&f.page, "page", "", "go on after a page, in the words that it ended with")
	c.Flags().BoolVar(&f.follow, "follow", false, "print those that come from now on, until it is interrupted")
	return c
}

// register gives the command what all lists of certificates and pre-issues have.
func (f *listFlags) register(c *cobra.Command) {
	f.serverFlags.register(c)
	f.format.register(c)
	c.Flags().StringVar(&f.seller, "seller", "", "only those of the seller")
	c.Flags().StringVar(&f.buyer, "buyer", "", "only those of the buyer")
	c.Flags().StringVar(&f.reference, "reference", "", "only those with the seller's reference")
	c.Flags().StringVar(&f.issuing, "issuing-bank", "", "only those that the bank issues: a BIC")
	c.Flags().StringVar(&f.receiving, "receiving-bank", "", "only those that the bank receives: a BIC")
	c.Flags().StringVar(&f.since, "since", "", "only later ones: a time (RFC 3339), or how long ago: 90m, 24h, 7d")
	c.Flags().IntVar(&f.limit, "limit", limitDefault, "at most so many; 0: all")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but the ids, one a line")
}

// check refuses what contradicts itself.
func (f *listFlags) check(now time.Time) error {
	if !slices.Contains(stateWords(), f.state) {
		return usage("--state %q is none%s; there are %s", f.state, didYouMean(f.state, stateWords()),
			strings.Join(stateWords(), ", "))
	}
	if f.limit < 0 {
		return usage("--limit %d, must not be below 0", f.limit)
	}
	state := register.State(f.state)
	if !state.Final() && f.follow {
		return usage("--follow is for what is final, --state %s is not; follow one with aval invitation show --follow",
			f.state)
	}
	if f.page != "" && (f.follow || state == register.StateOpen) {
		return usage("--page goes neither with --follow nor with --state open")
	}
	var err error
	f.from, err = sinceTime(f.since, now)
	return err
}

// sinceTime reads a time, or how long ago it was.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	duration := text
	days := time.Duration(0)
	if before, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(before+".", "%d.", &n); err != nil || n < 0 || n > 36500 {
			return time.Time{}, noSince(text)
		}
		days, duration = time.Duration(n)*24*time.Hour, "0"
	}
	ago, err := time.ParseDuration(duration)
	if err != nil || ago < 0 {
		return time.Time{}, noSince(text)
	}
	return now.Add(-ago - days), nil
}

func noSince(text string) error {
	return usage("--since %q, must be a time (2026-01-31T10:00:00Z), or how long ago: 90m, 24h, 7d", text)
}

// listed is one of a list.
type listed struct {
	Time          string `json:"time"`
	State         string `json:"state"`
	InvitationID  string `json:"invitation_id"`
	CertificateID string `json:"certificate_id,omitempty"`
	Reason        string `json:"reason,omitempty"`
	agreed

	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	JWS       string `json:"jws,omitempty"`

	id string // of the message
}

// takes says whether what is known of it is what is listed.
func (f *listFlags) takes(a agreed) bool {
	return f.takesSide(a.Seller, a.Reference) && (f.buyer == "" || f.buyer == a.Buyer) &&
		(f.issuing == "" || f.issuing == a.IssuingBank) && (f.receiving == "" || f.receiving == a.ReceivingBank)
}

func (f *listFlags) takesSide(seller, reference string) bool {
	return (f.seller == "" || f.seller == seller) && (f.reference == "" || f.reference == reference)
}

func (f *listFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	s, err := connect(ctx, f.place(), f.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // nothing was written
	l := &list{listFlags: f, system: s, stories: s.stories(), progress: lateProgress(stderr), stderr: stderr}
	if f.follow {
		l.progress = demo.Silent{}
	}
	l.printer = newPrinter(stdout, f.format, l.columns()...)
	l.stdout = stdout
	switch {
	case f.follow:
		return l.followOn(ctx)
	case register.State(f.state) == register.StateOpen:
		return l.open(ctx)
	}
	return l.back(ctx)
}

// lateProgress shows people how far something has come that takes longer than a moment.
func lateProgress(stderr io.Writer) demo.Progress {
	if isTerminal(stderr) {
		if progress, err := demo.NewProgress(demo.ProgressAuto, stderr, true); err == nil {
			return demo.Late(progress, time.Now)
		}
	}
	return demo.Silent{}
}

// list is a list that is being printed.
type list struct {
	*listFlags

	system   *system
	stories  *register.Stories
	progress demo.Progress
	printer  *printer[listed]
	stdout   io.Writer
	stderr   io.Writer
	count    int
	seen     map[string]bool // messages that were listed: what follows may stand twice in the log
}

// seenMax bounds what is remembered: what was published twice stands near to itself.
const seenMax = 20_000

// print prints one, unless it was printed before.
func (l *list) print(x listed) error {
	if l.seen[x.id] {
		return nil
	}
	if len(l.seen) >= seenMax || l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[x.id] = true
	l.count++
	if !l.quiet {
		return l.printer.print(x)
	}
	_, err := fmt.Fprintln(l.stdout, x.name())
	return err
}

func (l *list) close() error {
	if l.quiet {
		return nil
	}
	return l.printer.close()
}

// name is what other commands call it by.
func (x listed) name() string {
	if x.CertificateID != "" {
		return x.CertificateID
	}
	return x.InvitationID
}

func (l *list) columns() []column[listed] {
	id := column[listed]{"invitation", func(x listed) string { return x.InvitationID }}
	if register.State(l.state) == register.StateIssued {
		id = column[listed]{"certificate", func(x listed) string { return x.CertificateID }}
	}
	columns := []column[listed]{
		id,
		{"time", func(x listed) string { return x.Time }},
		{"amount", func(x listed) string { return x.Amount.money() }},
		{"buyer", func(x listed) string { return cell(x.Buyer) }},
		{"seller", func(x listed) string { return cell(x.Seller) }},
		{"reference", func(x listed) string { return cell(x.Reference) }},
		{"issuing bank", func(x listed) string { return x.IssuingBank }},
	}
	switch register.State(l.state) {
	case register.StateRefused:
		columns = append(columns, column[listed]{"reason", func(x listed) string { return x.Reason }})
	case register.StateOpen:
		columns = append(columns, column[listed]{"account", func(x listed) string {
			if x.IssuingAccount == "" {
				return "to be entered"
			}
			return cell(x.IssuingAccount)
		}})
	case register.StateIssued, register.StateDeclined, register.StateWithdrawn, register.StateLapsed,
		register.StateRequested, register.StateInvited:
	}
	return columns
}

// listedOf begins a line of the list with what the log tells.
func listedOf(f register.Fact, state register.State, a agreed) listed {
	return listed{
		Time: moment(f.Time), State: string(state), InvitationID: f.Invitation(), agreed: a,
		Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, id: f.ID,
	}
}

// refusedAs is the state that a refusal means, unless something else stands beside it.
func refusedAs(reason schemas.Reason) register.State {
	switch reason { //nolint:exhaustive // every other one is a refusal
	case schemas.Reason_REASON_DECLINED:
		return register.StateDeclined
	case schemas.Reason_REASON_WITHDRAWN:
		return register.StateWithdrawn
	case schemas.Reason_REASON_LAPSED:
		return register.StateLapsed
	}
	return register.StateRefused
}
