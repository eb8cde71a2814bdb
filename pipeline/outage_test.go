package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

var errRefused = errors.New("connection refused")

func redisIs(error) string { return pipeline.ServerRedis }

// logged returns outages, and what they tell.
func logged(m pipeline.Meter, server func(error) string) (*pipeline.Outages, *bytes.Buffer) {
	var log bytes.Buffer
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: plain}))
	return &pipeline.Outages{Logger: logger, Meter: m, Server: server}, &log
}

// However many wait for one server, an operator reads one line when it begins and one when it ends.
func TestAnOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		outages, log := logged(m, redisIs)
		var waiters []pipeline.Waiter
		for _, stage := range []string{"ledger", "request", "register"} {
			for p := range 4 {
				waiters = append(waiters, pipeline.Waiter{Stage: stage, Topic: stage + "s", Partition: p})
			}
		}
		for range 3 { // each fails again and again
			for i, w := range waiters {
				outages.Begin(w, fmt.Errorf("try %d: %w", i, errRefused))
				time.Sleep(time.Millisecond)
			}
		}
		now := outages.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, w := range waiters {
			outages.End(w)
			outages.End(w)
		}
		want := `level=WARN msg=waiting cause=redis stages=3 partitions=12 doing="" error="try 0: connection refused"
level=INFO msg="going on" cause=redis stages=3 partitions=12 waited=1m0.036s
`
		if log.String() != want {
			t.Errorf("told\n%s, want\n%s", log, want)
		}
		stages := []string{"ledger", "register", "request"}
		if len(now) != 1 || now[0].Cause != "redis" || now[0].Partitions != 12 ||
			!reflect.DeepEqual(now[0].Stages, stages) || now[0].Error != "try 0: connection refused" {
			t.Errorf("outages are %+v", now)
		}
		if left := outages.Now(); len(left) != 0 {
			t.Errorf("outages are %+v after their end", left)
		}
		if m.counts["outage  redis"] != 1 {
			t.Errorf("counted %v", m.counts)
		}
	})
}

// What passes by itself within a moment is nobody's business; and one outage does not hide another.
func TestOutagesAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &meter{}
		outages, log := logged(m, nil)
		w := pipeline.Waiter{Stage: "certificate", Topic: "entries"}
		other := pipeline.Waiter{Stage: "certificate", Topic: "entries", Partition: 1}
		outages.Begin(w, errNotNow)
		outages.End(w)
		time.Sleep(time.Minute)
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("told %s", log)
		}
		outages.Begin(w, errors.New("no key for bank-1"))
		outages.Begin(other, errors.New("no key for bank-2"))                                          // much the same
		outages.Begin(pipeline.Waiter{Stage: "funding", Topic: "entries"}, errors.New("no directory")) // another
		down := &pipeline.ServerError{Server: pipeline.ServerKafka, Err: errRefused}
		outages.Begin(pipeline.Waiter{Doing: "publish", Topic: "x"}, down)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, line := range []string{
			`msg=waiting cause=certificate stages=1 partitions=2 doing="" error="no key for bank-1"`,
			`msg=waiting cause=funding stages=1 partitions=1 doing="" error="no directory"`,
			`msg=waiting cause=kafka stages=0 partitions=1 doing=publish error="connection refused"`,
		} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("did not tell %s, but\n%s", line, log)
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 3 {
			t.Errorf("told %d lines", n)
		}
		outages.End(w)
		if strings.Contains(log.String(), "going on") {
			t.Error("an outage ended with one who waits")
		}
	})
}

// Nobody needs outages to tell them.
func TestNoOutages(t *testing.T) {
	t.Parallel()
	var none *pipeline.Outages
	none.Begin(pipeline.Waiter{}, errNotNow)
	none.End(pipeline.Waiter{})
	if none.Now() != nil {
		t.Error("nobody knows of outages")
	}
}
