package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aval-systems/aval/consumers/ledger"
	"github.com/aval-systems/aval/consumers/preissue"
	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/schemas"
)

// surroundings are what a process depends on, as they describe themselves.
type surroundings struct {
	brokers    []kafka.Broker
	topics     []kafka.Topic // those of the registry, in its order
	redis      []book.Server // none where it was not asked
	mode       string        // in which Redis is spoken to
	recorded   int           // how many partitions the takeovers record; 0: there is none yet
	partitions int           // that each keyed topic must have; 0: nothing says it yet
	hidden     []fault       // what they do not tell
}

// check looks around before anything is begun: what would lose money is refused, all of it at once, or told where the
// process is there for trying things out. Topics may be absent.
func (s *system) check(ctx context.Context, p place) (surroundings, error) {
	found, err := s.lookAtTopics(ctx)
	if err == nil {
		err = s.lookAtBrokers(ctx, &found)
	}
	if err == nil && !p.embedded {
		err = s.lookAtRedis(ctx, &found)
	}
	if err != nil {
		return found, err
	}
	return found, s.judge(ctx, found, p)
}

// judge refuses what is unsafe, and warns of the rest.
func (s *system) judge(ctx context.Context, x surroundings, p place) error {
	var errs []error
	hint := " (--dev starts all the same)"
	for _, f := range x.faults(s.namespace, p) {
		if f.Level == levelUnsafe && f.Setting == settingPartitions {
			hint = "" // nothing would go on with others
		}
		if f.Level == levelUnsafe && (!p.dev || f.Setting == settingPartitions) {
			errs = append(errs, errors.New(f.String()))
			continue
		}
		s.logger.WarnContext(ctx, "surroundings", "where", f.Where, "setting", f.Setting, "is", f.Is, "must_be", f.Must,
			"why", f.Why, "mend", f.Mend)
	}
	if len(errs) > 0 {
		return usage("it does not start, since money could be lost%s:\n%w", hint, errors.Join(errs...))
	}
	for _, r := range x.redis {
		s.logger.InfoContext(ctx, "redis", "address", r.Address, "version", r.Settings[book.SettingVersion],
			"appendfsync", r.Settings[book.SettingSync])
	}
	return nil
}

// lookAtTopics waits for a broker, and asks what topics there are.
func (s *system) lookAtTopics(ctx context.Context) (found surroundings, err error) {
	if found.topics, err = s.kafka.Describe(ctx, topicNames()); err != nil && !errors.Is(err, kafka.ErrForbidden) {
		return found, err
	} else if err != nil {
		found.hidden = append(found.hidden, hiddenTopics(s.namespace, err))
	}
	for i, t := range schemas.Topics() {
		journal := t.Name == (ledger.Book{}).Journal() || t.Name == (preissue.Book{}).Journal()
		if !journal || found.recorded > 0 {
			continue
		}
		if found.recorded, err = book.Recorded(ctx, s.kafka, t.Name, found.topics[i].Partitions); err != nil {
			return found, err
		}
	}
	found.partitions = found.recorded
	if found.partitions == 0 {
		found.partitions = commonPartitions(found.topics)
	}
	return found, nil
}

func (s *system) lookAtBrokers(ctx context.Context, found *surroundings) (err error) {
	found.brokers, err = s.kafka.Brokers(ctx)
	if errors.Is(err, kafka.ErrForbidden) {
		found.hidden = append(found.hidden, hiddenBrokers(err))
		return nil
	}
	return err
}

// commonPartitions is the number of partitions that most of the keyed topics have, zero where there are none.
func commonPartitions(topics []kafka.Topic) (common int) {
	count := map[int]int{}
	for i, t := range schemas.Topics() {
		if n := topics[i].Partitions; t.Keyed() && n > 0 {
			if count[n]++; count[n] > count[common] {
				common = n
			}
		}
	}
	return common
}

// lookAtRedis waits for Redis, and asks by what it keeps what it is given.
func (s *system) lookAtRedis(ctx context.Context, found *surroundings) (err error) {
	found.mode = "standalone"
	if _, ok := s.redis.(*redis.ClusterClient); ok {
		found.mode = "cluster"
	}
	for {
		if err := s.redisAnswers(ctx); err != nil {
			return err
		}
		if found.redis, err = book.Surroundings(ctx, s.redis); err == nil {
			return nil
		}
		select { // it went away in between, or is not there whole
		case <-ctx.Done():
			return fmt.Errorf("wait for redis: %w", err)
		case <-time.After(redisPause):
		}
	}
}

const redisPause = 500 * time.Millisecond

