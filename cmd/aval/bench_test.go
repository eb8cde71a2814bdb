package main_test

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/aval-systems/aval/deploy/local/localtest"
)

// TestBenchUsage refuses what makes no sense, before anything is started.
func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, want string }{
		"no kind":              {"", "accepts 1 arg"},
		"an unknown kind":      {"everything", "everything"},
		"attach to nothing":    {"accounts --attach", "--namespace"},
		"all in one namespace": {"all --namespace x", "a namespace for each"},
		"no time":              {"accounts --duration 1ms", "at least 1s"},
		"a rate below zero":    {"accounts --rate -1", "must not be below 0"},
		"nobody":               {"accounts --parties 0", "at least 1"},
		"an unknown stage":     {"certificates --without notices", "notice"},
		"a profile of others":  {"certificates --attach --namespace x --profile y", "without --attach"},
		"unknown progress":     {"accounts --progress loud", "--progress"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"bench"}, strings.Fields(test.args)...)
			code, stdout, stderr := run(t, args...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("aval %s ended with %d, printed %q and said %q; want %d, nothing and %q",
					strings.Join(args, " "), code, stdout, stderr, exitUsage, test.want)
			}
		})
	}
}

// TestBench measures stages that it starts, then some that run already, in the same namespace, and leaves that alone.
func TestBench(t *testing.T) {
	t.Parallel()
	for _, pair := range localtest.Servers(t) {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			at := []string{"--kafka", pair.Kafka, "--redis", pair.Redis, "--namespace", localtest.Namespace(t)}
			benchCertificates(t, false, at...)
			stages := start(t, append([]string{"run"}, at...)...)
			stages.awaitLog(t, "msg=running", 1)
			benchCertificates(t, true, append(at, "--attach")...)
			stages.signal(t, syscall.SIGTERM)
			if code := stages.wait(t); code != exitDecided {
				t.Errorf("the stages ended with %d", code)
			}
		})
	}
}

func benchCertificates(t *testing.T, attached bool, at ...string) {
	t.Helper()
	code, stdout, stderr := run(t, append([]string{
		"bench", "certificates", "--rate", "50", "--duration", "1s", "--warm-up", "0s", "--parties", "20", "-o", "json",
	}, at...)...)
	var r struct {
		Kind          string
		Count, Lost   int64
		RatePerSecond json.Number                         `json:"rate_per_second"`
		Latency       struct{ P999 json.Number }          `json:"latency_ms"`
		CPU           struct{ Aval, Client *json.Number } `json:"cpu_us_per_item"`
		Bytes         json.Number                         `json:"redis_bytes_per_open"`
		Floors        struct {
			Copy   json.Number `json:"kafka_copy_per_second"`
			Script json.Number `json:"script_per_second"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &r); code != exitDecided || err != nil {
		t.Fatalf("bench ended with %d (%v):\n%s\n%s", code, err, stdout, tail(stderr, 2000))
	}
	known := r.CPU.Client != nil && attached == (r.CPU.Aval == nil)
	if r.Kind != "certificates" || r.Count < 10 || r.Lost != 0 || !known {
		t.Errorf("bench found\n%s", stdout)
	}
	for name, n := range map[string]json.Number{
		"rate per second": r.RatePerSecond, "latency": r.Latency.P999, "copy": r.Floors.Copy,
		"script": r.Floors.Script,
	} {
		if v, err := n.Float64(); err != nil || v <= 0 {
			t.Errorf("%s is %q (%v)", name, n, err)
		}
	}
}
