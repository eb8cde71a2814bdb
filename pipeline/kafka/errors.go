package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/aval-systems/aval/pipeline"
)

var (
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("the Kafka client is closed")

	errNoLeader = errors.New("no leader is known")
)

// RangeError says that a partition does not keep the offset that was asked for.
type RangeError struct {
	Topic     string
	Partition int
	Offset    int64
	First     int64 // the first offset that is kept
	End       int64 // the one after the last
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("offset %d of %s/%d is not there: the partition keeps %d to %d",
		e.Offset, e.Topic, e.Partition, e.First, e.End)
}

// SizeError says that a record is larger than its topic takes.
type SizeError struct {
	Topic string
	Size  int
	Limit int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s takes record batches of at most %d bytes (max.message.bytes), this needs %d",
		e.Topic, e.Limit, e.Size)
}

// asError returns the error of a broker's code, nil for none.
func asError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafkago.Error(code)
}

// retriable says whether the same request may succeed later, unchanged: the broker did not take it, or we do
// not know whether it did. Whatever is not known to pass does not count: for a book's journal it must act as
// a fence.
func retriable(err error) bool {
	if code, ok := errors.AsType[kafkago.Error](err); ok {
		return slices.Contains(retriableCodes(), code)
	}
	return errors.Is(err, errNoLeader) || errors.Is(err, errAway) || errors.Is(err, errWire)
}

// retriableCodes are all that count as retriable; a code that a later Kafka brings does not.
func retriableCodes() []kafkago.Error {
	return []kafkago.Error{
		kafkago.InvalidMessage,               // 2: damaged on its way (CRC)
		kafkago.UnknownTopicOrPartition,      // 3: the broker does not know it yet, or not any more
		kafkago.LeaderNotAvailable,           // 5
		kafkago.NotLeaderForPartition,        // 6
		kafkago.RequestTimedOut,              // 7: it may have been taken
		kafkago.BrokerNotAvailable,           // 8
		kafkago.ReplicaNotAvailable,          // 9
		kafkago.NetworkException,             // 13
		kafkago.GroupLoadInProgress,          // 14
		kafkago.GroupCoordinatorNotAvailable, // 15
		kafkago.NotCoordinatorForGroup,       // 16
		kafkago.NotEnoughReplicas,            // 19: it was not taken
		kafkago.NotEnoughReplicasAfterAppend, // 20: it was taken, by too few
		kafkago.NotController,                // 41
		kafkago.ConcurrentTransactions,       // 51: the coordinator is still busy with the id
		kafkago.KafkaStorageError,            // 56: the disk is gone, another replica will lead
		kafkago.FencedLeaderEpoch,            // 74
		kafkago.UnknownLeaderEpoch,           // 75
		kafkago.OffsetNotAvailable,           // 78: the new leader does not know its end yet
		kafkago.PreferredLeaderNotAvailable,  // 80
		kafkago.EligibleLeadersNotAvailable,  // 83
		kafkago.ThrottlingQuotaExceeded,      // 89
	}
}

// moved says whether the error is a reason to ask who leads or coordinates.
func moved(err error) bool {
	code, ok := errors.AsType[kafkago.Error](err)
	return !ok || slices.Contains(movedCodes(), code)
}

// movedCodes are what a broker answers that does not, or not any more, do what it was asked for.
func movedCodes() []kafkago.Error {
	return []kafkago.Error{
		kafkago.UnknownTopicOrPartition, kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition,
		kafkago.BrokerNotAvailable, kafkago.ReplicaNotAvailable, kafkago.NetworkException,
		kafkago.GroupCoordinatorNotAvailable, kafkago.NotCoordinatorForGroup, kafkago.NotController,
		kafkago.KafkaStorageError, kafkago.FencedLeaderEpoch, kafkago.UnknownLeaderEpoch,
	}
}

// backoff returns a wait with full jitter, which grows with the attempts.
func backoff(attempt int, first, most time.Duration) time.Duration {
	if attempt < 20 {
		most = min(most, first<<attempt)
	}
	return rand.N(most) + time.Millisecond
}

const (
	retryFirst = 20 * time.Millisecond
	retryMost  = 2 * time.Second
)

// sleep waits, and says whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	return pipeline.Pause(ctx, d) == nil
}

// waits notes that somebody waits for the brokers.
func (c *Client) waits(w pipeline.Waiter, err error) {
	c.config.Outages.Begin(w, &pipeline.ServerError{Server: pipeline.ServerKafka, Err: err})
}

// retry repeats f until it succeeds, fails for good, or ctx or the client ends.
func (c *Client) retry(ctx context.Context, what string, f func(context.Context) error) error {
	waiter := pipeline.Waiter{Doing: what}
	defer c.config.Outages.End(waiter)
	for attempt := 0; ; attempt++ {
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case c.ctx.Err() != nil:
			return fmt.Errorf("%s: %w", what, ErrClosed)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w (%w)", what, ctx.Err(), err)
		case !retriable(err):
			return fmt.Errorf("%s: %w", what, denied(err, c.config.Brokers))
		}
		if attempt >= attemptsQuiet {
			c.waits(waiter, err)
		}
		if !sleep(ctx, backoff(attempt, retryFirst, retryMost)) {
			return fmt.Errorf("%s: %w (%w)", what, ctx.Err(), err)
		}
	}
}
