package command_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/advice"
	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/producers/command"
	"github.com/aval-systems/aval/schemas"
)

const (
	partitions = 3
	patience   = 30 * time.Second
)

// world is an accounts book, which runs or rests.
type world struct {
	log   *kafka.Client
	store *book.Store
	reads atomic.Int64 // where the journals were last read from, at the least
}

func newWorld(t *testing.T, at localtest.Pair) *world {
	t.Helper()
	space := localtest.Namespace(t)
	w := &world{store: book.NewStore(localtest.RedisClient(t, at.Redis), space, ledger.Book{})}
	log, err := kafka.New(t.Context(), kafka.Config{
		Brokers: strings.Split(at.Kafka, ","), Namespace: space, SessionTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.log = log
	t.Cleanup(func() { _ = log.Close() })
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Topics() {
		specs = append(specs, kafka.TopicSpec{
			Name: topic.Name, Partitions: topic.PartitionCount(partitions), Configs: topic.Config(),
		})
	}
	if err := log.EnsureTopics(t.Context(), specs, 1); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs the book, and one stage that follows it, until the returned function is called.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	runner := &book.Runner{
		Book: ledger.Book{}, Store: w.store, Log: w.log, Partitions: partitions, Owner: "test", Logger: logger,
		Now: time.Now,
	}
	follower := &pipeline.Follower{
		Publisher: w.log, Partitions: partitions, Logger: logger,
		IsJournal: func(topic string) bool { return topic == schemas.TopicEntries },
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		works := append(follower.Stage(advice.Stage()), runner.Work("ledger"))
		err := pipeline.Router{Consumer: w.log, Logger: logger}.Run(ctx, works...)
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	t.Cleanup(stop)
	return stop
}

// Bounds implements command.Log.
func (w *world) Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	return w.log.Bounds(ctx, topic, partition)
}

// Read implements command.Log, and remembers how far back it was asked to go.
func (w *world) Read(
	ctx context.Context, topic string, partition int, from, end int64, visit func([]pipeline.Record) error,
) error {
	for {
		least := w.reads.Load()
		if from >= least || w.reads.CompareAndSwap(least, from) {
			return w.log.Read(ctx, topic, partition, from, end, visit)
		}
	}
}

func (w *world) client() command.Client {
	return command.Client{Publisher: w.log, Log: w, Marks: w.log, Partitions: partitions}
}

func (w *world) send(t *testing.T, commands ...command.Command) []command.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answers, err := w.client().Send(ctx, commands...)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

const alice = "AVALBRSP/0001-7"

func brl(minor int64) *schemas.Money { return &schemas.Money{MinorUnits: minor, Currency: "BRL"} }

func open(id, account string, funds int64) command.Command {
	return command.Command{ID: id, Time: time.Now(), Body: &schemas.Movement{
		Account: account, Verb: &schemas.Movement_Open{Open: &schemas.Open{
			Kind: schemas.AccountKind_ACCOUNT_KIND_DEPOSIT, Holder: "alice", Funds: brl(funds),
		}},
	}}
}

func credit(id, account string, amount int64) command.Command {
	return command.Command{ID: id, Time: time.Now(), Body: &schemas.Movement{
		Account: account, Verb: &schemas.Movement_Credit{Credit: &schemas.Credit{
			Amount: brl(amount), Contra: schemas.Contra_CONTRA_GENESIS,
		}},
	}}
}

func debit(id, account string, amount int64) command.Command {
	return command.Command{ID: id, Time: time.Now(), Body: &schemas.Movement{
		Account: account, Verb: &schemas.Movement_Debit{Debit: &schemas.Debit{
			Amount: brl(amount), Contra: schemas.Contra_CONTRA_GENESIS,
		}},
	}}
}

// want compares an answer with words: outcome and reason.
func want(t *testing.T, a command.Answer, id string, outcome schemas.Outcome, reason schemas.Reason) {
	t.Helper()
	d := a.Decision
	if a.ID != id || d.GetOutcome() != outcome || d.GetReason() != reason {
		t.Errorf("the answer to %s is %s: %v (%v), want %s: %v (%v)", id, a.ID, d.GetOutcome(), d.GetReason(),
			id, outcome, reason)
	}
	stands := reason == schemas.Reason_REASON_UNSPECIFIED && outcome != schemas.Outcome_OUTCOME_CONFLICT
	if a.Stands() != stands {
		t.Errorf("%v (%v) stands: %v", outcome, reason, a.Stands())
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at)
			w.run(t)
			none, insufficient := schemas.Reason_REASON_UNSPECIFIED, schemas.Reason_REASON_INSUFFICIENT
			answers := w.send(t, open("o", alice, 100), debit("d", alice, 101), open("other", "AVALBRSP/2", 5),
				credit("c", alice, 1), debit("e", alice, 101))
			want(t, answers[0], "o", schemas.Outcome_OUTCOME_DONE, none)
			want(t, answers[1], "d", schemas.Outcome_OUTCOME_REFUSED, insufficient)
			want(t, answers[2], "other", schemas.Outcome_OUTCOME_DONE, none)
			want(t, answers[3], "c", schemas.Outcome_OUTCOME_DONE, none)
			want(t, answers[4], "e", schemas.Outcome_OUTCOME_DONE, none)
			entry, ok := answers[4].Item.(*schemas.Entry)
			if !ok || len(entry.GetDecision().GetChanges()) == 0 || entry.GetMovement().GetAccount() != alice {
				t.Errorf("the item is %v", answers[4].Item)
			}
			if at := schemas.PartitionOf([]byte(alice), partitions); answers[0].Partition != at ||
				answers[1].Offset <= answers[0].Offset {
				t.Errorf("the answers stand at %+v", answers)
			}

			again := w.send(t, open("o", alice, 100), debit("d", alice, 101), credit("c", alice, 2))
			want(t, again[0], "o", schemas.Outcome_OUTCOME_REPEAT, none)
			want(t, again[1], "d", schemas.Outcome_OUTCOME_REPEAT, insufficient)
			want(t, again[2], "c", schemas.Outcome_OUTCOME_CONFLICT, none)

			same := credit("twice", alice, 7)
			both := w.send(t, same, same)
			want(t, both[0], "twice", schemas.Outcome_OUTCOME_DONE, none)
			want(t, both[1], "twice", schemas.Outcome_OUTCOME_REPEAT, none)
		})
	}
}

