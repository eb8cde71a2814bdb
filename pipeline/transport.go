package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrFenced says that another owner has taken the partition over: whoever gets it writes no more.
var ErrFenced = errors.New("another owner has taken the partition over")

// Publisher writes records.
type Publisher interface {
	// Publish returns when every record is durable (acks=all), or with an error: then some may be. A record's
	// partition is that of its key (Murmur2), or its own where Partition is not below zero. Publishing is
	// idempotent as long as it does not return: a repeat after a lost acknowledgement makes no duplicate.
	Publish(ctx context.Context, records []Record) error
}

// Consumer makes subscribers.
type Consumer interface {
	// Subscriber returns a Watermill subscriber whose messages are envelopes: BatchOf(msg.Context()) is the
	// batch, Ack commits it, Nack brings it again. Of each partition one batch is out at a time.
	Subscriber(SubscriberConfig) message.Subscriber
	// MessageSubscriber returns one whose batches hold one record each, in order: for slow, independent work.
	MessageSubscriber(SubscriberConfig) message.Subscriber
}

// SubscriberConfig is what a batch subscriber needs to know.
type SubscriberConfig struct {
	// Group is the consumer group, without the namespace.
	Group string
	// Resume is called when a partition is assigned that the process does not hold yet, and after
	// Restart; it says where to begin. Its error means "not now": it is called again, later. Nil: at the
	// committed offset, or at the first record.
	Resume func(ctx context.Context, topic string, partition int, committed Mark) (int64, error)
	// Revoked is called when the process has stopped working on a partition. It may be nil.
	Revoked func(topic string, partition int)
	// Idle makes a batch without records of each partition that had none for so long; zero makes none.
	Idle time.Duration
	// BatchBytes bounds a batch; what waits behind it is bounded by the same. Zero: BatchBytesDefault.
	BatchBytes int
	// Drain is how long a subscription may take to end: for its greatest part the batch that is out may come to its
	// end, then its context ends; the rest is for what was done to be committed and the group to be left. Zero:
	// DrainDefault.
	Drain time.Duration
}

// DrainDefault is how long what is at work may take to end when a process is asked to stop.
const DrainDefault = 15 * time.Second

// Log reads and claims partitions directly, for the protocol of a book and for whoever folds a journal.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Read visits the records from an offset up to before another, in order, some at a time.
	Read(ctx context.Context, topic string, partition int, from, end int64, visit func([]Record) error) error
	// Claim makes the caller the partition's only writer, from its first Append on, under a transactional id.
	Claim(ctx context.Context, transactionalID, topic string, partition int) (Appender, error)
}

// Appender writes to a claimed partition.
type Appender interface {
	// Append writes the records as one record batch and returns the first one's offset. It repeats with the same
	// sequence until it is acknowledged, refused (ErrFenced: also of every error that is not worth a repeat), or
	// ctx ends: then nobody knows, and nothing more may be appended.
	Append(ctx context.Context, records []Record) (base int64, err error)
}
