package notice_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// BenchmarkWebhook is a webhook that a receiver on this machine takes at once, checks included.
func BenchmarkWebhook(b *testing.B) {
	key, err := notice.ParseKey(secret)
	if err != nil {
		b.Fatal(err)
	}
	taken := make(chan struct{}, 1<<16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = notice.Verify(r.Header, []notice.Key{key}, time.Now(), body)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		taken <- struct{}{}
	}))
	defer server.Close()
	directory := recordOf(b, schemas.TopicDirectory, 0, directoryOf(map[string]string{"maria": server.URL}))
	transport := &nowhere{bus{topics: map[string][][]pipeline.Record{
		schemas.TopicDirectory: {{directory}},
	}}}
	file := filepath.Join(b.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("shop "+secret), 0o600); err != nil {
		b.Fatal(err)
	}
	work := notice.New(notice.Config{
		Follower: &pipeline.Follower{
			Publisher: transport, Partitions: 1, Logger: slog.New(slog.DiscardHandler),
			IsJournal: func(string) bool { return false },
		},
		Log: transport, Now: time.Now, KeyFile: file, Private: true,
	}).Works()[0]
	record := recordOf(b, schemas.TopicNotices, 0, noticeTo("maria"))
	errDone := errors.New("done")
	b.ReportAllocs()
	err = pipeline.Run(b.Context(), work.Beside, func(ctx context.Context) error {
		for n, done := 0, 0; done < b.N; {
			for ; n < b.N && n-done < 200; n++ {
				record.Offset = int64(n)
				batch := &pipeline.Batch{
					Topic: schemas.TopicNotices, Records: []pipeline.Record{record}, Next: int64(n) + 1,
				}
				if err := work.Handle(ctx, batch); err != nil {
					return err
				}
			}
			<-taken
			done++
		}
		return errDone
	})
	if !errors.Is(err, errDone) {
		b.Fatal(err)
	}
}
