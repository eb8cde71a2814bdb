package main_test

import (
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	signing "github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/deploy/local/localtest"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// running is a system that others' commands are for: its stages run in a process of their own.
type running struct {
	pair      localtest.Pair
	namespace string
	stages    *process // nil while they rest
}

// newRunning makes a system on the servers, whose stages rest yet.
func newRunning(t *testing.T, pair localtest.Pair) *running {
	t.Helper()
	r := &running{pair: pair, namespace: localtest.Namespace(t)}
	if code, _, stderr := r.run(t, "topics", "create", "--partitions", "3", "--dev"); code != 0 {
		t.Fatalf("make topics: %d: %s", code, stderr)
	}
	return r
}

// start starts the stages.
func (r *running) start(t *testing.T) {
	t.Helper()
	r.stages = start(t, r.args("run", "--dev")...)
	r.stages.awaitLog(t, "msg=running", 1)
}

// args are those of a command for the system.
func (r *running) args(args ...string) []string {
	at := []string{"--kafka", r.pair.Kafka, "--redis", r.pair.Redis, "--namespace", r.namespace}
	return append(slices.Clone(args), at...)
}

func (r *running) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return run(t, r.args(args...)...)
}

// publishDirectory publishes a directory of one bank, which signs with the namespace's demonstration key.
func (r *running) publishDirectory(t *testing.T, bank string) {
	t.Helper()
	id, key := signing.DemonstrationKey(r.namespace)
	public, _ := key.Public().(ed25519.PublicKey)
	record, err := pipeline.Encode(schemas.TopicDirectory, schemas.Message{
		Attributes: schemas.Attributes{ID: "directory", Source: "/aval/test", Time: time.Now()},
		Body: &schemas.Directory{Participants: []*schemas.Participant{{
			Bank: bank, Name: bank, Keys: []*schemas.PublicKey{{Id: id, Ed25519: public}}, SigningKeyId: id,
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(t, r.pair.Kafka, r.namespace).Publish(t.Context(), []pipeline.Record{record}); err != nil {
		t.Fatal(err)
	}
}
