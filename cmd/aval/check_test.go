package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/pipeline/kafka"
	"github.com/aval-systems/aval/schemas"
)

// sound is what a system of three brokers finds that has nothing to be afraid of.
func sound() surroundings {
	x := surroundings{mode: "standalone", partitions: 4, recorded: 4}
	for id := range 3 {
		x.brokers = append(x.brokers, kafka.Broker{ID: id + 1, Settings: map[string]kafka.Setting{
			settingUnclean: {Value: "false"},
		}})
	}
	for _, t := range schemas.Topics() {
		has := kafka.Topic{
			Name: t.Name, Partitions: t.PartitionCount(4), Replication: 3, Settings: map[string]kafka.Setting{
				settingUnclean: {Value: "false"}, settingInSync: {Value: "2", Own: true},
			},
		}
		for name, value := range t.Config() {
			has.Settings[name] = kafka.Setting{Value: value, Own: true}
		}
		x.topics = append(x.topics, has)
	}
	x.redis = []book.Server{{Address: "redis:6379", Settings: map[string]string{
		book.SettingEviction: "noeviction", book.SettingAOF: "yes", book.SettingRole: "master",
		book.SettingMode: "standalone", book.SettingVersion: "7.2.4", book.SettingSync: "everysec",
	}}}
	return x
}

// topic finds one of the surroundings' topics.
func (x surroundings) topic(name string) *kafka.Topic {
	i := slices.IndexFunc(x.topics, func(t kafka.Topic) bool { return t.Name == name })
	return &x.topics[i]
}

func (x surroundings) set(topic, setting, value string) {
	x.topic(topic).Settings[setting] = kafka.Setting{Value: value, Own: true}
}

