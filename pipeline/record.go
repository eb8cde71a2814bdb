package pipeline

import (
	"context"
	"time"

	"github.com/aval-systems/aval/schemas"
)

// Record is a record of a topic's partition, as it was read or is to be written.
type Record struct {
	Topic     string // without the namespace
	Partition int
	Offset    int64 // set when read
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header is a record's header.
type Header = schemas.Header

// HeaderName is the name as text. The names that our own records have take no memory: a record has eight.
func HeaderName(name []byte) string {
	switch string(name) {
	case schemas.HeaderSpecVersion:
		return schemas.HeaderSpecVersion
	case schemas.HeaderID:
		return schemas.HeaderID
	case schemas.HeaderSource:
		return schemas.HeaderSource
	case schemas.HeaderType:
		return schemas.HeaderType
	case schemas.HeaderTime:
		return schemas.HeaderTime
	case schemas.HeaderContentType:
		return schemas.HeaderContentType
	case schemas.HeaderCause:
		return schemas.HeaderCause
	case CauseHeader:
		return CauseHeader
	case EntryHeader:
		return EntryHeader
	}
	return string(name)
}

// Size is what the record takes, about, in bytes: what bounds of memory and of batches count.
func (r Record) Size() int {
	size := 64 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 16 + len(h.Key) + len(h.Value)
	}
	return size
}

// Batch is what a subscriber hands to a handler at a time: records of one partition, in order.
// A batch without records is the idle sign of a partition that had none for a while.
type Batch struct {
	Topic     string
	Partition int
	Records   []Record
	Next      int64 // the offset after the last one that was read

	// Stopping is closed when the process should stop: who waits within a batch, such as to try something again, gives
	// up then. The context of the batch goes on for a while, so that what is under way comes to its end.
	Stopping <-chan struct{}

	// What is measured, as far as it is known; zero where it is not.
	High           int64     // the offset after the partition's last record, as of the last fetch
	Bytes          int       // as they were fetched
	Oldest, Newest time.Time // when the first and the last record batch were written

	mark    *Mark
	later   func(Mark)
	restart bool
}

// stops says whether the process should stop.
func (b *Batch) stops() bool {
	select {
	case <-b.Stopping:
		return true
	default:
		return false
	}
}

// Commit says what an acknowledgement of the batch commits. Without it, that is Next without metadata.
func (b *Batch) Commit(m Mark) { b.mark = &m }

// Later commits what is done by now: for work that goes on beside the batches and ends in any order. It may be called
// before the batch is acknowledged and after it, from any goroutine, and what it has committed no acknowledgement
// takes back. For a partition that the process has given up it does nothing.
func (b *Batch) Later(m Mark) {
	if b.later != nil {
		b.later(m)
	}
}

// OnLater says what Later does: it is for transports.
func (b *Batch) OnLater(commit func(Mark)) { b.later = commit }

// Mark is what the batch commits.
func (b *Batch) Mark() Mark {
	if b.mark != nil {
		return *b.mark
	}
	return Mark{Offset: b.Next}
}

// Mark is a position of a consumer group in one partition: where to go on, and what to know there.
type Mark struct {
	Offset   int64  // the first offset that is not done; below zero where the group has committed none
	Metadata string // at most 4096 bytes
}

// Restart asks that, after the batch was not acknowledged, the partition begins anew with Resume
// instead of bringing the batch again.
func (b *Batch) Restart() { b.restart = true }

// Restarts says whether Restart was called.
func (b *Batch) Restarts() bool { return b.restart }

type batchKey struct{}

// WithBatch returns a context that carries the batch: the envelope of a Watermill message.
func WithBatch(ctx context.Context, b *Batch) context.Context {
	return context.WithValue(ctx, batchKey{}, b)
}

// BatchOf returns the batch that the context carries, or nil.
func BatchOf(ctx context.Context) *Batch {
	b, _ := ctx.Value(batchKey{}).(*Batch)
	return b
}
