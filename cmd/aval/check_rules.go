package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aval-systems/aval/pipeline/book"
	"github.com/aval-systems/aval/schemas"
)

// rule is what a setting must be, and what is lost otherwise.
type rule struct {
	of      kindOf
	setting string
	words   string              // what it must be, for documents
	must    func(subject) bound // the zero bound: the rule does not hold here
	why     string
	mend    string // {name}, {setting}, {value}, {kafka} and {topic} stand for what is found
}

// kindOf is what has settings.
type kindOf string

// What has settings.
const (
	ofRedis  kindOf = "redis"
	ofBroker kindOf = "broker"
	ofTopic  kindOf = "topic"
)

// Settings that Kafka has under no name of its own.
const (
	settingReplication = "replication.factor"
	settingPartitions  = "partitions"
)

// Sizes of a cluster that loses nothing with one of its brokers.
const (
	brokersLeast     = 3
	replicationLeast = 3
	inSyncLeast      = 2
)

const (
	settingUnclean = "unclean.leader.election.enable"
	settingInSync  = "min.insync.replicas"

	mendTopic = "kafka-configs --bootstrap-server {kafka} --alter --entity-type topics --entity-name {name} " +
		"--add-config {setting}={value}"
	mendRedis  = "redis-cli -u redis://{name} CONFIG SET {setting} {value}, and the same in redis.conf"
	mendRemade = "while it is empty, delete it and run `aval topics create`; else begin a new --namespace"
)

// rules is the table of what would lose money, or stop the flow of it. The documents show it.
func rules() []rule { return append(redisRules(), kafkaRules()...) }

func redisRules() []rule {
	return []rule{
		{
			ofRedis, book.SettingEviction, "noeviction", boundAlways(boundIs("noeviction")),
			"when its memory is full Redis would drop accounts and holds", mendRedis,
		},
		{
			ofRedis, book.SettingAOF, "yes", boundAlways(boundIs("yes")),
			"when it is started again Redis would be empty, and every shard would stand still until it is rebuilt",
			mendRedis,
		},
		{
			ofRedis, book.SettingRole, "master", boundAlways(boundIs("master")),
			"a replica takes no writes", "name the master in --redis",
		},
		{
			ofRedis, book.SettingMode, "cluster where it is spoken to as one, else standalone",
			func(f subject) bound { return boundIs(f.mode) },
			"a server of a cluster has a part of the keys alone",
			"set --redis-cluster, or name several servers in --redis",
		},
	}
}

func kafkaRules() []rule {
	const elects = "a replica that lacks acknowledged records could lead: journals would lose decisions"
	return []rule{
		{
			ofBroker, settingUnclean, "false", boundAlways(boundIs("false")), elects,
			"kafka-configs --bootstrap-server {kafka} --alter --entity-type brokers --entity-name {name} " +
				"--add-config {setting}={value}, and the same in server.properties",
		},
		{ofTopic, settingUnclean, "false", boundAlways(boundIs("false")), elects, mendTopic},
		{
			ofTopic, "cleanup.policy", "delete", registered("cleanup.policy"),
			"compaction drops what has the same key: the state could not be rebuilt, nor a command be decided",
			mendTopic,
		},
		{
			ofTopic, "retention.ms", "-1 where the topic is kept for ever, else at least the registry's", retention,
			"records would be dropped before they are read, or while the state may have to be rebuilt from them",
			mendTopic,
		},
		{
			ofTopic, "retention.bytes", "-1", registered("retention.bytes"),
			"a busy day would drop records before they are read, or the state could be rebuilt from them", mendTopic,
		},
		{
			ofTopic, "max.message.bytes", "the registry's", registered("max.message.bytes"),
			"an entry must fit whole, and a dead letter must hold any record", mendTopic,
		},
		{
			ofTopic, "message.timestamp.type", "LogAppendTime", registered("message.timestamp.type"),
			"how long a record is kept would depend on the clock of whoever wrote it", mendTopic,
		},
		{
			ofTopic, settingReplication, "at least 3 where there are three brokers or more",
			func(f subject) bound { return boundWhere(f.brokers >= brokersLeast, boundLeast(replicationLeast)) },
			"acknowledged records would be lost with a disk or two",
			"give each partition of {name} {value} replicas with kafka-reassign-partitions; " + mendRemade,
		},
		{
			ofTopic, settingInSync, "at least 2 where there are three brokers or more",
			func(f subject) bound { return boundWhere(f.brokers >= brokersLeast, boundLeast(inSyncLeast)) },
			"a record would be acknowledged that one disk alone has", mendTopic,
		},
		{
			ofTopic, settingInSync, "at most as many as there are replicas",
			func(f subject) bound { return boundWhere(f.replication > 0, boundMost(f.replication)) },
			"nothing could be written: a partition never has so many replicas", mendTopic,
		},
		{
			ofTopic, settingPartitions, "as many as takeovers recorded, else as most topics have",
			func(f subject) bound { return boundIs(strconv.Itoa(f.topic.PartitionCount(f.partitions))) },
			"the partition of an account is its shard for ever: it would be looked for in another one", mendRemade,
		},
	}
}