// TestFaults changes one thing after the other, and expects what is said of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	const other, for30Days, allow = "2592000001", "2592000000", "ACL SETUSER NAME +config|get +info"
	alter := func(setting, value, topic string) string {
		return "kafka-configs --bootstrap-server broker:9092 --alter --entity-type topics --entity-name ns." + topic +
			" --add-config " + setting + "=" + value
	}
	type said struct {
		level                         level
		where, setting, is, must, how string
	}
	for name, test := range map[string]struct {
		change func(*surroundings)
		want   []said
	}{
		"nothing": {change: func(*surroundings) {}},
		"eviction": {
			func(x *surroundings) { x.redis[0].Settings[book.SettingEviction] = "allkeys-lru" },
			[]said{{
				levelUnsafe, "redis redis:6379", "maxmemory-policy", "allkeys-lru", "noeviction",
				"redis-cli -u redis://redis:6379 CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
			}},
		},
		"no file": {
			func(x *surroundings) { x.redis[0].Settings[book.SettingAOF] = "no" },
			[]said{{levelUnsafe, "redis redis:6379", "appendonly", "no", "yes", "CONFIG SET appendonly yes"}},
		},
		"a replica": {
			func(x *surroundings) { x.redis[0].Settings[book.SettingRole] = "slave" },
			[]said{{levelUnsafe, "redis redis:6379", "role", "slave", "master", "--redis"}},
		},
		"one server of a cluster": {
			func(x *surroundings) { x.redis[0].Settings[book.SettingMode] = "cluster" },
			[]said{{levelUnsafe, "redis redis:6379", "mode", "cluster", "standalone", "--redis-cluster"}},
		},
		"the third master of a cluster": {
			func(x *surroundings) {
				x.mode = "cluster"
				x.redis[0].Settings[book.SettingMode] = "cluster"
				third := book.Server{Address: "third:1", Settings: map[string]string{
					book.SettingEviction: "volatile-ttl", book.SettingAOF: "no", book.SettingMode: "cluster",
				}}
				x.redis = append(x.redis, x.redis[0], third)
			},
			[]said{
				{levelUnsafe, "redis third:1", "maxmemory-policy", "volatile-ttl", "noeviction", "redis://third:1"},
				{levelUnsafe, "redis third:1", "appendonly", "no", "yes", "redis://third:1"},
			},
		},
		"a Redis that hides": {
			func(x *surroundings) {
				delete(x.redis[0].Settings, book.SettingEviction)
				delete(x.redis[0].Settings, book.SettingAOF)
				x.redis[0].Hidden = errors.New("NOPERM no")
			},
			[]said{
				{levelUnknown, "redis redis:6379", "maxmemory-policy", "hidden", "shown", allow},
				{levelUnknown, "redis redis:6379", "appendonly", "hidden", "shown", allow},
			},
		},
		"a broker that elects anyone": {
			func(x *surroundings) { x.brokers[1].Settings[settingUnclean] = kafka.Setting{Value: "true"} },
			[]said{{
				levelUnsafe, "broker 2", settingUnclean, "true", "false",
				"--bootstrap-server broker:9092 --alter --entity-type brokers --entity-name 2 --add-config " +
					settingUnclean + "=false",
			}},
		},
		"a topic that elects anyone": {
			func(x *surroundings) { x.set("entries", settingUnclean, "true") },
			[]said{{
				levelUnsafe, "topic ns.entries", settingUnclean, "true", "false",
				alter(settingUnclean, "false", "entries"),
			}},
		},
		"a topic that elects anyone as its brokers, which hide": {
			func(x *surroundings) {
				for i := range x.brokers {
					x.brokers[i].Settings = nil
				}
				x.topic("entries").Settings[settingUnclean] = kafka.Setting{Value: "true"}
			},
			[]said{{levelUnsafe, "topic ns.entries", settingUnclean, "true", "false", "entity-name ns.entries"}},
		},
		"a journal that is compacted": {
			func(x *surroundings) { x.set("pre-issues", "cleanup.policy", "compact,delete") },
			[]said{{
				levelUnsafe, "topic ns.pre-issues", "cleanup.policy", "compact,delete", "delete",
				alter("cleanup.policy", "delete", "pre-issues"),
			}},
		},
		"a journal that forgets in time": {
			func(x *surroundings) { x.set("entries", "retention.ms", "604800000") },
			[]said{{
				levelUnsafe, "topic ns.entries", "retention.ms", "604800000", "-1",
				alter("retention.ms", "-1", "entries"),
			}},
		},
		"a journal that forgets by size": {
			func(x *surroundings) { x.set("entries", "retention.bytes", "1000000000") },
			[]said{{
				levelUnsafe, "topic ns.entries", "retention.bytes", "1000000000", "-1",
				alter("retention.bytes", "-1", "entries"),
			}},
		},
		"commands that are forgotten too soon": {
			func(x *surroundings) { x.set("movements", "retention.ms", "86400000") },
			[]said{{
				levelUnsafe, "topic ns.movements", "retention.ms", "86400000", "at least " + for30Days,
				alter("retention.ms", for30Days, "movements"),
			}},
		},
		"commands that are kept for longer": {
			func(x *surroundings) {
				x.set("movements", "retention.ms", other)
				x.set("invitations", "retention.ms", "-1")
			}, nil,
		},
		"entries that do not fit": {
			func(x *surroundings) { x.set("entries", "max.message.bytes", "1048576") },
			[]said{{
				levelUnsafe, "topic ns.entries", "max.message.bytes", "1048576", "4194304",
				alter("max.message.bytes", "4194304", "entries"),
			}},
		},
		"times of those who write": {
			func(x *surroundings) { x.set("notices", "message.timestamp.type", "CreateTime") },
			[]said{{
				levelUnsafe, "topic ns.notices", "message.timestamp.type", "CreateTime", "LogAppendTime",
				alter("message.timestamp.type", "LogAppendTime", "notices"),
			}},
		},
		"too few replicas": {
			func(x *surroundings) { x.topic("receipts").Replication = 2 },
			[]said{{
				levelUnsafe, "topic ns.receipts", "replication.factor", "2", "at least 3", "kafka-reassign-partitions",
			}},
		},
		"too few in sync": {
			func(x *surroundings) { x.set("entries", settingInSync, "1") },
			[]said{{
				levelUnsafe, "topic ns.entries", settingInSync, "1", "at least 2", alter(settingInSync, "2", "entries"),
			}},
		},
		"more in sync than there can be": {
			func(x *surroundings) { x.set("entries", settingInSync, "4") },
			[]said{{
				levelUnsafe, "topic ns.entries", settingInSync, "4", "at most 3", alter(settingInSync, "3", "entries"),
			}},
		},
		"two brokers": {
			func(x *surroundings) {
				x.brokers = x.brokers[:2]
				for i := range x.topics {
					x.topics[i].Replication = 1
					x.set(x.topics[i].Name, settingInSync, "1")
				}
			},
			[]said{{levelWarning, "kafka", "brokers", "2", "at least 3", "have three brokers"}},
		},
		"a topic with other partitions": {
			func(x *surroundings) { x.topic("entries").Partitions = 5 },
			[]said{{levelUnsafe, "topic ns.entries", "partitions", "5", "4", "aval topics create"}},
		},
		"a topic that is absent": {
			func(x *surroundings) { x.topic("entries").Partitions = 0 }, nil,
		},
		"what is not told": {
			func(x *surroundings) { x.topic("entries").Settings = nil }, nil,
		},
		"several at once": {
			func(x *surroundings) {
				x.redis[0].Settings[book.SettingAOF] = "no"
				x.set("entries", "cleanup.policy", "compact")
				x.topic("movements").Partitions = 7
			},
			[]said{
				{levelUnsafe, "topic ns.movements", "partitions", "7", "4", "--namespace"},
				{levelUnsafe, "topic ns.entries", "cleanup.policy", "compact", "delete", "ns.entries"},
				{levelUnsafe, "redis redis:6379", "appendonly", "no", "yes", "redis://redis:6379"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := sound()
			test.change(&x)
			all := x.faults("ns", place{kafka: []string{"broker:9092"}})
			if len(all) != len(test.want) {
				t.Fatalf("there are %d faults, want %d: %+v", len(all), len(test.want), all)
			}
			for i, want := range test.want {
				f := all[i]
				got := said{f.Level, f.Where, f.Setting, f.Is, f.Must, want.how}
				if got != want || !strings.Contains(f.Mend, want.how) || f.Why == "" {
					t.Errorf("it is said\n%+v, want\n%+v", f, want)
				}
			}
		})
	}
}

