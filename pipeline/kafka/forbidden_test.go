//go:build !integration

package kafka_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aval-systems/aval/pipeline/kafka"
)

// Who may not ask for settings still learns what there is.
func TestDescribeForbidden(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	c := connect(t, cluster.ListenAddrs()[0])
	topic(t, c, "entries", 3)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	topics, err := c.Describe(t.Context(), []string{"entries"})
	if !errors.Is(err, kafka.ErrForbidden) || topics[0].Partitions != 3 || topics[0].Settings != nil {
		t.Errorf("of topics it says %+v, %v", topics, err)
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.ClusterAuthorizationFailed, Count: 1})
	brokers, err := c.Brokers(t.Context())
	if !errors.Is(err, kafka.ErrForbidden) || len(brokers) != 1 || brokers[0].Settings != nil {
		t.Errorf("of brokers it says %+v, %v", brokers, err)
	}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	err = c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "movements", Partitions: 3}}, 1)
	if !errors.Is(err, kafka.ErrForbidden) {
		t.Errorf("of making topics it says %v", err)
	}
}
