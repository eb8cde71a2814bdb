package main_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// admin changes what a Kafka is set to.
type admin struct{ client *kgo.Client }

func newAdmin(t *testing.T, brokers string) admin {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return admin{client}
}

// alter sets a topic, or a broker by its id, to something, and returns what takes it back.
func (a admin) alter(t *testing.T, kind kmsg.ConfigResourceType, name, setting, value string) (back func()) {
	t.Helper()
	before := a.own(t, a.client, kind, name, setting)
	a.set(t, kind, name, setting, &value)
	return func() { a.set(t, kind, name, setting, before) }
}

// set sets something, or takes back what it was set to, and waits until all brokers know.
func (a admin) set(t *testing.T, kind kmsg.ConfigResourceType, name, setting string, value *string) {
	t.Helper()
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kind, name
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value, config.Op = setting, value, kmsg.IncrementalAlterConfigOpSet
	if value == nil {
		config.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	resource.Configs = append(resource.Configs, config)
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(t.Context(), a.client)
	if err == nil {
		err = kerr.ErrorForCode(response.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("set %s of %s: %v", setting, name, err)
	}
	await(t, "the brokers to know "+setting, func() bool {
		for _, broker := range a.brokers(kind) {
			own := a.own(t, broker, kind, name, setting)
			if (own == nil) != (value == nil) || own != nil && *own != *value {
				return false
			}
		}
		return true
	})
}

// brokers are all of whom to ask about a topic, and one who finds a broker by its id.
func (a admin) brokers(kind kmsg.ConfigResourceType) (all []kmsg.Requestor) {
	if kind == kmsg.ConfigResourceTypeBroker {
		return []kmsg.Requestor{a.client}
	}
	for _, broker := range a.client.SeedBrokers() {
		all = append(all, broker)
	}
	return all
}

// own is what a topic or a broker was set to itself, nil where it has the value of others.
func (a admin) own(
	t *testing.T, of kmsg.Requestor, kind kmsg.ConfigResourceType, name, setting string,
) *string {
	t.Helper()
	request := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.ConfigNames = kind, name, []string{setting}
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(t.Context(), of)
	if err != nil || len(response.Resources[0].Configs) != 1 {
		t.Fatalf("ask for %s of %s: %+v, %v", setting, name, response, err)
	}
	found := response.Resources[0].Configs[0]
	if found.Source == kmsg.ConfigSourceDynamicTopicConfig || found.Source == kmsg.ConfigSourceDynamicBrokerConfig {
		return found.Value
	}
	return nil
}

// stands waits until all brokers know a topic with so many partitions.
func (a admin) stands(t *testing.T, topic string, partitions int32) {
	t.Helper()
	await(t, "the brokers to know "+topic, func() bool {
		for _, broker := range a.brokers(kmsg.ConfigResourceTypeTopic) {
			request := kmsg.NewPtrMetadataRequest()
			wanted := kmsg.NewMetadataRequestTopic()
			wanted.Topic = &topic
			request.Topics = append(request.Topics, wanted)
			response, err := request.RequestWith(t.Context(), broker)
			if err != nil || len(response.Topics) != 1 || len(response.Topics[0].Partitions) != int(partitions) {
				return false
			}
		}
		return true
	})
}

// create makes a topic as nobody should.
func (a admin) create(t *testing.T, topic string, partitions int32, replication int16, configs map[string]string) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, partitions, replication
	for name, value := range configs {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, &value
		wanted.Configs = append(wanted.Configs, config)
	}
	request.Topics = append(request.Topics, wanted)
	response, err := request.RequestWith(t.Context(), a.client)
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("make %s: %v", topic, err)
	}
	a.stands(t, topic, partitions)
}

// grow gives a topic more partitions.
func (a admin) grow(t *testing.T, topic string, partitions int32) {
	t.Helper()
	request := kmsg.NewPtrCreatePartitionsRequest()
	wanted := kmsg.NewCreatePartitionsRequestTopic()
	wanted.Topic, wanted.Count = topic, partitions
	request.Topics, request.TimeoutMillis = append(request.Topics, wanted), 10_000
	response, err := request.RequestWith(t.Context(), a.client)
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("give %s %d partitions: %v", topic, partitions, err)
	}
	a.stands(t, topic, partitions)
}

// remove deletes a topic.
func (a admin) remove(t *testing.T, topic string) {
	t.Helper()
	request := kmsg.NewPtrDeleteTopicsRequest()
	wanted := kmsg.NewDeleteTopicsRequestTopic()
	wanted.Topic = &topic
	request.TopicNames, request.Topics = []string{topic}, append(request.Topics, wanted)
	response, err := request.RequestWith(t.Context(), a.client)
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("delete %s: %v", topic, err)
	}
	a.stands(t, topic, 0)
}