// TestEveryRuleCanBeBroken expects that no rule of the table is one that always holds, or never.
func TestEveryRuleCanBeBroken(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		f := subject{
			of: r.of, name: "name", topic: schemas.Topics()[0], replication: 3, brokers: 3, partitions: 4,
			mode: "cluster",
		}
		must := r.must(f)
		if must == (bound{}) || !must.holds(must.value) {
			t.Errorf("%s %s must be %q, which is not good enough", r.of, r.setting, must)
		}
		f.settings = map[string]string{r.setting: "none of those"}
		all := f.faults(nil)
		if !slices.ContainsFunc(all, func(f fault) bool { return f.Setting == r.setting && f.Must == must.String() }) {
			t.Errorf("%s %s may be anything", r.of, r.setting)
		}
		for _, f := range all {
			if strings.ContainsAny(f.Mend, "{}") {
				t.Errorf("the mend of %s %s has a gap: %s", r.of, r.setting, f.Mend)
			}
		}
	}
}

// TestCommonPartitions finds the number that a namespace has if no takeover says it.
func TestCommonPartitions(t *testing.T) {
	t.Parallel()
	x := sound()
	if n := commonPartitions(x.topics); n != 4 {
		t.Errorf("it is %d, want 4", n)
	}
	x.topic("movements").Partitions, x.topic("entries").Partitions = 8, 0
	if n := commonPartitions(x.topics); n != 4 {
		t.Errorf("with one of 8 it is %d, want 4", n)
	}
	for i := range x.topics {
		if x.topics[i].Name != schemas.TopicDirectory {
			x.topics[i].Partitions = 0
		}
	}
	if n := commonPartitions(x.topics); n != 0 {
		t.Errorf("with the directory alone it is %d, want 0", n)
	}
}

// logLines are the lines that a logger wrote.
func logLines(t *testing.T, text *bytes.Buffer) (lines []map[string]any) {
	t.Helper()
	for line := range bytes.Lines(text.Bytes()) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines
}

// TestJudge lets a system be told all faults at once, or with --dev go on with warnings.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*surroundings)
		dev     bool
		refuses []string // what the refusal says
		warns   int
	}{
		"sound": {change: func(*surroundings) {}},
		"unsafe": {
			change: func(x *surroundings) {
				x.redis[0].Settings[book.SettingAOF] = "no"
				x.set("entries", "cleanup.policy", "compact")
			},
			refuses: []string{"appendonly", "cleanup.policy", "--dev", "mend: "},
		},
		"unsafe, for trying things out": {
			change: func(x *surroundings) {
				x.redis[0].Settings[book.SettingAOF] = "no"
				x.set("entries", "cleanup.policy", "compact")
			},
			dev: true, warns: 2,
		},
		"other partitions, for trying things out": {
			change: func(x *surroundings) { x.topic("entries").Partitions = 5 },
			dev:    true, refuses: []string{"ns.entries has partitions=5, must be 4"},
		},
		"hidden": {
			change: func(x *surroundings) { delete(x.redis[0].Settings, book.SettingAOF) },
			warns:  1,
		},
		"few brokers": {
			change: func(x *surroundings) { x.brokers = x.brokers[:1] },
			warns:  1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			s := &system{namespace: "ns", logger: slog.New(slog.NewJSONHandler(&log, nil))}
			x := sound()
			test.change(&x)
			err := s.judge(t.Context(), x, place{dev: test.dev})
			if (err != nil) != (test.refuses != nil) {
				t.Fatalf("it is refused with %v, want %q", err, test.refuses)
			}
			for _, text := range test.refuses {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("it is refused with %q, without %q", err, text)
				}
			}
			if coded := (*codeError)(nil); err != nil && (!errors.As(err, &coded) || coded.code != exitUsage) {
				t.Errorf("it is refused with %#v, want code %d", err, exitUsage)
			}
			warned := 0
			for _, line := range logLines(t, &log) {
				if line["level"] == "WARN" {
					warned++
					if line["where"] == "" || line["setting"] == "" || line["mend"] == "" {
						t.Errorf("it warns without a place, a setting or a mend: %v", line)
					}
				} else if line["version"] != "7.2.4" || line["appendfsync"] != "everysec" {
					t.Errorf("it says of Redis %v", line)
				}
			}
			if warned != test.warns {
				t.Errorf("it warns %d times, want %d:\n%s", warned, test.warns, log.String())
			}
		})
	}
}
