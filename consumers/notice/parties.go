package notice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

// party is who is told by webhook.
type party struct {
	url   string
	host  string // what logs may tell of the URL
	keyID string
	keys  []Key // empty: they are not known
}

// parties are those of the directory's newest version, with their keys. Which version that is, is not decided by
// the message: where to deliver to is a matter of now.
type parties struct {
	log    pipeline.Log
	file   string // of the keys; empty: there are none
	every  time.Duration
	logger *slog.Logger

	now   atomic.Pointer[map[string]party] // nil: not read yet
	first chan struct{}                    // closed when it was read

	// The rest is the refreshing actor's own.
	next      int64 // offset in the directory's topic
	directory *schemas.Directory
	keys      Keys
	stamp     string // of the file
	said      string // the last trouble that was told
}

func newParties(c Config) *parties {
	return &parties{
		log: c.Log, file: c.KeyFile, every: cmp.Or(c.Refresh, RefreshDefault), logger: c.Follower.Logger,
		first: make(chan struct{}),
	}
}

// await returns the parties by their id; before they were read it waits.
func (p *parties) await(ctx context.Context, stopping <-chan struct{}) (map[string]party, error) {
	select {
	case <-p.first:
		return *p.now.Load(), nil
	case <-stopping:
	case <-ctx.Done():
	}
	return nil, errors.New("stopped before the directory was read")
}

// of returns the party, and whether it is told by webhook.
func (p *parties) of(id string) (party, bool) {
	found, ok := (*p.now.Load())[id]
	return found, ok
}

// run keeps the parties fresh until ctx ends.
func (p *parties) run(ctx context.Context, refreshed func(context.Context)) error {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		err := p.refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if p.tell(ctx, err); p.now.Load() != nil {
			refreshed(ctx)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tell logs what keeps the parties from being fresh: once, until it changes.
func (p *parties) tell(ctx context.Context, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == p.said {
		return
	}
	if p.said = text; err != nil {
		p.logger.WarnContext(ctx, "webhooks go on as they were", "error", err)
	}
}

// refresh reads what is new. What cannot be read leaves things as they were.
func (p *parties) refresh(ctx context.Context) error {
	directory, err := p.newest(ctx)
	if err != nil {
		return err
	}
	changed, err := p.reload()
	if directory == p.directory && !changed && p.now.Load() != nil {
		return err
	}
	p.directory = directory
	all := map[string]party{}
	for _, x := range directory.GetParties() {
		if x.GetWebhookUrl() == "" {
			continue
		}
		host := ""
		if u, err := url.Parse(x.GetWebhookUrl()); err == nil { // it was checked
			host = u.Host
		}
		all[x.GetId()] = party{
			url: x.GetWebhookUrl(), host: host, keyID: x.GetWebhookKeyId(), keys: p.keys.signing(x.GetWebhookKeyId()),
		}
	}
	if p.now.Swap(&all) == nil {
		close(p.first)
	}
	return err
}

// newest is the directory's newest version, nil where there is none.
func (p *parties) newest(ctx context.Context) (*schemas.Directory, error) {
	first, end, err := p.log.Bounds(ctx, schemas.TopicDirectory, 0)
	if err != nil {
		return nil, fmt.Errorf("find the end of the directory: %w", err)
	}
	newest := p.directory
	err = p.log.Read(ctx, schemas.TopicDirectory, 0, max(first, p.next), end, func(records []pipeline.Record) error {
		for _, r := range records {
			in, err := pipeline.Decode(r)
			if body, ok := in.Body.(*schemas.Directory); ok && err == nil {
				newest = body
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the directory: %w", err)
	}
	p.next = end
	return newest, nil
}

// reload reads the file of keys where it has changed, and says whether it did.
func (p *parties) reload() (changed bool, err error) {
	if p.file == "" {
		return false, nil
	}
	info, err := os.Stat(p.file)
	if err != nil {
		return false, fmt.Errorf("read the keys of webhooks: %w", err)
	}
	stamp := info.ModTime().String() + " " + info.Name() + " " + strconv.FormatInt(info.Size(), 10)
	if stamp == p.stamp {
		return false, nil
	}
	keys, err := ReadKeys(p.file)
	if err != nil {
		return false, err
	}
	p.keys, p.stamp = keys, stamp
	return true, nil
}

// ReadKeys reads a file of keys: see LoadKeys.
func ReadKeys(path string) (Keys, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("read the keys of webhooks: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	keys, err := LoadKeys(file)
	if err != nil {
		return nil, fmt.Errorf("read the keys of webhooks: %s: %w", path, err)
	}
	return keys, nil
}

// signing are the keys of an id that can sign.
func (k Keys) signing(id string) []Key {
	var keys []Key
	for _, key := range k[id] {
		if key.Signs() {
			keys = append(keys, key)
		}
	}
	return keys
}
