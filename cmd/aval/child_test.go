package main_test

import (
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/pipeline/kafka"
)

// childVariable makes this test binary a producer instead: it names brokers and namespace.
const childVariable = "AVAL_TEST_CHILD"

// childMain reads records, says that it is ready, and publishes them one by one when it is told to.
func childMain() int {
	ctx := context.Background()
	brokers, namespace, _ := strings.Cut(os.Getenv(childVariable), " ")
	err := func() error {
		log, err := kafka.New(ctx, kafka.Config{Brokers: strings.Split(brokers, ","), Namespace: namespace})
		if err != nil {
			return err
		}
		defer log.Close() //nolint:errcheck // what was published is acknowledged
		var records []pipeline.Record
		in := gob.NewDecoder(os.Stdin)
		if err := in.Decode(&records); err != nil {
			return err
		}
		for _, r := range records {
			if _, err := log.Existing(ctx, r.Topic); err != nil { // it is connected before it is ready
				return err
			}
		}
		if _, err := fmt.Fprintln(os.Stdout, "ready"); err != nil {
			return err
		}
		var now bool
		if err := in.Decode(&now); err != nil {
			return err
		}
		for _, r := range records {
			if err := log.Publish(ctx, []pipeline.Record{r}); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

// child is a producer in a process of its own.
type child struct {
	process *exec.Cmd
	in      *gob.Encoder
	stderr  *output
}

// startChild starts a producer that holds these records ready.
func startChild(t *testing.T, brokers, namespace string, records []pipeline.Record) *child {
	t.Helper()
	c := &child{process: exec.CommandContext(t.Context(), os.Args[0]), stderr: &output{}}
	c.process.Env = append(os.Environ(), childVariable+"="+brokers+" "+namespace)
	c.process.Stderr = c.stderr
	stdin, err := c.process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := &output{}
	c.process.Stdout = stdout
	if err := c.process.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = gob.NewEncoder(stdin)
	if err := c.in.Encode(records); err != nil {
		t.Fatal(err)
	}
	await(t, "a producer that is ready", func() bool { return strings.Contains(stdout.String(), "ready") })
	return c
}

// publish lets the producer begin.
func (c *child) publish(t *testing.T) {
	t.Helper()
	if err := c.in.Encode(true); err != nil {
		t.Error(err)
	}
}

func (c *child) wait(t *testing.T) {
	t.Helper()
	if err := c.process.Wait(); err != nil {
		t.Errorf("a producer: %v: %s", err, c.stderr.String())
	}
}
