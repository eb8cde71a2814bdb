package schemas_test

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/aval-systems/aval/schemas"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, topic := range schemas.Topics() {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(topic.Name) || seen[topic.Name] {
			t.Errorf("%q is no name, or stands twice", topic.Name)
		}
		seen[topic.Name] = true
		name := protoreflect.FullName("aval.v1." + topic.Body)
		if _, err := protoregistry.GlobalTypes.FindMessageByName(name); err != nil {
			t.Errorf("%s carries %s: %v", topic.Name, topic.Body, err)
		}
		if topic.Key == "" || topic.Owner == "" || len(topic.Readers) == 0 {
			t.Errorf("%s lacks a key, an owner or readers", topic.Name)
		}
		forever := topic.Kind == schemas.KindJournal || topic.Kind == schemas.KindDirectory ||
			topic.Name == schemas.TopicCertificates || topic.Name == schemas.TopicRefusals ||
			topic.Name == schemas.TopicAudits
		if (topic.Retention == schemas.Forever) != forever || !forever && topic.Retention < 30*24*time.Hour {
			t.Errorf("%s is kept for %v", topic.Name, topic.Retention)
		}
		want := map[string]int{schemas.TopicDirectory: 1, schemas.TopicNoticeRetries: 12}[topic.Name]
		if got := topic.PartitionCount(7); got != cmp.Or(want, 7) || topic.Keyed() != (want == 0) {
			t.Errorf("%s has %d partitions of 7", topic.Name, got)
		}
	}
	if len(seen) != 13 {
		t.Errorf("there are %d topics", len(seen))
	}
}

func TestTopicConfig(t *testing.T) {
	t.Parallel()
	entries, ok := schemas.TopicOf(schemas.TopicEntries)
	if got := entries.Config(); !ok || got["retention.ms"] != "-1" || got["cleanup.policy"] != "delete" ||
		got["max.message.bytes"] != "4194304" || got["retention.bytes"] != "-1" {
		t.Errorf("Config() of entries = %v", got)
	}
	movements, ok := schemas.TopicOf(schemas.TopicMovements)
	if got := movements.Config(); !ok || got["retention.ms"] != "2592000000" ||
		got["max.message.bytes"] != "1048576" || got["message.timestamp.type"] != "LogAppendTime" {
		t.Errorf("Config() of movements = %v", got)
	}
	if topic, ok := schemas.TopicOf("aval.entries"); ok {
		t.Errorf("TopicOf(aval.entries) = %v", topic)
	}
}

func TestTopicsTable(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSuffix(schemas.TopicsTable(), "\n"), "\n")
	if len(lines) != len(schemas.Topics())+2 {
		t.Fatalf("the table has %d lines", len(lines))
	}
	columns := strings.Count(lines[0], "|")
	for _, line := range lines {
		if strings.Count(line, "|") != columns {
			t.Errorf("%q has not %d columns", line, columns-1)
		}
	}
	const want = "| certificates | Certificate | invitation | follow | N | for ever | 1024 KiB | " +
		"certificate | register, integrators |"
	if !strings.Contains(schemas.TopicsTable(), want) {
		t.Errorf("the table is\n%swant in it\n%s", schemas.TopicsTable(), want)
	}
}