// rulesTable renders the table as Markdown, for documents.
func rulesTable() string {
	var b strings.Builder
	b.WriteString("| of | setting | must be | why |\n|---|---|---|---|\n")
	for _, r := range rules() {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", r.of, r.setting, r.words, r.why)
	}
	return b.String()
}

// subject is something that has settings, and what it stands among.
type subject struct {
	of          kindOf
	name        string // as the tools know it
	settings    map[string]string
	topic       schemas.Topic // of a topic
	replication int           // of a topic
	brokers     int           // in the cluster
	partitions  int           // of each keyed topic
	mode        string        // in which Redis is spoken to
}

// bound is what a setting must be.
type bound struct {
	least, most bool // else it must be the value
	value       string
}

func boundIs(value string) bound { return bound{value: value} }
func boundLeast(n int) bound     { return bound{least: true, value: strconv.Itoa(n)} }
func boundMost(n int) bound      { return bound{most: true, value: strconv.Itoa(n)} }

func (b bound) String() string {
	switch {
	case b.least:
		return "at least " + b.value
	case b.most:
		return "at most " + b.value
	}
	return b.value
}

// holds says whether a value is within the bound. A value that should be a number and is none is not.
func (b bound) holds(value string) bool {
	if !b.least && !b.most {
		return value == b.value
	}
	limit, _ := strconv.ParseInt(b.value, 10, 64)
	n, err := strconv.ParseInt(value, 10, 64)
	if b.least {
		return err == nil && n >= limit
	}
	return err == nil && n <= limit
}

func boundAlways(b bound) func(subject) bound { return func(subject) bound { return b } }

func boundWhere(is bool, b bound) bound {
	if !is {
		return bound{}
	}
	return b
}

// registered is what the registry says of a topic.
func registered(setting string) func(subject) bound {
	return func(f subject) bound { return boundIs(f.topic.Config()[setting]) }
}

// retention is the registry's; to keep what may be forgotten for longer harms nobody.
func retention(f subject) bound {
	if f.topic.Retention == schemas.Forever || f.settings["retention.ms"] == "-1" {
		return boundWhere(f.topic.Retention == schemas.Forever, boundIs("-1"))
	}
	return bound{least: true, value: f.topic.Config()["retention.ms"]}
}

// level is how grave a fault is.
type level string

// The levels.
const (
	levelUnsafe  level = "unsafe"  // a process refuses to start
	levelWarning level = "warning" // it says so
	levelUnknown level = "unknown" // it could not be checked
)

// fault is a setting that is not as it must be.
type fault struct {
	Level   level  `json:"level"`
	Where   string `json:"where"` // such as "topic aval.entries"
	Setting string `json:"setting"`
	Is      string `json:"is"`
	Must    string `json:"must_be"`
	Why     string `json:"why"`
	Mend    string `json:"mend"`
}

func (f fault) String() string {
	return f.Where + " has " + f.Setting + "=" + cmp.Or(f.Is, `""`) + ", must be " + f.Must + ": " + f.Why +
		"; mend: " + f.Mend
}

// faults judges by the table. A setting that is not told has no fault here.
func (f subject) faults(kafka []string) (all []fault) {
	for _, r := range rules() {
		is, told := f.settings[r.setting]
		must := r.must(f)
		if r.of != f.of || !told || must == (bound{}) || must.holds(is) {
			continue
		}
		mend := strings.NewReplacer("{name}", f.name, "{setting}", r.setting, "{value}", must.value,
			"{kafka}", strings.Join(kafka, ",")).Replace(r.mend)
		all = append(all, fault{
			Level: levelUnsafe, Where: string(f.of) + " " + f.name, Setting: r.setting, Is: is, Must: must.String(),
			Why: r.why, Mend: mend,
		})
	}
	return all
}

// unsafe says whether one of them is a reason not to start.
func unsafe(all []fault) bool {
	return slices.ContainsFunc(all, func(f fault) bool { return f.Level == levelUnsafe })
}
