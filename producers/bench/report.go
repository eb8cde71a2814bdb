package bench

import "time"

// Report is what a bench found: its JSON.
type Report struct {
	Kind    string `json:"kind"`
	Offered string `json:"offered"` // Closed, Open or Backlog
	Seconds Number `json:"seconds"` // of the measurement, without what came before and after
	Warmed  Number `json:"warm_up_seconds"`
	Count   int64  `json:"count"` // items that came out within it
	Rate    Number `json:"rate_per_second"`
	Wanted  Number `json:"offered_per_second"` // of an open loop; zero: as fast as it took
	Lost    int64  `json:"lost"`               // items that were offered and never came out
	Refused int64  `json:"refused"`
	Twice   int64  `json:"twice"`  // items that came out more than once, which a fault allows
	Undone  int64  `json:"undone"` // records that a stage had not done when nothing went on any more
	// Behind is how many records each stage had before it at the end of the measurement, by its group.
	Behind map[string]int64 `json:"behind"`

	Latency     Latency `json:"latency_ms"`
	LatencyRate Number  `json:"latency_at_rate"` // the rate at which the latency was taken
	// Saturated is the latency while as much was offered as was taken: that of the queue in front.
	Saturated *Latency `json:"saturated_latency_ms,omitempty"`

	CPU CPU `json:"cpu_us_per_item"`
	// Busy is the part of the machine's time that was used in the measurement, by whomever: of all cores.
	Busy *Number `json:"machine_busy_percent"`

	Records Number            `json:"records_per_item"`
	Bytes   Number            `json:"bytes_per_item"`
	Topics  map[string]Topic  `json:"topics"`
	Batches map[string]Number `json:"batch_mean"`
	// Handled is how many records a stage had in hand at a time, by stage and topic; nil of stages that run elsewhere.
	Handled map[string]Number `json:"handled_batch_mean"`
	// Requests is how many requests the stages made of the brokers for each item, by kind.
	Requests map[string]Number `json:"requests_per_item"`
	Floors   Floors            `json:"floors"`

	Overload *Overload `json:"overload,omitempty"`
	// Idle is the part of one core that the stages take when there is nothing to do.
	Idle *Number `json:"idle_core_percent,omitempty"`

	RedisBytes *Number `json:"redis_bytes_per_open"` // of the two books
	Redis      Memory  `json:"redis_bytes"`
	RSS        *Number `json:"rss_mib"` // the most that the stages had
	ClientRSS  *Number `json:"client_rss_mib"`

	Stages     []string          `json:"stages"`
	Partitions int               `json:"partitions"`
	Machine    Machine           `json:"machine"`
	Versions   map[string]string `json:"versions"`
	At         time.Time         `json:"at"`
}

// Kinds of reports.
const (
	KindCertificates = "certificates"
	KindAccounts     = "accounts"
	KindHot          = "accounts-hot"
	KindInvite       = "invite"
	KindDemo         = "demo"
)

// How work is offered.
const (
	Closed  = "closed"  // as fast as it is taken, with so many on their way
	Open    = "open"    // at a rate, whatever becomes of it; latency counts from the intended time
	Backlog = "backlog" // it stands there before: its making is not measured
)

// Latency is from the intended time of sending to what was read back.
type Latency struct {
	P50  Number `json:"p50"`
	P99  Number `json:"p99"`
	P999 Number `json:"p999"`
	Max  Number `json:"max"`
}

// LatencyOf takes the percentiles of a histogram.
func LatencyOf(h *Histogram) Latency {
	return Latency{P50: Millis(h.At(500)), P99: Millis(h.At(990)), P999: Millis(h.At(999)), Max: Millis(h.Max())}
}

// CPU is processor time of each item in microseconds; nil where nobody could tell. Client is the bench's own: it
// plays the parties, and is no part of the system.
type CPU struct {
	Aval   *Number `json:"aval"`
	Kafka  *Number `json:"kafka"`
	Redis  *Number `json:"redis"`
	Client *Number `json:"client"`
}

// Topic is what an item leaves in one.
type Topic struct {
	Records     Number `json:"records_per_item"`
	RecordBytes Number `json:"bytes_per_record"`
}

// Floors are what the servers do of the same without this system.
type Floors struct {
	// Copy is how many items a second there would be if all that is done were to copy as many records of the same
	// size from one topic to another.
	Copy *Number `json:"kafka_copy_per_second"`
	// Script is how many pairs of hold and capture a second a bare script decides, in batches of the same size; it
	// remembers identifiers, as it must who wants to be asked twice. Forgetful is one that does not.
	Script    *Number `json:"script_per_second"`
	Forgetful *Number `json:"script_without_identifiers_per_second"`
}

