package pipeline

import "time"

// Meter measures what a process does. It is told once of a batch, of a call or of an event, never of a record, from
// any goroutine; its methods return at once. What names something is of a bounded set: no identifiers.
type Meter interface {
	// Worked tells that a consumer has handled a batch. An idle sign is no batch.
	Worked(Worked)
	// Stands tells where the work on a partition stands: as a batch is taken, as it is done, and as it is given up.
	Stands(Standing)
	// Called tells how long a call took that left the process, or waited for one that did.
	Called(Called)
	// Wrote tells that a record batch was acknowledged.
	Wrote(topic string, records, bytes int)
	// Counted tells that something happened so many times. Why is empty where the event says all.
	Counted(e Event, who, why string, count int)
}

// Worked is a batch that a stage, a book or a sink has handled.
type Worked struct {
	Stage, Topic string
	Records      int
	Bytes        int // as they were fetched
	Took         time.Duration
	Again        bool // it failed, and comes again
}

// Standing is where the work on a partition stands.
type Standing struct {
	Stage, Topic string
	Partition    int
	Next         int64     // the first offset that is not done
	High         int64     // the offset after the partition's last record, as the last fetch brought it
	Oldest       time.Time // when the oldest record that is not done was written, about; zero where all is done
	Since        time.Time // when the batch was taken that is in hand; zero where none is
	Left         bool      // the process does not work on the partition any more
}

// Called is a call that took time.
type Called struct {
	Call   Call
	Who    string // the stage that waited, or the book; empty of the transport's own
	What   string // what was asked, where the call has several questions
	Items  int    // that it was about: commands, records, partitions
	Took   time.Duration
	Failed bool
}

// Call is a kind of call.
type Call string

// The calls that are measured.
const (
	CallDecide  Call = "decide"  // a book has its batch decided, the script's time in Redis included
	CallAppend  Call = "append"  // a book has its journal's entry acknowledged
	CallPublish Call = "publish" // a stage has what follows acknowledged
	CallStore   Call = "store"   // a sink has its batch stored
	CallRedis   Call = "redis"   // one call of a book's script
	CallProduce Call = "produce" // one request to a broker, of its partitions
	CallFetch   Call = "fetch"   // one answer of a broker that brought something, of its partitions
	CallCommit  Call = "commit"  // one commit of a group's marks, of its partitions
	CallWebhook Call = "webhook" // a notice was posted to its recipient
)

// Event is something that happens and is counted.
type Event string

// The events that are counted.
const (
	EventDecided    Event = "decided"     // a book decided a command; why is the outcome
	EventRefused    Event = "refused"     // a book refused a command; why is the reason
	EventTakeover   Event = "takeover"    // a book's shard was taken over
	EventFenced     Event = "fenced"      // a book's shard was taken over by another
	EventMismatch   Event = "mismatch"    // Redis stood elsewhere than the shard's owner
	EventRecovered  Event = "recovered"   // a book's shard was brought to the journal's end from where Redis stood
	EventRebuilt    Event = "rebuilt"     // a book's shard was rebuilt from the beginning
	EventDeadLetter Event = "dead_letter" // a stage wrote a dead letter; why is the topic of the original
	EventOutage     Event = "outage"      // the process began to wait; why is for what
	EventGivenUp    Event = "given_up"    // a notice was given up that its recipient's webhook did not take
)

// MeterOr returns the meter, or one that measures nothing where there is none.
func MeterOr(m Meter) Meter {
	if m == nil {
		return noMeter{}
	}
	return m
}

type noMeter struct{}

func (noMeter) Worked(Worked)                      {}
func (noMeter) Stands(Standing)                    {}
func (noMeter) Called(Called)                      {}
func (noMeter) Wrote(string, int, int)             {}
func (noMeter) Counted(Event, string, string, int) {}
