package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/producers/command"
	"github.com/aval-systems/aval/schemas"
)

func accountCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "account",
		Short: "Open accounts, move money on them, and see what they have",
		Long: `Open accounts, move money on them, and see what they have.

An account is BANK/NUMBER, such as AVALBRSP/0001-7. Whatever changes one is a command to the accounts book, which
decides all of them in order: these commands send one and wait for what the book recorded. Each has an id. The same id
with the same command changes nothing more and is answered with what stands; so what got no answer may be sent again.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(accountOpenCommand(), accountMoveCommand("credit"), accountMoveCommand("debit"),
		accountMarkCommand("block"), accountMarkCommand("unblock"), accountShowCommand(), accountListCommand(),
		accountHistoryCommand())
	return c
}

// commandFlags are those of a command that sends one to a book and waits for the answer.
type commandFlags struct {
	serverFlags

	id      string
	timeout time.Duration
	format  output
}

// timeoutDefault is how long an answer is waited for.
const timeoutDefault = 30 * time.Second

func (f *commandFlags) register(c *cobra.Command, id string) {
	f.serverFlags.register(c, groupTrace)
	f.format.register(c)
	c.Flags().StringVar(&f.id, "id", "", "what makes the command one, so that it is safe to repeat (default: "+id+")")
	c.Flags().DurationVar(&f.timeout, "timeout", timeoutDefault, "how long to wait for the answer")
}

// randomID is an identifier that nothing else has.
func randomID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails
	return hex.EncodeToString(random[:])
}

// send sends a movement and prints what the book recorded.
func (f *commandFlags) send(ctx context.Context, m *schemas.Movement, stdout, stderr io.Writer) error {
	if f.timeout <= 0 {
		return usage("--timeout %v, must be above 0", f.timeout)
	}
	random := f.id == ""
	if random {
		f.id = randomID()
	}
	now := time.Now().UTC()
	if _, _, err := schemas.Encode(schemas.Message{
		Attributes: schemas.Attributes{ID: f.id, Source: "/aval/account", Time: now}, Body: m,
	}); err != nil { // what can never be sent is said before anybody is waited for
		return usage("%w", inOneLine(err))
	}
	s, err := connect(ctx, f.place(), f.logger(stderr))
	if err != nil {
		return err
	}
	defer s.close() //nolint:errcheck // everything was flushed
	if random {     // whoever is cut off can repeat it
		_, _ = fmt.Fprintf(stderr, "%s of %s: --id %s repeats this one\n", verbOf(m), m.GetAccount(), f.id)
	}
	answer, err := f.ask(ctx, s, m)
	if err != nil {
		return err
	}
	told := s.accountAnswer(ctx, m, answer)
	if err := printOne(stdout, f.format, told, answerColumns()...); err != nil {
		return err
	}
	return told.refusal()
}

// ask sends a command and waits for the answer, for as long as it should.
func (f *commandFlags) ask(ctx context.Context, s *system, body proto.Message) (command.Answer, error) {
	late := fmt.Errorf("it was waited for %v: --timeout", f.timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, late)
	defer cancel()
	answers, err := s.books().Send(ctx, command.Command{ID: f.id, Time: time.Now().UTC(), Body: body})
	if unanswered := (*command.UnansweredError)(nil); errors.As(err, &unanswered) {
		return command.Answer{}, fmt.Errorf("%w: --id %s", err, f.id)
	}
	if err != nil {
		return command.Answer{}, err
	}
	return answers[0], nil
}

// books sends commands to the books.
func (s *system) books() command.Client {
	return command.Client{Publisher: s.entrance(), Log: s.kafka, Marks: s.kafka, Partitions: s.partitions}
}

func accountOpenCommand() *cobra.Command {
	var f commandFlags
	var kind, holder, funds, currency string
	c := &cobra.Command{
		Use:   "open ACCOUNT --holder PARTY --currency CODE",
		Short: "Open an account, funded in the same act",
		Long: `Open an account, funded in the same act: a deposit has its first balance, a credit account its limit.

Its id is derived from all that is said of it, so that opening it again in the same words is answered as a repeat, and
in others as a conflict: an account is opened once.`,
		Example: `  aval account open AVALBRSP/0001-7 --holder maria --funds 100.00 --currency BRL
  aval account open AVALBRSP/0002-5 --kind credit --holder maria --funds 5000 --currency BRL -o json`,
		Args: oneArgument("ACCOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			money, err := parseFunds(funds, currency)
			if err != nil {
				return err
			}
			of, err := parseKind(kind)
			if err != nil {
				return err
			}
			open := &schemas.Open{Kind: of, Holder: holder, Funds: money}
			if f.id == "" {
				f.id = schemas.OpenID(args[0], open)
			}
			m := &schemas.Movement{Account: args[0], Verb: &schemas.Movement_Open{Open: open}}
			return failed(f.send(c.Context(), m, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "derived from account, kind, holder and funds")
	c.Flags().StringVar(&kind, "kind", "deposit", "deposit (own money) or credit (a line)")
	c.Flags().StringVar(&holder, "holder", "", "the party that holds it")
	c.Flags().StringVar(&funds, "funds", "0", "first balance, or limit, with a point before the minor units: 100.00")
	c.Flags().StringVar(&currency, "currency", "", "its currency, a code of ISO 4217: BRL")
	completeWords(c, "kind", "deposit", "credit")
	completeWords(c, "currency", schemas.Currencies()...)
	required(c, "holder", "currency")
	return c
}

// accountMoveCommand is credit or debit.
func accountMoveCommand(verb string) *cobra.Command {
	var f commandFlags
	var amount, currency, contra string
	what := map[string][2]string{
		"credit": {"Add money to an account", "to a deposit's balance, or against what is drawn of a credit account"},
		"debit":  {"Take money from an account", "from what is available of a deposit, or of a credit account's limit"},
	}[verb]
	c := &cobra.Command{
		Use:   verb + " ACCOUNT --amount AMOUNT --currency CODE",
		Short: what[0],
		Long: what[0] + ": " + what[1] + `.