// Overload is what became of more than was taken.
type Overload struct {
	Wanted  Number  `json:"offered_per_second"`
	Seconds Number  `json:"seconds"`
	Rate    Number  `json:"rate_per_second"`    // while it was offered
	Waiting int64   `json:"waiting"`            // items on their way when the offering ended
	Drained Number  `json:"drained_per_second"` // over all, until the last of them came out
	Lost    int64   `json:"lost"`
	RSS     *Number `json:"rss_mib"`
}

// Memory is what each open item adds to Redis, in bytes.
type Memory struct {
	Items     int64  `json:"items"`
	Accounts  Number `json:"accounts_book"`
	PreIssues Number `json:"pre_issues_book"`
	Register  Number `json:"register"`
	All       Number `json:"all"` // by used_memory
}

// Machine is where it was measured.
type Machine struct {
	Cores  int    `json:"cores"`
	Model  string `json:"model"`
	System string `json:"system"`
}

// Usage is what had been used up to a moment; a part that nobody could tell is below zero.
type Usage struct {
	Aval, Kafka, Redis, Client time.Duration
	Busy, Total                time.Duration // of all cores of the machine
	Resident                   int64         // the most memory that the stages had, in bytes
	Done                       *Done         // nil of stages that run elsewhere
}

// Done is what stages have done up to a moment.
type Done struct {
	Batches  map[string]int64 // by stage and topic
	Records  map[string]int64
	Requests map[string]int64 // by kind
}

// plus adds what was done between two moments.
func (d *Done) plus(before, after *Done) *Done {
	if before == nil || after == nil {
		return d
	}
	if d == nil {
		d = &Done{Batches: map[string]int64{}, Records: map[string]int64{}, Requests: map[string]int64{}}
	}
	add := func(sums, from, to map[string]int64) {
		for name, n := range to {
			sums[name] += n - from[name]
		}
	}
	add(d.Batches, before.Batches, after.Batches)
	add(d.Records, before.Records, after.Records)
	add(d.Requests, before.Requests, after.Requests)
	return d
}

// Between fills in what each of count items cost between two moments.
func (r *Report) Between(before, after Usage, count int64) {
	each := func(from, to time.Duration) *Number {
		if from < 0 || to < 0 || count == 0 {
			return nil
		}
		n := Micros(to-from, count)
		return &n
	}
	r.CPU = CPU{
		Aval: each(before.Aval, after.Aval), Kafka: each(before.Kafka, after.Kafka),
		Redis: each(before.Redis, after.Redis), Client: each(before.Client, after.Client),
	}
	if done := (*Done)(nil).plus(before.Done, after.Done); done != nil {
		r.Handled, r.Requests = map[string]Number{}, map[string]Number{}
		for name, batches := range done.Batches {
			if batches > 0 {
				r.Handled[name] = Per(done.Records[name], batches)
			}
		}
		for name, requests := range done.Requests {
			r.Requests[name] = Per(requests, count)
		}
	}
	if total := after.Total - before.Total; total > 0 && before.Busy >= 0 && after.Busy >= 0 {
		n := Per(100*(after.Busy-before.Busy).Milliseconds(), total.Milliseconds())
		r.Busy = &n
	}
}

// plus adds what was used between two moments.
func (u Usage) plus(before, after Usage) Usage {
	add := func(sum, from, to time.Duration) time.Duration {
		if sum < 0 || from < 0 || to < 0 {
			return -1
		}
		return sum + to - from
	}
	return Usage{
		Aval: add(u.Aval, before.Aval, after.Aval), Kafka: add(u.Kafka, before.Kafka, after.Kafka),
		Redis: add(u.Redis, before.Redis, after.Redis), Client: add(u.Client, before.Client, after.Client),
		Busy: add(u.Busy, before.Busy, after.Busy), Total: add(u.Total, before.Total, after.Total),
		Done: u.Done.plus(before.Done, after.Done),
	}
}

// Client fills in how much memory the bench itself had, in bytes.
func (r *Report) Client(resident int64) { r.ClientRSS = mebibytes(resident) }

// Resident fills in how much memory what is measured had, in bytes.
func (r *Report) Resident(bytes int64) { r.RSS = mebibytes(bytes) }

func mebibytes(bytes int64) *Number {
	if bytes <= 0 {
		return nil
	}
	n := Per(bytes, 1<<20)
	return &n
}
