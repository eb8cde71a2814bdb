package schemas

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names of the topics, without the namespace.
const (
	TopicInvitations      = "invitations"
	TopicMovements        = "movements"
	TopicEntries          = "entries"
	TopicIssuanceRequests = "issuance-requests"
	TopicPreIssues        = "pre-issues"
	TopicCertificates     = "certificates"
	TopicRefusals         = "refusals"
	TopicNotices          = "notices"
	TopicNoticeRetries    = "notice-retries"
	TopicReceipts         = "receipts"
	TopicDeadLetters      = "dead-letters"
	TopicAudits           = "audits"
	TopicDirectory        = "directory"
)

// Topic is what is agreed about a topic.
type Topic struct {
	Name string
	Body string // the message that it carries, in package aval.v1
	Key  string // what its records are keyed by
	Kind Kind
	// Partitions is how many partitions it has; 0 means as many as every keyed topic has.
	Partitions int
	Retention  time.Duration // Forever, or how long records stay
	// MaxMessageBytes bounds a record, and a batch of records.
	MaxMessageBytes int
	Owner           string   // whose it is: the book that decides its commands, else the one that writes it
	Readers         []string // who reads it, besides the audit, which reads all
}

// Kind is what a topic is to a shard.
type Kind string

// Kinds of topics.
const (
	KindCommand   Kind = "command"   // a book decides its records, in order
	KindJournal   Kind = "journal"   // a book's answers; the partition is the shard, whatever the key
	KindFollow    Kind = "follow"    // what follows, or comes in
	KindDirectory Kind = "directory" // versions of the directory: one partition
)

// Forever is the retention of what the truth is rebuilt from.
const Forever time.Duration = -1

// RetentionOthers is how long the rest stays: no shorter than books remember identifiers.
const RetentionOthers = 30 * 24 * time.Hour

// RetryTiers is how many partitions the topic of retries has. The first holds what waits less than a second, each of
// the others what waits up to twice as long as the one before.
const RetryTiers = 12

// Limits of record batches, in bytes: a single body has its own. A journal repeats its commands, so it is
// allowed more, and so are dead letters, which keep any record.
const (
	messageBytesOther   = 1 << 20
	messageBytesJournal = 4 << 20
)

// Keyed says whether the topic has as many partitions as the namespace has shards.
func (t Topic) Keyed() bool { return t.Partitions == 0 }

// PartitionCount is how many partitions the topic has in a namespace of so many shards.
func (t Topic) PartitionCount(shards int) int { return cmp.Or(t.Partitions, shards) }

// RetentionMillis is the retention as Kafka's retention.ms wants it: -1 for ever.
func (t Topic) RetentionMillis() int64 {
	if t.Retention == Forever {
		return -1
	}
	return t.Retention.Milliseconds()
}

// Config is what the topic is created with, and checked against: names and values of Kafka's topic settings.
func (t Topic) Config() map[string]string {
	return map[string]string{
		"cleanup.policy":    "delete",
		"retention.ms":      strconv.FormatInt(t.RetentionMillis(), 10),
		"retention.bytes":   "-1",
		"max.message.bytes": strconv.Itoa(t.MaxMessageBytes),
		// What is kept, and how long, must not depend on the clocks of those who write.
		"message.timestamp.type": "LogAppendTime",
	}
}