// faults are all that is not as it must be.
func (x surroundings) faults(namespace string, p place) (all []fault) {
	// What brokers say themselves, topics need not repeat.
	inherited := len(x.brokers) > 0 && x.brokers[0].Settings != nil
	for _, b := range x.brokers {
		f := subject{of: ofBroker, name: strconv.Itoa(b.ID), settings: settingValues(b.Settings, false)}
		all = append(all, f.faults(p.kafka)...)
	}
	for i, t := range schemas.Topics() {
		has := x.topics[i]
		if has.Partitions == 0 {
			continue
		}
		f := subject{
			of: ofTopic, name: namespace + "." + t.Name, settings: settingValues(has.Settings, inherited), topic: t,
			replication: has.Replication, brokers: len(x.brokers), partitions: x.partitions,
		}
		f.settings[settingPartitions] = strconv.Itoa(has.Partitions)
		f.settings[settingReplication] = strconv.Itoa(has.Replication)
		all = append(all, f.faults(p.kafka)...)
	}
	for _, r := range x.redis {
		f := subject{of: ofRedis, name: r.Address, settings: r.Settings, mode: x.mode}
		all = append(append(all, f.faults(p.kafka)...), hiddenRedis(r)...)
	}
	if n := len(x.brokers); n < brokersLeast && !p.embedded {
		all = append(all, fault{
			Level: levelWarning, Where: "kafka", Setting: "brokers", Is: strconv.Itoa(n),
			Must: boundLeast(brokersLeast).String(),
			Why:  "what is acknowledged is lost with a disk",
			Mend: "have three brokers; until then this is for trying things out",
		})
	}
	return append(all, x.hidden...)
}

// settingValues are the values of settings. What a topic has from its brokers, they are asked for.
func settingValues(settings map[string]kafka.Setting, inherited bool) map[string]string {
	values := make(map[string]string, len(settings))
	for name, s := range settings {
		if name != settingUnclean || s.Own || !inherited {
			values[name] = s.Value
		}
	}
	return values
}

func hiddenTopics(namespace string, err error) fault {
	return fault{
		Level: levelUnknown, Where: "topics " + namespace + ".*", Setting: "settings", Is: "hidden", Must: "shown",
		Why: "could not be checked: " + err.Error(),
		Mend: "kafka-acls --add --allow-principal User:NAME --operation DescribeConfigs --topic " + namespace +
			". --resource-pattern-type prefixed",
	}
}

func hiddenBrokers(err error) fault {
	return fault{
		Level: levelUnknown, Where: "brokers", Setting: "settings", Is: "hidden", Must: "shown",
		Why:  "could not be checked: " + err.Error(),
		Mend: "kafka-acls --add --allow-principal User:NAME --operation DescribeConfigs --cluster",
	}
}

// hiddenRedis are the settings of a Redis that it does not tell.
func hiddenRedis(r book.Server) (all []fault) {
	for _, setting := range []string{book.SettingEviction, book.SettingAOF} {
		if _, told := r.Settings[setting]; told {
			continue
		}
		why := "could not be checked"
		if r.Hidden != nil {
			why += ": " + r.Hidden.Error()
		}
		all = append(all, fault{
			Level: levelUnknown, Where: string(ofRedis) + " " + r.Address, Setting: setting, Is: "hidden",
			Must: "shown", Why: why, Mend: "ACL SETUSER NAME +config|get +info",
		})
	}
	return all
}

// stands refuses a system of which topics are absent, or have another number of partitions than it began with.
func (s *system) stands(ctx context.Context, p place) (partitions int, err error) {
	found, err := s.lookAtTopics(ctx)
	if err != nil {
		return 0, err
	}
	absent := found.absent()
	if len(absent) == len(found.topics) {
		return 0, s.noNamespace(p)
	}
	var errs []error
	for _, name := range absent {
		errs = append(errs, fmt.Errorf("there is no topic %s.%s: `aval topics create` makes it", s.namespace, name))
	}
	for _, f := range found.faults(s.namespace, p) {
		if f.Setting == settingPartitions {
			errs = append(errs, errors.New(f.String()))
		}
	}
	if len(errs) > 0 {
		return 0, usage("%w", errors.Join(errs...))
	}
	return found.partitions, nil
}

func (s *system) noNamespace(p place) error {
	return usage("there is no namespace %s on %s: `aval topics create` or `aval run` makes one", s.namespace,
		strings.Join(p.kafka, ","))
}

// absent are the topics that are not there.
func (x surroundings) absent() (names []string) {
	for _, t := range x.topics {
		if t.Partitions == 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

func topicNames() (names []string) {
	for _, t := range schemas.Topics() {
		names = append(names, t.Name)
	}
	return names
}
