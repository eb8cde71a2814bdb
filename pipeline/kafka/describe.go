package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
)

// ErrForbidden says that the brokers do not let this user do what it asks for.
var ErrForbidden = errors.New("the brokers do not allow it")

// Setting is a value of a broker's or a topic's configuration.
type Setting struct {
	Value string
	Own   bool // it was set for this very topic, and does not come from its brokers
}

// Broker is a broker as it describes itself.
type Broker struct {
	ID       int
	Address  string
	Settings map[string]Setting
}

// Topic is a topic as the brokers have it.
type Topic struct {
	Name        string // without the namespace
	Partitions  int    // zero: there is no such topic
	Replication int    // of the partition that has the fewest replicas
	Settings    map[string]Setting
}

// Brokers returns the brokers that are there, by their ids. It waits for one. Where the settings must not be asked
// for the error is ErrForbidden, and they are absent.
func (c *Client) Brokers(ctx context.Context) ([]Broker, error) {
	var all []Broker
	var forbidden error
	err := c.retry(ctx, "describe brokers", func(ctx context.Context) error {
		all, forbidden = nil, nil
		addresses, err := c.cluster.brokers(ctx)
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(addresses)) {
			b := Broker{ID: int(id), Address: addresses[id]}
			if b.Settings, err = c.brokerSettings(ctx, id, b.Address); errors.Is(err, ErrForbidden) {
				forbidden = err
			} else if err != nil {
				return err
			}
			all = append(all, b)
		}
		return nil
	})
	return all, errors.Join(err, forbidden)
}

// brokerSettings asks a broker for its own settings: no other one knows all of them.
func (c *Client) brokerSettings(ctx context.Context, id int32, address string) (map[string]Setting, error) {
	answer, err := c.brokers.roundTrip(ctx, address, 0, &describeconfigs.Request{
		Resources: []describeconfigs.RequestResource{{
			ResourceType: int8(kafkago.ResourceTypeBroker), ResourceName: strconv.Itoa(int(id)),
		}},
	})
	if err != nil {
		return nil, err
	}
	found, err := settingsOf(answer)
	return found[strconv.Itoa(int(id))], err
}

// Describe returns the topics as the brokers have them now, in the order of their names here. It waits for a
// broker. Where the settings must not be asked for the error is ErrForbidden, and they are absent.
func (c *Client) Describe(ctx context.Context, names []string) ([]Topic, error) {
	specs := make([]TopicSpec, len(names))
	for i, name := range names {
		specs[i].Name = name
	}
	topics := make([]Topic, len(names))
	var there []string
	err := c.retry(ctx, "look for topics", func(ctx context.Context) error {
		there = nil
		c.cluster.want(specs, c.wire)
		if err := c.cluster.refresh(ctx, c.cluster.known()); err != nil {
			return err
		}
		for i, name := range names {
			state := c.cluster.state(c.wire(name))
			if state.err != nil && !errors.Is(state.err, kafkago.UnknownTopicOrPartition) {
				return fmt.Errorf("%s: %w", c.wire(name), allowed(state.err))
			}
			topics[i] = Topic{Name: name, Partitions: len(state.leaders), Replication: state.replicas}
			if topics[i].Partitions > 0 {
				there = append(there, name)
			}
		}
		return nil
	})
	if err != nil || len(there) == 0 {
		return topics, err
	}
	settings, err := c.topicSettings(ctx, there)
	for i := range topics {
		topics[i].Settings = settings[topics[i].Name]
	}
	return topics, err
}

// topicSettings returns the settings of topics that exist, by topic.
func (c *Client) topicSettings(ctx context.Context, names []string) (map[string]map[string]Setting, error) {
	request := &describeconfigs.Request{}
	for _, name := range names {
		request.Resources = append(request.Resources, describeconfigs.RequestResource{
			ResourceType: int8(kafkago.ResourceTypeTopic), ResourceName: c.wire(name),
		})
	}
	settings := make(map[string]map[string]Setting, len(names))
	err := c.retry(ctx, "describe topics", func(ctx context.Context) error {
		answer, err := c.cluster.ask(ctx, request)
		if err != nil {
			return err
		}
		found, err := settingsOf(answer)
		for name, entries := range found {
			settings[c.plain(name)] = entries
		}
		return err
	})
	return settings, err
}

// Sources of a setting, as Kafka numbers them.
const (
	sourceUnknown = 0
	sourceTopic   = 1
)

// settingsOf takes an answer apart, by the names of what was described.
func settingsOf(answer any) (map[string]map[string]Setting, error) {
	response, ok := answer.(*describeconfigs.Response)
	if !ok {
		return nil, errWire
	}
	found := make(map[string]map[string]Setting, len(response.Resources))
	var errs []error
	for _, r := range response.Resources {
		if err := asError(r.ErrorCode); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.ResourceName, allowed(err)))
			continue
		}
		entries := make(map[string]Setting, len(r.ConfigEntries))
		for _, e := range r.ConfigEntries {
			own := e.ConfigSource == sourceTopic || e.ConfigSource == sourceUnknown && !e.IsDefault
			entries[e.ConfigName] = Setting{Value: e.ConfigValue, Own: own}
		}
		found[r.ResourceName] = entries
	}
	return found, errors.Join(errs...)
}

// allowed marks a broker's answer that says that the user may not.
func allowed(err error) error {
	if errors.Is(err, kafkago.TopicAuthorizationFailed) || errors.Is(err, kafkago.ClusterAuthorizationFailed) {
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}
