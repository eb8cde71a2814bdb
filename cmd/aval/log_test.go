package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/embedded"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/schemas"
)

// place is where a system lives, over several starts of the program.
type place struct {
	name  string
	flags []string // of the program
	// look opens the log of the system while no program works on it, and closes it after use.
	look func(t *testing.T, use func(*client))
}

// client reads a system's log, and writes to it what no program writes.
type client = kafka.Client

// places returns a new place for each kind of servers.
func places(t *testing.T) []place {
	t.Helper()
	all := []place{embeddedPlace(filepath.Join(t.TempDir(), "data"))}
	for _, pair := range localtest.Servers(t)[1:] {
		namespace := localtest.Namespace(t)
		all = append(all, place{
			name: pair.Name, flags: []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", namespace},
			look: func(t *testing.T, use func(*client)) {
				t.Helper()
				use(connect(t, pair.Kafka, namespace))
			},
		})
	}
	return all
}

// embeddedPlace is a folder in which embedded servers keep what they must.
func embeddedPlace(dir string) place {
	return place{
		name: "embedded", flags: []string{"--data-dir", dir},
		look: func(t *testing.T, use func(*client)) {
			t.Helper()
			servers, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := servers.Close(); err != nil {
					t.Error(err)
				}
			}()
			log := connect(t, servers.KafkaAddr, "aval")
			use(log)
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		},
	}
}

// connect returns a client of the log that lives as long as the test.
func connect(t *testing.T, brokers, namespace string) *client {
	t.Helper()
	log, err := kafka.New(t.Context(), kafka.Config{
		Brokers: strings.Split(brokers, ","), Namespace: namespace, ClientID: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

// records returns a topic's records, partition by partition.
func records(t *testing.T, log *client, topic string) (all [][]pipeline.Record) {
	t.Helper()
	partitions, err := log.Partitions(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for partition := range partitions {
		var found []pipeline.Record
		first, end, err := log.Bounds(t.Context(), topic, partition)
		if err == nil {
			err = log.Read(t.Context(), topic, partition, first, end, func(some []pipeline.Record) error {
				found = append(found, some...)
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found)
	}
	return all
}

// message is a message of a topic, with its identifier.
type message[T proto.Message] struct {
	schemas.Attributes
	body T
}

// messages returns what a topic that is no journal holds, of one kind.
func messages[T proto.Message](t *testing.T, log *client, topic string) (all []message[T]) {
	t.Helper()
	for _, partition := range records(t, log, topic) {
		for _, r := range partition {
			in, err := pipeline.Decode(r)
			if err != nil {
				continue // planted by a test
			}
			if body, ok := in.Body.(T); ok {
				all = append(all, message[T]{in.Attributes, body})
			}
		}
	}
	return all
}

// journal returns the items of a book's journal that count, partition by partition, and how many records did not.
func journal(t *testing.T, log *client, topic string) (all [][]pipeline.In, skipped int) {
	t.Helper()
	for _, partition := range records(t, log, topic) {
		var reader pipeline.Journal
		var items []pipeline.In
		for _, entry := range reader.Read(partition) {
			some, err := entry.Items()
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, some...)
		}
		all = append(all, items)
		skipped += reader.Skipped
	}
	return all, skipped
}

// outcomeOf is what the book decided on an item.
func outcomeOf(in pipeline.In) schemas.Outcome {
	item, ok := in.Body.(pipeline.Item)
	if !ok {
		return schemas.Outcome_OUTCOME_UNSPECIFIED
	}
	return item.GetDecision().GetOutcome()
}

// books are the journals of a system, as a test saw them at one time.
type books map[string][][]pipeline.In

func readBooks(t *testing.T, log *client) books {
	t.Helper()
	all := books{}
	for _, topic := range []string{schemas.TopicEntries, schemas.TopicPreIssues} {
		all[topic], _ = journal(t, log, topic)
	}
	return all
}

// gainedNothing fails the test if the journals now hold more than repeats and conflicts beyond what they held.
func (b books) gainedNothing(t *testing.T, now books) {
	t.Helper()
	for topic, partitions := range b {
		for p, before := range partitions {
			after := now[topic][p]
			if len(after) < len(before) {
				t.Errorf("%s/%d had %d items and has %d", topic, p, len(before), len(after))
				continue
			}
			for _, in := range after[len(before):] {
				outcome := outcomeOf(in)
				if isTick(in) { // time passes meanwhile
					continue
				}
				if outcome != schemas.Outcome_OUTCOME_REPEAT && outcome != schemas.Outcome_OUTCOME_CONFLICT {
					t.Errorf("%s/%d gained %v at %d: %v", topic, p, outcome, in.Offset, in.Body)
				}
			}
		}
	}
}

func isTick(in pipeline.In) bool {
	switch item := in.Body.(type) {
	case *schemas.Entry:
		return item.GetMovement().GetTick() != nil
	case *schemas.PreIssue:
		return item.GetRequest().GetTick() != nil
	}
	return false
}

// items counts those of all journals.
func (b books) items() (n int) {
	for _, partitions := range b {
		for _, items := range partitions {
			n += len(items)
		}
	}
	return n
}
