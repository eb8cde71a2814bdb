package notice_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// nowhere is a transport that drops what it gets, and has a directory.
type nowhere struct{ bus }

func (*nowhere) Publish(context.Context, []pipeline.Record) error { return nil }

func recordOf(b *testing.B, topic string, id int, body proto.Message) pipeline.Record {
	b.Helper()
	r, err := pipeline.Encode(topic, schemas.Message{
		Attributes: schemas.Attributes{ID: strconv.Itoa(id), Source: "/aval/test", Time: noticeTime()}, Body: body,
	})
	if err != nil {
		b.Fatal(err)
	}
	r.Partition, r.Offset = 0, int64(id)
	return r
}

// BenchmarkInbox is a batch of notices whose recipients read the inbox; an op is one notice.
func BenchmarkInbox(b *testing.B) {
	errDone := errors.New("done")
	for name, urls := range map[string]map[string]string{
		"without webhooks": nil, "beside webhooks": {"other": "https://shop.example/"},
	} {
		b.Run(name, func(b *testing.B) {
			transport := &nowhere{bus{topics: map[string][][]pipeline.Record{
				schemas.TopicDirectory: {{recordOf(b, schemas.TopicDirectory, 0, directoryOf(urls))}},
			}}}
			work := notice.New(notice.Config{
				Follower: &pipeline.Follower{
					Publisher: transport, Partitions: 1, Logger: slog.New(slog.DiscardHandler),
					IsJournal: func(string) bool { return false },
				},
				Log: transport, Now: time.Now,
			}).Works()[0]
			batch := &pipeline.Batch{Topic: schemas.TopicNotices, Next: 500}
			for i := range int(batch.Next) {
				n := noticeTo("maria")
				if i%2 == 0 {
					n.Then = nil
				}
				batch.Records = append(batch.Records, recordOf(b, schemas.TopicNotices, i, n))
			}
			b.ReportAllocs()
			err := pipeline.Run(b.Context(), work.Beside, func(ctx context.Context) error {
				for done := 0; done < b.N; done += len(batch.Records) {
					if err := work.Handle(ctx, batch); err != nil {
						return err
					}
				}
				return errDone
			})
			if !errors.Is(err, errDone) {
				b.Fatal(err)
			}
		})
	}
}
