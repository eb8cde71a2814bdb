package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	offsetsTopic      = "__consumer_offsets"
	transactionsTopic = "__transaction_state"
)

// checkKafka asks every broker whom it knows, and every coordinator what a client asks first.
func checkKafka(ctx context.Context, addresses []string, brokers int) error {
	if len(addresses) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*tryTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses...), kgo.DialTimeout(tryTimeout),
		kgo.RequestTimeoutOverhead(tryTimeout), kgo.RetryTimeout(tryTimeout), kgo.RequestRetries(3),
		kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for i, seed := range client.SeedBrokers() {
		if err := checkBroker(ctx, seed, brokers); err != nil {
			return fmt.Errorf("ask Kafka at %s: %w", addresses[i], err)
		}
	}
	if err := checkCoordinators(ctx, client, brokers); err != nil {
		return fmt.Errorf("ask Kafka's coordinators: %w", err)
	}
	return nil
}

func checkBroker(ctx context.Context, seed *kgo.Broker, brokers int) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
	response, err := seed.Request(ctx, request)
	if err != nil {
		return err
	}
	if metadata, ok := response.(*kmsg.MetadataResponse); !ok || len(metadata.Brokers) < brokers {
		return fmt.Errorf("it does not know all of %d brokers yet", brokers)
	}
	return nil
}

func checkCoordinators(ctx context.Context, client *kgo.Client, brokers int) error {
	// The first question of each kind makes the broker create the topic, if it has none.
	if err := askGroup(ctx, client, name(0, 1)); err != nil {
		return err
	}
	if err := askTransaction(ctx, client, name(0, 1)); err != nil {
		return err
	}
	groups, err := partitions(ctx, client, offsetsTopic, brokers)
	if err != nil {
		return err
	}
	for p := range groups {
		if err := askGroup(ctx, client, name(p, groups)); err != nil {
			return err
		}
	}
	transactions, err := partitions(ctx, client, transactionsTopic, brokers)
	if err != nil {
		return err
	}
	for p := range transactions {
		if err := askTransaction(ctx, client, name(p, transactions)); err != nil {
			return err
		}
	}
	return nil
}

func askGroup(ctx context.Context, client *kgo.Client, group string) error {
	request := kmsg.NewPtrOffsetFetchRequest()
	wanted := kmsg.NewOffsetFetchRequestGroup()
	wanted.Group = group
	request.Groups = append(request.Groups, wanted)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("ask for offsets: %w", err)
	}
	if len(response.Groups) != 1 {
		return fmt.Errorf("ask for the offsets of 1 group: answers for %d", len(response.Groups))
	}
	return kerr.ErrorForCode(response.Groups[0].ErrorCode)
}

func askTransaction(ctx context.Context, client *kgo.Client, id string) error {
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID = &id
	request.TransactionTimeoutMillis = 60_000
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("ask for a producer id: %w", err)
	}
	return kerr.ErrorForCode(response.ErrorCode)
}

// partitions returns how many the topic has, if all of them have as many replicas in sync as they can have.
func partitions(ctx context.Context, client *kgo.Client, topic string, brokers int) (int, error) {
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = &topic
	request.Topics = append(request.Topics, wanted)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	found := response.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return 0, fmt.Errorf("%s: %w", topic, err)
	}
	for _, p := range found.Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return 0, fmt.Errorf("%s/%d: %w", topic, p.Partition, err)
		}
		if len(p.ISR) < min(brokers, len(p.Replicas)) {
			return 0, fmt.Errorf("%s/%d: %d of %d replicas are in sync",
				topic, p.Partition, len(p.ISR), len(p.Replicas))
		}
	}
	return len(found.Partitions), nil
}

// name returns a group or transactional id whose coordinator is the given one of so many partitions.
func name(partition, of int) string {
	for n := 0; ; n++ {
		candidate := fmt.Sprintf("aval-ready-%d", n)
		if int(hash(candidate)&0x7fffffff)%of == partition {
			return candidate
		}
	}
}

// hash is Java's String.hashCode, by which Kafka picks coordinators.
func hash(s string) int32 {
	var h int32
	for i := range len(s) {
		h = 31*h + int32(s[i])
	}
	return h
}