// TopicOf returns the topic of that name.
func TopicOf(name string) (Topic, bool) {
	for _, t := range Topics() {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{}, false
}

// Topics returns all topics: this is the registry.
func Topics() []Topic { return append(flowTopics(), operatorTopics()...) }

// flowTopics are those of the way from an invitation to what its parties are told.
func flowTopics() []Topic {
	return []Topic{
		{
			Name: TopicInvitations, Body: "Invitation", Key: "invitation", Kind: KindFollow,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner: "producers", Readers: []string{"invitation", "register"},
		},
		{
			Name: TopicMovements, Body: "Movement", Key: "account; a tick has none", Kind: KindCommand,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner: "ledger", Readers: []string{"ledger"},
		},
		{
			Name: TopicEntries, Body: "Entry", Key: "the movement's, for who looks", Kind: KindJournal,
			Retention: Forever, MaxMessageBytes: messageBytesJournal,
			Owner:   "ledger",
			Readers: []string{"ledger", "routing", "certificate", "advice", "deadletter"},
		},
		{
			Name: TopicIssuanceRequests, Body: "IssuanceRequest", Key: "invitation; a tick has none",
			Kind:      KindCommand,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner: "request", Readers: []string{"request"},
		},
		{
			Name: TopicPreIssues, Body: "PreIssue", Key: "the request's, for who looks", Kind: KindJournal,
			Retention: Forever, MaxMessageBytes: messageBytesJournal,
			Owner:   "request",
			Readers: []string{"request", "relay", "funding", "register", "deadletter", "timer"},
		},
		{
			Name: TopicCertificates, Body: "Certificate", Key: "invitation", Kind: KindFollow,
			Retention: Forever, MaxMessageBytes: messageBytesOther,
			Owner: "certificate", Readers: []string{"register", "integrators"},
		},
		{
			Name: TopicRefusals, Body: "Refusal", Key: "invitation", Kind: KindFollow,
			Retention: Forever, MaxMessageBytes: messageBytesOther,
			Owner:   "invitation, routing, relay, funding, certificate",
			Readers: []string{"register", "integrators"},
		},
		{
			Name: TopicNotices, Body: "Notice", Key: "recipient", Kind: KindFollow,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner:   "invitation, routing, relay, funding, certificate, advice",
			Readers: []string{"notice", "recipients"},
		},
		{
			// Their partition is no key's: it says how long they wait.
			Name: TopicNoticeRetries, Body: "NoticeRetry", Key: "none", Kind: KindFollow, Partitions: RetryTiers,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner: "notice", Readers: []string{"notice"},
		},
		{
			Name: TopicReceipts, Body: "Receipt", Key: "invitation, else recipient", Kind: KindFollow,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesOther,
			Owner: "notice", Readers: []string{"relay"},
		},
	}
}

// operatorTopics are those of whoever looks after a namespace.
func operatorTopics() []Topic {
	return []Topic{
		{
			// A dead letter carries any record of a megabyte whole, with its headers and what is wrong with it.
			Name: TopicDeadLetters, Body: "DeadLetter", Key: "topic/partition/offset", Kind: KindFollow,
			Retention: RetentionOthers, MaxMessageBytes: messageBytesJournal,
			Owner: "every stage", Readers: []string{"operators"},
		},
		{
			// Whoever asks later what was done by hand, and by whom, may ask after years.
			Name: TopicAudits, Body: "Act", Key: "what was acted on", Kind: KindFollow,
			Retention: Forever, MaxMessageBytes: messageBytesOther,
			Owner: "operators", Readers: []string{"operators"},
		},
		{
			Name: TopicDirectory, Body: "Directory", Key: "none", Kind: KindDirectory, Partitions: 1,
			Retention: Forever, MaxMessageBytes: messageBytesOther,
			Owner: "operators", Readers: []string{"producers", "routing", "funding", "notice"},
		},
	}
}

// TopicsTable renders the registry as a Markdown table, for documents.
func TopicsTable() string {
	var b strings.Builder
	b.WriteString("| topic | carries | key | kind | partitions | retention | largest | owner | readers |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, t := range Topics() {
		partitions, retention := "N", "for ever"
		if !t.Keyed() {
			partitions = strconv.Itoa(t.Partitions)
		}
		if t.Retention != Forever {
			retention = strconv.Itoa(int(t.Retention/(24*time.Hour))) + " days"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d KiB | %s | %s |\n", t.Name, t.Body, t.Key, t.Kind,
			partitions, retention, t.MaxMessageBytes>>10, t.Owner, strings.Join(t.Readers, ", "))
	}
	return b.String()
}
