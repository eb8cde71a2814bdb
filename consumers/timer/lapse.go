package timer

import (
	"context"
	"fmt"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	// lapsesAtOnce is how many lapses are made before they are written.
	lapsesAtOnce = 500
	// gapMax is how many records of the journal are read over from one offer to the next.
	gapMax = 500
)

// lapse writes the lapses of what is due. What is written is the book's.
func (t *Timer) lapse(ctx context.Context, s *shard) error {
	if err := s.recall(ctx, t.config.Log); err != nil {
		return err
	}
	due := s.due()
	for len(due) > 0 {
		near := s.near(due)
		lapses, err := s.lapses(ctx, t.config.Log, due[:near])
		if err != nil {
			return err
		}
		if err := t.config.Publisher.Publish(ctx, lapses); err != nil {
			return fmt.Errorf("publish lapses: %w", &pipeline.ServerError{Server: pipeline.ServerKafka, Err: err})
		}
		for _, invitation := range due[:near] {
			s.decided(invitation)
		}
		due = due[near:]
	}
	s.trim()
	return nil
}

// near is how many of the first ones were offered close enough together to be read at once.
func (s *shard) near(due []string) int {
	for i := 1; i < min(len(due), lapsesAtOnce); i++ {
		if s.open[due[i]].offset-s.open[due[i-1]].offset > gapMax {
			return i
		}
	}
	return min(len(due), lapsesAtOnce)
}

// lapses reads the offers again, and makes the lapses of their terms.
func (s *shard) lapses(ctx context.Context, log pipeline.Log, due []string) (lapses []pipeline.Record, err error) {
	wanted := map[int64]bool{}
	for _, invitation := range due {
		wanted[s.open[invitation].offset] = true
	}
	from, to := s.open[due[0]].offset, s.open[due[len(due)-1]].offset
	err = log.Read(ctx, s.topic, s.number, from, to+1, func(records []pipeline.Record) error {
		for _, r := range records {
			if !wanted[r.Offset] {
				continue
			}
			lapse, err := lapseOf(r, s.now)
			if err != nil {
				return err
			}
			lapses = append(lapses, lapse)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read offers of %s/%d: %w", s.topic, s.number, err)
	}
	return lapses, nil
}

// lapseOf is the lapse of what was offered, at a log time in milliseconds. It is the same at any, since it says no
// more than which terms nobody has answered.
func lapseOf(r pipeline.Record, now int64) (pipeline.Record, error) {
	in, err := pipeline.Decode(r)
	if err != nil {
		return pipeline.Record{}, err
	}
	item, _ := in.Body.(*schemas.PreIssue)
	terms := item.GetRequest().GetTerms()
	return pipeline.Encode(schemas.TopicIssuanceRequests, schemas.Message{
		Attributes: schemas.Attributes{
			ID: schemas.LapseID(terms.GetInvitationId()), Source: source, Cause: in.ID, Time: time.UnixMilli(now).UTC(),
		},
		Body: &schemas.IssuanceRequest{Terms: terms, Verb: &schemas.IssuanceRequest_Lapse{Lapse: &schemas.Lapse{}}},
	})
}