// TestOthersAnswers has several send the same identifier at once, with another content or at another time: each hears
// of its own, and one was the first.
func TestOthersAnswers(t *testing.T) {
	t.Parallel()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at)
			w.run(t)
			w.send(t, open("o", alice, 0))
			for round := range 8 {
				var group sync.WaitGroup
				var done atomic.Int64
				first := credit(fmt.Sprint("id-", round), alice, 1)
				for sender := range 4 {
					mine := credit(first.ID, alice, int64(1+sender*(round%2)))
					mine.Time = first.Time.Add(time.Duration(sender * (1 - round%2)))
					group.Go(func() {
						a := w.send(t, mine)[0]
						item, _ := a.Item.(*schemas.Entry)
						if movement := item.GetMovement(); !proto.Equal(movement, mine.Body) {
							t.Errorf("who sent %v heard of %v", mine.Body, movement)
						}
						if a.Decision.GetOutcome() == schemas.Outcome_OUTCOME_DONE {
							done.Add(1)
						}
					})
				}
				group.Wait()
				if done.Load() != 1 {
					t.Errorf("%d of four were told that they were the first", done.Load())
				}
			}
		})
	}
}

// TestPosition has the journal read from where another reader has come, not from its beginning.
func TestPosition(t *testing.T) {
	t.Parallel()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at)
			w.run(t)
			w.send(t, open("o", alice, 0))
			for range 20 {
				w.send(t, credit(schemas.DeriveID("test", time.Now().String()), alice, 1))
			}
			group := pipeline.GroupOf("advice", schemas.TopicEntries)
			at := schemas.PartitionOf([]byte(alice), partitions)
			deadline := time.Now().Add(patience)
			for {
				marks, err := w.log.Committed(t.Context(), group, schemas.TopicEntries)
				if err != nil {
					t.Fatal(err)
				}
				if marks[at].Offset > 20 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the stage has committed %+v", marks)
				}
				time.Sleep(20 * time.Millisecond)
			}
			w.reads.Store(1 << 40)
			w.send(t, credit("last", alice, 1))
			if from := w.reads.Load(); from <= 20 {
				t.Errorf("the journal was read from %d on", from)
			}
		})
	}
}

// TestNoAnswer sends to a book that rests: what was sent is decided when it runs, and may be sent again.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	for _, at := range localtest.Servers(t) {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			command := open("o", alice, 100)
			answers, err := w.client().Send(ctx, command)
			wantUnanswered(t, err, true, "o", schemas.TopicMovements, "stage ledger", "safe")
			if len(answers) != 1 || answers[0].Decision != nil {
				t.Errorf("answers %+v", answers)
			}
			w.run(t)
			want(t, w.send(t, command)[0], "o", schemas.Outcome_OUTCOME_REPEAT, schemas.Reason_REASON_UNSPECIFIED)
		})
	}
}

func wantUnanswered(t *testing.T, err error, sent bool, says ...string) {
	t.Helper()
	var unanswered *command.UnansweredError
	if !errors.As(err, &unanswered) || unanswered.Sent != sent || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("without an answer: %v", err)
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
}

// TestNoKafka sends into the void.
func TestNoKafka(t *testing.T) {
	t.Parallel()
	log, err := kafka.New(t.Context(), kafka.Config{Brokers: []string{"127.0.0.1:1"}, Namespace: "n"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // it fails whatever it does
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	client := command.Client{Publisher: log, Log: log, Marks: log, Partitions: partitions}
	_, err = client.Send(ctx, open("o", alice, 1), open("p", "AVALBRSP/2", 1))
	wantUnanswered(t, err, false, "o and 1 more", "safe")
}

func TestWrongCommands(t *testing.T) {
	t.Parallel()
	client := command.Client{Partitions: partitions}
	for name, c := range map[string]struct {
		body proto.Message
		says string
	}{
		"no book's": {&schemas.Refusal{}, "must be a movement"},
		"a tick":    {&schemas.Movement{Verb: &schemas.Movement_Tick{Tick: &schemas.Tick{}}}, "tick"},
		"invalid":   {&schemas.Movement{Account: "?", Verb: &schemas.Movement_Block{}}, "BANK/NUMBER"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.Send(t.Context(), command.Command{ID: "x", Time: time.Unix(0, 0), Body: c.body})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %q", err, c.says)
			}
		})
	}
	if _, err := client.Send(t.Context(), make([]command.Command, command.CommandsMax+1)...); err == nil {
		t.Error("any number of commands can be sent")
	}
	if answers, err := client.Send(t.Context()); err != nil || len(answers) != 0 {
		t.Errorf("no commands: %v, %v", answers, err)
	}
}
