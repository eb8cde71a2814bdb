package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/producers/bench"
)

// Metrics that a bench reads.
const (
	metricBatches  = "aval_batches_total"
	metricRecords  = "aval_records_total"
	metricRequests = "aval_request_seconds_count"
)

const askEvery = 50 * time.Millisecond

// freeAddress is one of this machine at which nobody listens now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// get asks the stages for something that they serve.
func (s *stagesProcess) get(ctx context.Context, path string, read func(*bufio.Reader) error) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the stages: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the stages: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the stages for %s: %s", path, answer.Status)
	}
	return read(bufio.NewReader(answer.Body))
}

// profile writes the processor profile of the next so many seconds into a file.
func (s *stagesProcess) profile(ctx context.Context, path string, d time.Duration) (err error) {
	file, err := os.Create(path) //nolint:gosec // the user names it
	if err != nil {
		return usage("--profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	seconds := max(int(d/time.Second), 1)
	for s.get(ctx, "/livez", func(*bufio.Reader) error { return nil }) != nil && ctx.Err() == nil {
		time.Sleep(askEvery) // it has just been started
	}
	return s.get(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds), func(r *bufio.Reader) error {
		_, err := r.WriteTo(file)
		return err
	})
}

var metricForm = regexp.MustCompile(`^(\w+)\{(.*)\} ([0-9.e+]+)$`)

// done is what the stages have done, by what they tell Prometheus; nil where they tell nothing.
func (s *stagesProcess) done(ctx context.Context) *bench.Done {
	if s == nil || s.process == nil {
		return nil
	}
	d := &bench.Done{Batches: map[string]int64{}, Records: map[string]int64{}, Requests: map[string]int64{}}
	err := s.get(ctx, "/metrics", func(r *bufio.Reader) error { return readDone(d, bufio.NewScanner(r)) })
	if err != nil {
		return nil
	}
	return d
}

// wholeOf is a number as Prometheus writes it, without decimals.
func wholeOf(text string) int64 {
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0
	}
	return new(big.Int).Quo(n.Num(), n.Denom()).Int64()
}

func readDone(d *bench.Done, lines *bufio.Scanner) error {
	for lines.Scan() {
		found := metricForm.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		label := func(name string) string {
			_, after, _ := strings.Cut(","+found[2], ","+name+`="`)
			value, _, _ := strings.Cut(after, `"`)
			return value
		}
		count := wholeOf(found[3])
		switch work := label("stage") + " " + label("topic"); found[1] {
		case metricBatches:
			if label("result") == "done" {
				d.Batches[work] += count
			}
		case metricRecords:
			d.Records[work] += count
		case metricRequests:
			d.Requests[label("request")] += count
		}
	}
	return lines.Err()
}
