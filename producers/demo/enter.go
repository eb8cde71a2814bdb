package demo

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// enter finds the version of the directory with which invitations are resolved. Where the keys are the run's
// own it publishes one, unless the latest says the same.
func (r *run) enter(ctx context.Context) error {
	r.Progress.Stage("find the directory", 0)
	defer r.Progress.Done()
	if r.Keys == nil {
		return r.awaitDirectory(ctx)
	}
	for {
		latest, version, err := r.latest(ctx)
		if err != nil {
			return err
		}
		wanted := Directory(latest, r.Keys)
		if proto.Equal(latest, wanted) {
			r.directory, r.version = latest, version
			return nil
		}
		if err := r.appoint(ctx, wanted, version); err != nil {
			return err
		}
	}
}

func (r *run) appoint(ctx context.Context, wanted *schemas.Directory, before uint64) error {
	if err := schemas.Validate(wanted); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	m, err := directoryMessage(wanted, before)
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return r.publish(ctx, []schemas.Message{m})
}

// awaitDirectory waits for the directory of stages that run elsewhere.
func (r *run) awaitDirectory(ctx context.Context) error {
	return patiently(ctx, r.Logger, "find a directory", func() error {
		latest, version, err := r.latest(ctx)
		switch {
		case err != nil:
			return err
		case latest == nil:
			return errors.New("no directory of participants was published yet")
		case !serves(latest):
			return finalError{UsageError{Err: fmt.Errorf(
				"the directory's version %d lacks the demo's banks %s and %s, the latter with contact %s",
				version, ReceivingBank, IssuingBank, issuingDomain)}}
		}
		r.directory, r.version = latest, version
		return nil
	})
}

// latest is the latest version of the directory, nil and 0 where there is none.
func (r *run) latest(ctx context.Context) (latest *schemas.Directory, version uint64, err error) {
	err = patiently(ctx, r.Logger, "read directory", func() error {
		first, end, err := r.deps.Log.Bounds(ctx, schemas.TopicDirectory, 0)
		if err != nil {
			return err
		}
		return r.deps.Log.Read(ctx, schemas.TopicDirectory, 0, first, end, func(records []pipeline.Record) error {
			for _, record := range records {
				in, err := pipeline.Decode(record)
				if body, ok := in.Body.(*schemas.Directory); ok && err == nil {
					latest, version = body, uint64(record.Offset)+1 //nolint:gosec // offsets are not below zero
				}
			}
			return nil
		})
	})
	return latest, version, err
}
