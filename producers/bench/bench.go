// Package bench is the measuring instrument: it offers work to a system, as the parties would, and reads what comes
// out of it.
//
//	reads   entries, pre-issues, certificates, refusals; record batches of every topic
//	effect  none but load
//	emits   directory, movements (open, hold, capture), invitations, issuance-requests (request)
//
// It stands outside: what it counts was read back from the log. Its own work is made from templates, so that little
// of the machine's time is its own; what is, it tells apart.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/demo"
	"github.com/aval-systems/aval/schemas"
)

const source = "/aval/bench"

// Log is the part of the log that a bench reads.
type Log interface {
	// Bounds returns the first offset that the partition keeps, and the one after its last.
	Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error)
	// Tail visits the records of all partitions from these offsets on, those still to come too, until ctx ends.
	Tail(ctx context.Context, topic string, from []int64,
		visit func(partition int, records []pipeline.Record) error) error
	// Batches counts the record batches from an offset up to before another, their records and bytes, until that
	// many bytes were read.
	Batches(ctx context.Context, topic string, partition int, from, end int64, most int) (
		batches, records, bytes int, err error)
}

// Config says what is measured.
type Config struct {
	Partitions  int
	WarmUp      time.Duration // not measured: a cold JVM costs thrice as much
	Duration    time.Duration
	Rate        int           // items a second; zero: as fast as they are taken
	Outstanding int           // items on their way at most, where no rate is given; zero: OutstandingDefault
	Parties     int           // buyers, and as many sellers; zero: PartiesDefault
	Run         string        // makes identifiers those of this run
	Hot         bool          // one account with many live holds, instead of many accounts
	HotHolds    int           // of that account; zero: HotHoldsDefault
	OpenLeast   int           // certificates that are open in the end, at least: Redis bytes are taken over them
	Overload    bool          // offer twice the maximum too
	Idle        time.Duration // how long to measure the system at rest in the end
	RoundPairs  int           // that are piled up at a time; zero: RoundPairsDefault

	// Directory is published where there is none. Nil: the one that is there is used.
	Directory *schemas.Directory

	Now      func() time.Time
	Progress demo.Progress
	Logger   *slog.Logger
}

// Defaults of a Config.
const (
	OutstandingDefault = 20_000
	PartiesDefault     = 2_000
	HotHoldsDefault    = 1_000_000
	RoundPairsDefault  = 1_000_000
)

// Deps are the parts of the system, and of the machine, that a bench uses.
type Deps struct {
	Publisher pipeline.Publisher
	Log       Log
	// Usage is what had been used up to now.
	Usage func(ctx context.Context) (Usage, error)
	// Memory is what Redis holds now.
	Memory func(ctx context.Context) (Held, error)
	// Lag is how many records each stage has not done yet of each topic that it reads.
	Lag func(ctx context.Context) (map[string]int64, error)
	// Stages lets the stages rest while work is piled up for them. Nil: they run elsewhere.
	Stages Stages
	// Profile takes the processor profile of the stages for so long. Nil: nobody wants it.
	Profile func(ctx context.Context, d time.Duration) error
}

// Stages are those that a bench has started.
type Stages interface {
	Start(ctx context.Context) error
	Stop() error
}

// Held is what Redis holds, in bytes; Known says whether it told.
type Held struct {
	Known                    bool
	All, Accounts, PreIssues int64
}

func (c *Config) fill() {
	c.Outstanding = cmp.Or(c.Outstanding, OutstandingDefault)
	c.Parties = cmp.Or(c.Parties, PartiesDefault)
	c.HotHolds = cmp.Or(c.HotHolds, HotHoldsDefault)
	c.RoundPairs = cmp.Or(c.RoundPairs, RoundPairsDefault)
	if c.Progress == nil {
		c.Progress = demo.Silent{}
	}
}

// How long what is to be sent gathers: a request costs the broker as much as some hundred records. Answers have
// gathered already, in the fetch that brought what they answer.
const (
	linger       = 15 * time.Millisecond
	lingerAnswer = 2 * time.Millisecond
)

// patience is how long nothing may come out before what is missing counts as lost.
const patience = 30 * time.Second

// ends are the offsets after the last record of each partition of the topics.
func (d Deps) ends(ctx context.Context, partitions int, topics ...string) (map[string][]int64, error) {
	all := map[string][]int64{}
	for _, topic := range topics {
		for p := range partitions {
			_, end, err := d.Log.Bounds(ctx, topic, p)
			if err != nil {
				return nil, fmt.Errorf("look up the end of %s/%d: %w", topic, p, err)
			}
			all[topic] = append(all[topic], end)
		}
	}
	return all, nil
}

// during runs the actors beside f, and ends them when f does.
func during(ctx context.Context, f func(context.Context) error, actors ...func(context.Context) error) error {
	done := errors.New("done")
	all := append([]func(context.Context) error{func(ctx context.Context) error {
		if err := f(ctx); err != nil {
			return err
		}
		return done
	}}, actors...)
	err := pipeline.Run(ctx, all...)
	if errors.Is(err, done) {
		return nil
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// profiled takes the profile of about so long while f is at work.
func (d Deps) profiled(ctx context.Context, long time.Duration, f func(context.Context) error) error {
	if d.Profile == nil {
		return f(ctx)
	}
	return during(ctx, f, func(ctx context.Context) error {
		if err := d.Profile(ctx, max(long-time.Second, time.Second)); err != nil && ctx.Err() == nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}
