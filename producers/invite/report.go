package invite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aval-systems/aval/producers/batch"
)

// Outcome is what became of a row.
type Outcome string

// The outcomes.
const (
	Sent      Outcome = "sent"      // Kafka has the invitation
	Invalid   Outcome = "invalid"   // the row makes no invitation: see the reason
	Offered   Outcome = "offered"   // the pre-issue waits for the buyer
	Issued    Outcome = "issued"    // there is a certificate
	Refused   Outcome = "refused"   // there will be no certificate: see the reason
	Undecided Outcome = "undecided" // Kafka has it, and nobody decided in time
)

// Header are the columns of a report.
func Header() []string {
	return []string{"line", "reference", "invitation_id", "outcome", "reason", "certificate_id"}
}

// checkpointEvery is the least time between two checkpoints, each of which waits for the disk.
const checkpointEvery = time.Second

// report tells what became of each row, in the order of the input, and keeps beside itself how far that is.
type report struct {
	path    string
	file    *os.File // nil where no report is wanted
	out     *batch.Writer
	written int64 // bytes, flushed or not
	flushed int64 // bytes, up to the end of a row
	lasting bool  // it is a file, which can be gone on with
	broken  error // why it cannot be written any more
}

// checkpoint is how far a run has come. Everything before it is in the log and in the report.
type checkpoint struct {
	Version int      `json:"version"`
	Done    bool     `json:"done"`   // the run came to its end
	Format  Format   `json:"format"` // how the input was read
	Wait    Wait     `json:"wait"`
	Input   position `json:"input"`
	Report  int64    `json:"report_bytes"`
	Counts  Counts   `json:"counts"`
	// Log names a partition of the invitations, and how many records it had: another system has fewer.
	Log logEnd `json:"log"`
}

type logEnd struct {
	Partition int   `json:"partition"`
	End       int64 `json:"end"`
}

const checkpointVersion = 1

// progressPath is where a report's checkpoint is.
func progressPath(report string) string { return report + ".progress" }

// loadCheckpoint returns the checkpoint of a run that was cut, if there is one that can be gone on with.
func loadCheckpoint(path string) (c checkpoint, found bool) {
	if path == "" {
		return c, false
	}
	text, err := os.ReadFile(progressPath(path))
	if err != nil || json.Unmarshal(text, &c) != nil {
		return checkpoint{}, false
	}
	info, err := os.Stat(path)
	whole := err == nil && info.Mode().IsRegular() && info.Size() >= c.Report
	return c, whole && c.Version == checkpointVersion && !c.Done
}

// beginReport begins a report anew, or at a checkpoint.
func beginReport(path string, at *checkpoint) (*report, error) {
	r := &report{path: path}
	if path == "" {
		return r, nil
	}
	if at == nil {
		if err := os.Remove(progressPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, r.fault(err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the path is the user's own
	if err != nil {
		return nil, r.fault(err)
	}
	r.file = file
	if err := r.begin(at); err != nil {
		return nil, errors.Join(r.fault(err), file.Close())
	}
	return r, nil
}

func (r *report) begin(at *checkpoint) error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.lasting = info.Mode().IsRegular()
	r.out = batch.NewWriter(counted{r})
	if at != nil {
		r.written = at.Report
	}
	if r.lasting {
		if err := r.truncate(r.written); err != nil {
			return err
		}
	}
	if r.flushed = r.written; at == nil {
		if err := r.out.Write(Header()...); err != nil {
			return err
		}
	}
	return r.flush()
}

func (r *report) truncate(size int64) error {
	if err := r.file.Truncate(size); err != nil {
		return err
	}
	_, err := r.file.Seek(size, 0)
	return err
}

// counted counts what is written.
type counted struct{ *report }

// Write implements io.Writer.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	c.written += int64(n)
	return n, err
}

// tell writes the rows. After an error the report ends with a whole row.
func (r *report) tell(rows []row) error {
	if r.file == nil || len(rows) == 0 {
		return nil
	}
	var err error
	for i := range rows {
		w := &rows[i]
		if err = r.out.Write(
			strconv.Itoa(w.line), w.reference, w.id, string(w.outcome), w.reason, w.certificate,
		); err != nil {
			break
		}
	}
	if err == nil {
		err = r.flush()
	}
	if err == nil {
		return nil
	}
	if r.lasting {
		err = errors.Join(err, r.truncate(r.flushed))
	}
	r.broken = fmt.Errorf("%w: the rows from line %d on are not in it, though Kafka may have them: "+
		"make room, and run again, which is safe", r.fault(err), rows[0].line)
	return r.broken
}

func (r *report) flush() error {
	if err := r.out.Flush(); err != nil {
		return err
	}
	r.flushed = r.written
	return nil
}

// keep stores a checkpoint, once what it says is on the disk.
func (r *report) keep(c checkpoint) error {
	c.Version = checkpointVersion
	if err := r.file.Sync(); err != nil {
		return r.fault(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := replace(progressPath(r.path), append(text, '\n')); err != nil {
		return fmt.Errorf("write the report's checkpoint: %w: make room, and run again, which is safe", err)
	}
	return nil
}

// replace makes a file another one, at once or not at all.
func replace(path string, text []byte) error {
	next, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		_ = os.Remove(next.Name()) // it may not be there any more
	}
	return err
}

func (r *report) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

func (r *report) fault(err error) error { return fmt.Errorf("write report %s: %w", r.path, err) }
