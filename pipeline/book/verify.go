package book

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/fold"
)

// Verifier holds a book's state in Redis against the fold of its journal, at one position, while both go on.
//
// Redis is visited row by row. What does not match is looked at again, with the header, at one moment, and the fold
// goes on to where that stands: what differs then differs. A row that the journal changed meanwhile is looked at again
// too, so that in the end each was right, or not, at one position at least of those that Redis went through. Memory:
// the fold, some rows, and those that the journal changes while it is compared.
type Verifier struct {
	Book  Book
	Store *Store
	Log   pipeline.Log
	// Attempts is how often Redis is waited for where it does not stand on the journal, a Pause each time.
	Attempts int
	Pause    time.Duration
	// Report is told of each difference, of a shard one after the other.
	Report func(Difference)
	// Progress is told of so many records and rows. It may be nil.
	Progress func(n int)
}

// UncheckedError says that a shard could not be verified.
type UncheckedError struct {
	Book  string
	Shard int
	Why   string
}

func (e *UncheckedError) Error() string {
	return fmt.Sprintf("%s/%d could not be verified: %s", e.Book, e.Shard, e.Why)
}

// Bounds of a verification.
const (
	lookRows   = 256     // rows that are looked at one moment
	unseenRows = 100_000 // rows that are missing and are held at a time
	touchedMax = 50_000  // rows that changed meanwhile and are held at a time, about
)

// verification is that of one shard.
type verification struct {
	*Verifier

	shard    int
	fold     *fold.Fold
	touched  map[[2]string]bool // rows that the journal changed since they were compared, perhaps; nil: nobody asks
	emptied  bool               // the journal emptied a table meanwhile
	reported map[[2]string]bool
}

// Shard verifies a shard, and returns how many answers its journal has up to where it was verified.
func (v *Verifier) Shard(ctx context.Context, shard int) (items int64, err error) {
	c := &verification{
		Verifier: v, shard: shard, fold: fold.New(v.Log, v.Book.Journal(), shard),
		touched: map[[2]string]bool{}, reported: map[[2]string]bool{},
	}
	c.fold.Read = c.progress
	err = c.run(ctx)
	return c.fold.Items(), err
}

func (c *verification) progress(n int) {
	if c.Progress != nil {
		c.Progress(n)
	}
}

func (c *verification) run(ctx context.Context) error {
	met, err := c.meet(ctx)
	if err != nil || !met {
		return err
	}
	c.fold.Touched = c.touch
	if err := c.scan(ctx); err != nil {
		return err
	}
	if _, err := c.meet(ctx); err != nil { // what changed up to here is looked at once more, and no more then
		return err
	}
	c.fold.Touched = nil
	if err := c.settle(ctx); err != nil {
		return err
	}
	if c.emptied { // of what went with a table nobody told row by row
		if err := c.scan(ctx); err != nil {
			return err
		}
	}
	for _, table := range c.fold.Tables() {
		if err := c.missing(ctx, table); err != nil {
			return err
		}
	}
	return c.header(ctx)
}

func (c *verification) touch(table, field []byte) {
	if len(field) == 0 {
		c.emptied = true
		return
	}
	c.touched[[2]string{string(table), string(field)}] = true
}

