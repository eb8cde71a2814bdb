package notice

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	publishPause = 250 * time.Millisecond
	tellPause    = time.Minute // between two lines about notices that were given up
)

// work does one delivery after the other until ctx ends. One that is under way then may take until late ends.
func (c *Courier) work(ctx, late context.Context) error {
	for {
		j, r := c.desk.next(ctx)
		if j == nil {
			return nil
		}
		c.serve(late, j, r)
	}
}

// serve delivers a notice and publishes what became of it; then it is done. Without a receiver it is put off. What
// was delivered when the process dies before that is delivered again, under the same webhook-id.
func (c *Courier) serve(ctx context.Context, j *job, r *receiver) {
	defer c.desk.release(j.size)
	if !j.window.begin() { // whoever has the partition now does it
		if r != nil {
			c.desk.answered(r, answer{verdict: stopped}, c.Now())
		}
		return
	}
	a := answer{verdict: failed}
	if r != nil {
		a = c.call(ctx, j, r)
	}
	done := a.verdict != stopped && c.publish(ctx, c.outcome(j, a))
	j.window.end(j.in.Offset, done)
}

// call calls the receiver, and tells of it when it begins or ends to fail.
func (c *Courier) call(ctx context.Context, j *job, r *receiver) answer {
	p, ok := c.parties.of(r.id)
	var a answer
	switch {
	case !ok:
		a = answer{verdict: unneeded}
	case len(p.keys) == 0:
		a = answer{verdict: failed, atOnce: true, why: "its key is not in the file of webhook-keys"}
	default:
		began := c.Now()
		a = c.caller.call(ctx, p, j, began)
		c.meter.Called(pipeline.Called{
			Call: pipeline.CallWebhook, Who: stageName, Items: 1, Took: c.Now().Sub(began),
			Failed: a.verdict != delivered,
		})
	}
	turn := c.desk.answered(r, a, c.Now())
	switch {
	case turn.broke:
		c.logger.WarnContext(ctx, "a webhook fails; its notices wait", "host", p.host, "key_id", p.keyID,
			"error", a.why)
	case turn.left:
		c.logger.WarnContext(ctx, "a webhook wants no more notices: take it out of the directory",
			"host", p.host, "key_id", p.keyID)
	case turn.mended:
		c.logger.InfoContext(ctx, "a webhook takes notices again", "host", p.host, "key_id", p.keyID)
	}
	return a
}

// outcome is the record that tells what became of a try.
func (c *Courier) outcome(j *job, a answer) pipeline.Record {
	switch a.verdict {
	case delivered:
		return c.receipt(j, schemas.Delivery_DELIVERY_WEBHOOK)
	case unneeded:
		return c.receipt(j, schemas.Delivery_DELIVERY_UNSPECIFIED)
	case gone:
		return c.giveUp(j)
	case failed, stopped:
	}
	return c.putOff(j, a.pause)
}

// putOff is the retry of a notice, or, where its time is over, the receipt that says so: the inbox has it in any
// case, and whatever waits for the receipt goes on.
func (c *Courier) putOff(j *job, pause time.Duration) pipeline.Record {
	now := c.Now()
	left := j.first.Add(c.GiveUpAfter).Sub(now)
	if left <= 0 {
		return c.giveUp(j)
	}
	tries := j.tries + 1
	wait := jitter(c.RetryFirst, tries)
	if rest := c.desk.rest(j.notice.GetRecipient().GetId(), now); rest > wait {
		wait = rest + jitter(c.RetryFirst, 1)
	}
	wait = min(max(wait, pause), left, retryMost)
	record := c.follow(j, pipeline.Out{
		Topic: schemas.TopicNoticeRetries, ID: schemas.DeriveID("notice-retry", j.id, strconv.Itoa(tries)),
		Body: &schemas.NoticeRetry{
			NoticeId: j.id, Notice: j.notice, Tries: int32(tries), //nolint:gosec // a few for each hour
			First: timestamppb.New(j.first), Due: timestamppb.New(now.Add(wait)),
		},
	})
	if record.Topic == schemas.TopicNoticeRetries {
		record.Partition = tier(wait)
	}
	return record
}

func (c *Courier) giveUp(j *job) pipeline.Record {
	c.givenUp.Add(1)
	c.meter.Counted(pipeline.EventGivenUp, stageName, "", 1)
	return c.receipt(j, schemas.Delivery_DELIVERY_GIVEN_UP)
}

func (c *Courier) receipt(j *job, how schemas.Delivery) pipeline.Record {
	return c.follow(j, pipeline.Out{
		Topic: schemas.TopicReceipts, ID: receiptID(j.id), Body: receiptOf(j.id, j.notice, how),
	})
}

// follow makes the record of what follows: a dead letter, where it cannot be written.
func (c *Courier) follow(j *job, out pipeline.Out) pipeline.Record {
	stage := pipeline.Stage{Name: stageName, Follow: func(pipeline.In) ([]pipeline.Out, error) {
		return []pipeline.Out{out}, nil
	}}
	records, _ := pipeline.Follows(stage, j.in) // it has no reason to wait
	return records[0]
}

// publish publishes what became of a try, until that succeeds or ctx ends.
func (c *Courier) publish(ctx context.Context, record pipeline.Record) bool {
	records := []pipeline.Record{record}
	for {
		err := c.Follower.Publisher.Publish(ctx, records)
		if err == nil {
			if c.outage.CompareAndSwap(true, false) {
				c.logger.InfoContext(ctx, "what became of webhooks is published again")
			}
			return true
		}
		if ctx.Err() == nil && c.outage.CompareAndSwap(false, true) {
			c.logger.WarnContext(ctx, "what became of webhooks cannot be published; it is tried until it can",
				"error", err)
		}
		select {
		case <-time.After(publishPause):
		case <-ctx.Done():
			return false
		}
	}
}

// tellGivenUp logs how many notices were given up, not too often.
func (c *Courier) tellGivenUp(ctx context.Context) {
	now := c.Now()
	if now.Sub(c.told) < tellPause {
		return
	}
	if count := c.givenUp.Swap(0); count > 0 {
		c.told = now
		c.logger.WarnContext(ctx, "webhooks were given up; the notices stand in their recipients' inboxes",
			"count", count)
	}
}
