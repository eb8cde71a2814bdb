package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aval-systems/aval/consumers/certificate"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// directoryTimeout bounds one look into the directory's topic; the stage that wanted it tries again.
const directoryTimeout = 5 * time.Second

// directories are the versions of the directory, read from its topic when they are asked for.
type directories struct {
	log pipeline.Log

	mu       sync.Mutex
	versions []*certificate.Directory // by version - 1; nil where the record is no directory
}

var _ certificate.Directories = (*directories)(nil)

// At returns the version. One that lies beyond the topic's end is none: who stamps a version has read it there.
func (d *directories) At(version uint64) (*certificate.Directory, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if version > uint64(len(d.versions)) {
		if err := d.read(); err != nil {
			return nil, fmt.Errorf("read directory: %w", err)
		}
	}
	if version < 1 || version > uint64(len(d.versions)) || d.versions[version-1] == nil {
		return nil, certificate.ErrNoVersion
	}
	return d.versions[version-1], nil
}

func (d *directories) read() error {
	ctx, cancel := context.WithTimeout(context.Background(), directoryTimeout)
	defer cancel()
	return readDirectory(ctx, d.log, int64(len(d.versions)), func(offset int64, body *schemas.Directory) {
		for int64(len(d.versions)) <= offset { // offsets may have gaps
			d.versions = append(d.versions, nil)
		}
		if body != nil {
			d.versions[offset] = certificate.NewDirectory(body)
		}
	})
}

// readDirectory visits the records of the directory's topic from an offset on; body is nil where there is none.
func readDirectory(
	ctx context.Context, log pipeline.Log, from int64, visit func(offset int64, body *schemas.Directory),
) error {
	_, end, err := log.Bounds(ctx, schemas.TopicDirectory, 0)
	if err != nil {
		return err
	}
	return log.Read(ctx, schemas.TopicDirectory, 0, from, end, func(records []pipeline.Record) error {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			body, ok := in.Body.(*schemas.Directory)
			if err != nil || !ok {
				body = nil
			}
			visit(r.Offset, body)
		}
		return nil
	})
}