// meet folds up to where the header stands; it says no where there is nothing to compare.
func (c *verification) meet(ctx context.Context) (met bool, err error) {
	var stands string
	for attempt := range c.Attempts {
		if err := c.pause(ctx, attempt); err != nil {
			return false, err
		}
		place, err := c.Store.Place(ctx, c.shard)
		if wrong := (*HeaderError)(nil); errors.As(err, &wrong) {
			c.differs("header", wrong.Field, wrong.Value, strconv.FormatInt(c.fold.Position().To, 10))
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !place.Found {
			return false, c.empty(ctx)
		}
		if met, stands, err = c.reach(ctx, place); met || err != nil {
			return met, err
		}
		if attempt == c.Attempts-1 {
			return c.apart(place, stands)
		}
	}
	return false, nil
}

// empty says of a Redis that has nothing whether that is what the journal says.
func (c *verification) empty(ctx context.Context) error {
	if err := c.fold.To(ctx, fold.ToTheEnd); err != nil {
		return c.unfolded(err)
	}
	if to := c.fold.Position().To; to > 0 {
		c.differs("header", "at", "", strconv.FormatInt(to, 10))
	}
	return nil
}

// reach folds up to a place of Redis, and compares the digests there. Where the two do not meet it says how.
func (c *verification) reach(ctx context.Context, place Place) (met bool, stands string, err error) {
	if place.Digest == Loading {
		return false, "is being written from elsewhere", nil
	}
	if err := c.fold.To(ctx, place.At); err != nil {
		return false, "", c.unfolded(err)
	}
	at := c.fold.Position()
	switch {
	case at.To == place.At:
		if place.Digest != at.Digest {
			c.differs("header", "digest", place.Digest, at.Digest)
		}
		return true, "", nil
	case at.To > place.At:
		return false, fmt.Sprintf("went back to command %d while it was compared", place.At), nil
	case place.LastFrom == at.To && place.LastDigest == at.Digest:
		return false, fmt.Sprintf("has decided up to command %d, and nobody has published it: its owner is away",
			place.At), nil
	}
	return false, "", nil
}

// apart says what it means that Redis and the journal do not meet, and will not.
func (c *verification) apart(place Place, stands string) (met bool, err error) {
	if stands != "" {
		return false, &UncheckedError{c.Book.Name(), c.shard, "Redis " + stands}
	}
	c.differs("header", "at", strconv.FormatInt(place.At, 10), strconv.FormatInt(c.fold.Position().To, 10))
	return false, nil
}

func (c *verification) unfolded(err error) error {
	if broken := (*fold.BrokenError)(nil); errors.As(err, &broken) {
		return &UncheckedError{c.Book.Name(), c.shard, broken.Problem}
	}
	return err
}

func (c *verification) pause(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(c.Pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// scan visits the rows of all tables in Redis.
func (c *verification) scan(ctx context.Context) error {
	odd := map[string][]string{}
	visited := 0
	err := c.Store.All(ctx, c.shard, func(table, field, value string) error {
		if visited++; visited%lookRows == 0 {
			c.progress(lookRows)
		}
		if c.fold.Same(table, field, value) {
			return nil
		}
		if odd[table] = append(odd[table], field); len(odd[table]) < lookRows {
			return nil
		}
		err := c.again(ctx, table, odd[table])
		odd[table] = nil
		if err == nil && len(c.touched) > touchedMax {
			err = c.settle(ctx)
		}
		return err
	}, func(bucket string) { c.differs("rows "+bucket, "bucket", "unreadable", "") })
	if errors.Is(err, errRebuilt) {
		return &UncheckedError{c.Book.Name(), c.shard, err.Error()}
	}
	for table, fields := range odd {
		if err == nil {
			err = c.again(ctx, table, fields)
		}
	}
	return err
}

// settle looks once more at what the journal changed.
func (c *verification) settle(ctx context.Context) error {
	touched := c.touched
	c.touched = map[[2]string]bool{}
	tables := map[string][]string{}
	for row := range touched {
		table := row[0]
		if tables[table] = append(tables[table], row[1]); len(tables[table]) == lookRows {
			if err := c.again(ctx, table, tables[table]); err != nil {
				return err
			}
			tables[table] = nil
		}
	}
	for table, fields := range tables {
		if err := c.again(ctx, table, fields); err != nil {
			return err
		}
	}
	return nil
}

// missing looks once more at the rows that were not seen in Redis.
func (c *verification) missing(ctx context.Context, table string) error {
	for {
		var fields []string
		err := c.fold.Unseen(table, func(field string) error {
			if fields = append(fields, field); len(fields) == unseenRows {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		for rest := fields; len(rest) > 0; {
			n := min(lookRows, len(rest))
			if err := c.again(ctx, table, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if len(fields) < unseenRows {
			return nil
		}
	}
}

// errEnough ends a visit.
var errEnough = errors.New("enough")

// again looks at rows and header at one moment, and compares them with the fold at that position.
func (c *verification) again(ctx context.Context, table string, fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	var stands string
	for attempt := range c.Attempts {
		if err := c.pause(ctx, attempt); err != nil {
			return err
		}
		place, values, err := c.Store.Look(ctx, c.shard, table, fields)
		if err != nil {
			return err
		}
		var met bool
		if met, stands, err = c.reach(ctx, place); err != nil {
			return err
		}
		if !met {
			continue
		}
		for i, field := range fields {
			c.compare(table, field, values[i])
		}
		return nil
	}
	if stands == "" {
		stands = "and the journal do not meet any more"
	}
	return &UncheckedError{c.Book.Name(), c.shard, "Redis " + stands}
}

func (c *verification) compare(table, field string, redis *string) {
	if redis != nil && c.fold.Same(table, field, *redis) {
		return
	}
	var journal *string
	if value, found := c.fold.Row(table, field); found {
		journal = &value
	}
	row := [2]string{table, field}
	if redis == nil && journal == nil || c.reported[row] {
		return
	}
	c.reported[row] = true
	for _, d := range differences(c.Book, table, field, redis, journal) {
		d.Shard = c.shard
		c.Report(d)
	}
}

// header compares what the header says of owners and history.
func (c *verification) header(ctx context.Context) error {
	place, err := c.Store.Place(ctx, c.shard)
	if err != nil {
		return err
	}
	if err := c.fold.To(ctx, fold.ToTheEnd); err != nil {
		return c.unfolded(err)
	}
	if place.Epoch > c.fold.Epoch() {
		c.differs("header", "epoch", strconv.FormatInt(place.Epoch, 10), strconv.FormatInt(c.fold.Epoch(), 10))
	}
	if place.Found && place.History != c.fold.History() {
		c.differs("header", "history", place.History, c.fold.History())
	}
	return nil
}

func (c *verification) differs(key, field, redis, journal string) {
	row := [2]string{key, field}
	if c.reported[row] {
		return
	}
	c.reported[row] = true
	c.Report(Difference{
		Book: c.Book.Name(), Shard: c.shard, Key: key, Field: field, Redis: redis, Journal: journal,
	})
}
