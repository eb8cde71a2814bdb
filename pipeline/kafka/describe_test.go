package kafka_test

import (
	"slices"
	"testing"

	"github.com/aval-systems/aval/pipeline/kafka"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	c := connect(t, server(t))
	topic(t, c, "entries", 3)
	topics, err := c.Describe(t.Context(), []string{"absent", "entries"})
	if err != nil {
		t.Fatal(err)
	}
	if got := topics[0]; got.Name != "absent" || got.Partitions != 0 || got.Settings != nil {
		t.Errorf("of a topic that is not there it says %+v", got)
	}
	got := topics[1]
	if got.Name != "entries" || got.Partitions != 3 || got.Replication != 1 {
		t.Errorf("entries is %s with %d partitions on %d replicas", got.Name, got.Partitions, got.Replication)
	}
	if s := got.Settings["max.message.bytes"]; s != (kafka.Setting{Value: "262144", Own: true}) {
		t.Errorf("what the topic was made with is %+v", s)
	}
	if s := got.Settings["cleanup.policy"]; s != (kafka.Setting{Value: "delete"}) {
		t.Errorf("what it was not made with is %+v", s)
	}
}

func TestBrokers(t *testing.T) {
	t.Parallel()
	address := server(t)
	brokers, err := connect(t, address).Brokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(brokers, func(b kafka.Broker) bool { return b.Address == address }) {
		t.Errorf("%s is not among %+v", address, brokers)
	}
	for _, b := range brokers {
		if b.Settings["min.insync.replicas"].Value == "" {
			t.Errorf("broker %d says nothing of itself", b.ID)
		}
	}
}
