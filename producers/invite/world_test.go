package invite_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/producers/invite"
	"github.com/aval-systems/aval/schemas"
)

const partitions = 3

// world is a log in memory. What is published there can be answered at once.
type world struct {
	mu     sync.Mutex
	topics map[string][][]pipeline.Record
	news   chan struct{} // is closed and made anew when something comes

	publishes int
	before    func(n int, records []pipeline.Record) error // is called before each publish
	after     func(records []pipeline.Record)              // and after it
}

func newWorld() *world {
	w := &world{topics: map[string][][]pipeline.Record{}, news: make(chan struct{})}
	for _, topic := range schemas.Topics() {
		w.topics[topic.Name] = make([][]pipeline.Record, topic.PartitionCount(partitions))
	}
	return w
}

// add puts records into the log.
func (w *world) add(records ...pipeline.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range records {
		if r.Partition < 0 {
			r.Partition = schemas.PartitionOf(r.Key, partitions)
		}
		in := w.topics[r.Topic]
		r.Offset = int64(len(in[r.Partition]))
		in[r.Partition] = append(in[r.Partition], r)
	}
	close(w.news)
	w.news = make(chan struct{})
}

// Publish implements pipeline.Publisher.
func (w *world) Publish(ctx context.Context, records []pipeline.Record) error {
	w.mu.Lock()
	w.publishes++
	n := w.publishes
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(n, records); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.add(records...)
	if w.after != nil {
		w.after(records)
	}
	return nil
}

// Bounds implements invite.Log.
func (w *world) Bounds(_ context.Context, topic string, partition int) (first, end int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return 0, int64(len(w.topics[topic][partition])), nil
}

// Tail implements invite.Log.
func (w *world) Tail(
	ctx context.Context, topic string, from []int64, visit func(int, []pipeline.Record) error,
) error {
	next := append([]int64(nil), from...)
	for {
		w.mu.Lock()
		news := w.news
		fresh := make([][]pipeline.Record, partitions)
		for p, records := range w.topics[topic] {
			fresh[p] = records[next[p]:]
			next[p] = int64(len(records))
		}
		w.mu.Unlock()
		for p, records := range fresh {
			if len(records) > 0 {
				if err := visit(p, records); err != nil {
					return err
				}
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Committed implements invite.Marks: nobody has read anything.
func (w *world) Committed(context.Context, string, string) ([]pipeline.Mark, error) { return nil, nil }

// invitations are those that were handed in, in the order of the log, by reference.
func (w *world) invitations(t *testing.T) map[string][]*schemas.Invitation {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	found := map[string][]*schemas.Invitation{}
	for p, records := range w.topics[schemas.TopicInvitations] {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if err != nil {
				t.Fatal(err)
			}
			in.Partition = p
			if err := pipeline.CheckKey(in, partitions); err != nil {
				t.Error(err)
			}
			x, _ := in.Body.(*schemas.Invitation)
			found[x.GetReference()] = append(found[x.GetReference()], x)
		}
	}
	return found
}

// job is a file that is handed in, and its report.
type job struct {
	t     *testing.T
	world *world
	dir   string
	name  string
	c     invite.Config
	known []invite.Known // what is recalled
	mu    sync.Mutex
	asked int
}

const header = "receiving_account,seller,reference,buyer,amount,currency,issuing_bank\n"

// line is a good row.
func line(i int) string { return fmt.Sprintf("AVALBRSP/1,s,r%d,b,1.00,BRL,QUAYUS33XXX\n", i) }

func file(rows int) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range rows {
		b.WriteString(line(i))
	}
	return b.String()
}

func newJob(t *testing.T, w *world, text string) *job {
	t.Helper()
	j := &job{t: t, world: w, dir: t.TempDir(), name: "rows.csv"}
	j.c = invite.Config{
		Version: 3, Report: filepath.Join(j.dir, "report.csv"), Resume: true, PieceBytes: 4096,
		Partitions: partitions, Now: time.Now,
	}
	j.write(text)
	return j
}

func (j *job) path() string { return filepath.Join(j.dir, j.name) }

func (j *job) write(text string) {
	j.t.Helper()
	if err := os.WriteFile(j.path(), []byte(text), 0o600); err != nil {
		j.t.Fatal(err)
	}
}

// run hands the file in.
func (j *job) run(ctx context.Context) (invite.Summary, error) {
	j.t.Helper()
	in, err := invite.Open(ctx, j.path(), nil)
	if err != nil {
		j.t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it was only read
	return j.runOver(ctx, in)
}

func (j *job) runOver(ctx context.Context, in *invite.Input) (invite.Summary, error) {
	j.t.Helper()
	return invite.Run(ctx, in, j.c, invite.Deps{
		Publisher: j.world, Log: j.world, Marks: j.world,
		Recall: func(_ context.Context, ids []string) ([]invite.Known, error) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.asked += len(ids)
			return j.known, nil
		},
	})
}

// must is run where nothing may go wrong.
func (j *job) must() invite.Summary {
	j.t.Helper()
	s, err := j.run(j.t.Context())
	if err != nil {
		j.t.Fatal(err)
	}
	return s
}

// told is the report: each row's words by name, in order.
func (j *job) told() []map[string]string {
	j.t.Helper()
	text, err := os.ReadFile(j.c.Report)
	if err != nil {
		j.t.Fatal(err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		j.t.Errorf("the report ends in the middle of a row: %q", text[max(0, len(text)-100):])
	}
	all, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(all) == 0 {
		j.t.Fatalf("the report is no CSV: %v", err)
	}
	var rows []map[string]string
	for _, fields := range all[1:] {
		row := map[string]string{}
		for i, field := range fields {
			row[all[0][i]] = field
		}
		rows = append(rows, row)
	}
	return rows
}

// wantWhole fails unless the report tells each of so many good rows once, in order, with one outcome.
func (j *job) wantWhole(rows int, outcome invite.Outcome) {
	j.t.Helper()
	told := j.told()
	if len(told) != rows {
		j.t.Fatalf("the report tells %d rows, want %d", len(told), rows)
	}
	for i, row := range told {
		id := schemas.InvitationID("AVALBRSP", "s", "r"+strconv.Itoa(i))
		if row["line"] != strconv.Itoa(i+2) || row["reference"] != "r"+strconv.Itoa(i) || row["invitation_id"] != id ||
			row["outcome"] != string(outcome) {
			j.t.Fatalf("row %d is told as %v, want %s", i, row, outcome)
		}
	}
}