The id is random, and printed before the command is sent: give it as --id to repeat what got no answer, which moves the
money once at most.`,
		Example: fmt.Sprintf(`  aval account %[1]s AVALBRSP/0001-7 --amount 12.50 --currency BRL
  aval account %[1]s AVALBRSP/0001-7 --amount 12.50 --currency BRL --id payment-4711`, verb),
		Args: oneArgument("ACCOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			money, err := schemas.ParseMoney(amount, currency)
			if err != nil {
				return usage("--amount, --currency: %w", err)
			}
			against, ok := schemas.Contra_value["CONTRA_"+strings.ToUpper(contra)]
			if !ok || against == 0 {
				return usage("--contra %q, must be genesis or clearing", contra)
			}
			m := &schemas.Movement{Account: args[0]}
			if verb == "credit" {
				of := &schemas.Credit{Amount: money, Contra: schemas.Contra(against)}
				m.Verb = &schemas.Movement_Credit{Credit: of}
			} else {
				of := &schemas.Debit{Amount: money, Contra: schemas.Contra(against)}
				m.Verb = &schemas.Movement_Debit{Debit: of}
			}
			return failed(f.send(c.Context(), m, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "a random one")
	c.Flags().StringVar(&amount, "amount", "", "how much, with a point before the minor units: 12.50")
	c.Flags().StringVar(&currency, "currency", "", "the account's currency, a code of ISO 4217: BRL")
	c.Flags().StringVar(&contra, "contra", "genesis",
		"the book's account on the other side: genesis (the world outside) or clearing (settlements)")
	completeWords(c, "contra", "genesis", "clearing")
	completeWords(c, "currency", schemas.Currencies()...)
	required(c, "amount", "currency")
	return c
}

// accountMarkCommand is block or unblock.
func accountMarkCommand(verb string) *cobra.Command {
	var f commandFlags
	what := map[string][2]string{
		"block": {
			"Let no new money move on an account",
			"Let no new hold, credit or debit pass. What secures certificates is still paid out of its holds.",
		},
		"unblock": {"End the block of an account", "End the block of an account."},
	}[verb]
	c := &cobra.Command{
		Use:     verb + " ACCOUNT",
		Short:   what[0],
		Long:    what[1] + ` An account that is in that state already refuses it as unchanged.`,
		Example: `  aval account ` + verb + ` AVALBRSP/0001-7`,
		Args:    oneArgument("ACCOUNT"),
		RunE: func(c *cobra.Command, args []string) error {
			m := &schemas.Movement{Account: args[0], Verb: &schemas.Movement_Block{Block: &schemas.Block{}}}
			if verb == "unblock" {
				m.Verb = &schemas.Movement_Unblock{Unblock: &schemas.Unblock{}}
			}
			return failed(f.send(c.Context(), m, c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, "a random one")
	return c
}

// parseFunds reads what an account is opened with: an amount, or nothing.
func parseFunds(text, currency string) (*schemas.Money, error) {
	if _, ok := schemas.Exponent(currency); !ok {
		return nil, noCurrency(currency)
	}
	money, err := schemas.ParseMoney(text, currency)
	if err == nil {
		return money, nil
	}
	if before, zero := strings.CutSuffix(text, "0"); zero && strings.Trim(before, "0.") == "" {
		if _, err := schemas.ParseMoney(before+"1", currency); err == nil { // it has the form of an amount
			return &schemas.Money{Currency: currency}, nil
		}
	}
	return nil, usage("--funds: %w", err)
}

func noCurrency(text string) error {
	return usage("--currency %q, must be a code of ISO 4217: %s", text, strings.Join(schemas.Currencies(), " "))
}

func parseKind(word string) (schemas.AccountKind, error) {
	switch word {
	case "deposit":
		return schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, nil
	case "credit":
		return schemas.AccountKind_ACCOUNT_KIND_CREDIT, nil
	}
	return 0, usage("--kind %q, must be deposit or credit", word)
}

// completeWords lets a shell offer words for a flag.
func completeWords(c *cobra.Command, flag string, words ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// required makes flags required.
func required(c *cobra.Command, flags ...string) {
	for _, flag := range flags {
		_ = c.MarkFlagRequired(flag)
	}
}

// inOneLine writes joined errors one after the other.
func inOneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// accounts is the accounts book's state.
func (s *system) accounts() accountStore { return accountStore{s.store(ledger.Book{}), s.partitions} }
