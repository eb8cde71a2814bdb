package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
	"github.com/aval-systems/aval/schemas"
)

const (
	listenBodyMax    = 8 << 20 // bytes
	listenHeadersMax = 64 << 10
	listenTimeout    = 10 * time.Second // of a request
	listenStop       = 2 * time.Second  // that requests at work may take in the end
	listenSeen       = 1 << 16          // webhooks that are remembered
	listenIDMax      = 256              // bytes
)

// listenFlags are the flags of aval listen.
type listenFlags struct {
	settings

	port   int
	key    string
	status int
	fail   int
	limit  int
	format output
}

func listenCommand() *cobra.Command {
	var f listenFlags
	c := &cobra.Command{
		Use:   "listen --port PORT --key FILE|ID",
		Short: "Receive webhooks, check their signatures and print them",
		Long: `Receive webhooks on a port of this machine, check their signatures and print them, until it is
interrupted: to try webhooks out, and as an example of a receiver. What is signed by another key, or more than five
minutes away from this machine's clock, is answered with 401. One that came before is printed as a repeat: webhooks
come at least once.

The key is a file, of one key or of several with their ids as "aval notice keys generate" makes it, or the id of one in
the file of --webhook-keys. Without a key nothing is checked.`,
		Example: `  aval listen --port 8088 --key webhook-keys
  aval listen --port 8088 --key shop-2026 --webhook-keys webhook-keys -o ndjson
  aval listen --port 8088 --key webhook-keys --fail 2
  aval listen --port 8088 --key webhook-keys --status 503`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return failed(f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()))
		},
	}
	f.register(c, groupWebhookKeys)
	f.format.register(c)
	c.Flags().IntVar(&f.port, "port", 0, "the port of this machine to listen on; 0 is a free one")
	c.Flags().StringVar(&f.key, "key", "", "file of keys, or the id of one of --webhook-keys")
	c.Flags().IntVar(&f.status, "status", 0, "answer every webhook with this code, 200 to 599, to see what follows")
	c.Flags().IntVar(&f.fail, "fail", 0, "refuse each webhook so many times, with --status or 500, before it is taken")
	c.Flags().IntVar(&f.limit, "limit", 0, "end after so many requests (default: never)")
	required(c, "port")
	return c
}

func (f *listenFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	keys, err := f.keys()
	if err != nil {
		return err
	}
	if f.status != 0 && (f.status < 200 || f.status > 599) || f.fail < 0 || f.limit < 0 {
		return usage("--status must be 200 to 599, --fail and --limit not below zero")
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)))
	if err != nil {
		return usage("listen: %w; choose another --port, or 0 for a free one", err)
	}
	l := &webhookListener{
		listenFlags: f, checks: keys, printer: newPrinter(stdout, f.format, heardColumns()...),
		seen: map[string]*seenWebhook{}, enough: make(chan struct{}),
	}
	_, _ = fmt.Fprintf(stderr, "listening on http://%s\n", socket.Addr())
	if len(keys) == 0 {
		_, _ = fmt.Fprintln(stderr, "aval: no --key: signatures are not checked")
	}
	server := &http.Server{
		Handler: l, ReadTimeout: listenTimeout, WriteTimeout: listenTimeout, MaxHeaderBytes: listenHeadersMax,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	err = pipeline.Run(ctx,
		func(context.Context) error {
			if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("listen: %w", err)
			}
			return nil
		},
		func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-l.enough:
			}
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), listenStop)
			defer cancel()
			return server.Shutdown(late)
		},
	)
	return errors.Join(err, l.end())
}

// keys are those that --key names, none where it names none.
func (f *listenFlags) keys() ([]notice.Key, error) {
	if f.key == "" {
		return nil, nil
	}
	if path := f.values.WebhookKeys; path != "" {
		keys, err := notice.ReadKeys(path)
		if err != nil {
			return nil, usage("%w", err)
		}
		if found := keys[f.key]; len(found) > 0 {
			return found, nil
		}
	}
	text, err := os.ReadFile(f.key)
	if err != nil {
		return nil, usage("--key is no key of --webhook-keys, and no file: %w", err)
	}
	if words := strings.Fields(string(text)); len(words) == 1 {
		key, err := notice.ParseKey(words[0])
		if err != nil {
			return nil, usage("--key %s: its key %w", f.key, err)
		}
		return []notice.Key{key}, nil
	}
	keys, err := notice.LoadKeys(bytes.NewReader(text))
	if err != nil {
		return nil, usage("--key %s: %w", f.key, err)
	}
	var all []notice.Key
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, keys[id]...)
	}
	if len(all) == 0 {
		return nil, usage("--key %s: there is no key in it", f.key)
	}
	return all, nil
}

// heard is a request that came.
type heard struct {
	Time      time.Time       `json:"time"`
	ID        string          `json:"id"`
	Signature string          `json:"signature"` // valid, invalid, unchecked
	Try       int             `json:"try"`       // how often this one has come
	Repeat    bool            `json:"repeat"`    // it was taken before
	Status    int             `json:"status"`    // what it was answered
	Problem   string          `json:"problem,omitempty"`
	Type      string          `json:"type,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`

	notice *schemas.Notice
}

// The cells have widths of their own: rows come one by one.
func heardColumns() []column[heard] {
	return []column[heard]{
		{"time                    ", func(h heard) string { return h.Time.Format(timeMillis) }},
		{"webhook-id                      ", func(h heard) string { return fmt.Sprintf("%-32s", h.ID) }},
		{"signature", func(h heard) string { return fmt.Sprintf("%-9s", h.Signature) }},
		{"try", func(h heard) string { return fmt.Sprintf("%-3d", h.Try) }},
		{"status", func(h heard) string { return fmt.Sprintf("%-6d", h.Status) }},
		{"type               ", func(h heard) string { return fmt.Sprintf("%-19s", h.Type) }},
		{"to         ", func(h heard) string { return fmt.Sprintf("%-11s", h.notice.GetRecipient().GetId()) }},
		{"invitation                      ", func(h heard) string {
			return fmt.Sprintf("%-32s", h.notice.GetInvitationId())
		}},
		{"what", func(h heard) string { return cmp.Or(h.Problem, noticeWhat(h.notice)) }},
	}
}

// webhookListener takes webhooks.
type webhookListener struct {
	*listenFlags

	checks  []notice.Key
	enough  chan struct{}
	printer *printer[heard]

	mu     sync.Mutex
	count  int
	seen   map[string]*seenWebhook // the last listenSeen
	order  []string
	failed error // to print
}

// seenWebhook is one that came.
type seenWebhook struct {
	tries int
	taken bool
}

// ServeHTTP answers a request and prints it.
func (l *webhookListener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := l.hear(w, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit > 0 && l.count >= l.limit {
		w.WriteHeader(http.StatusServiceUnavailable) // it ends
		return
	}
	l.settle(&h)
	w.WriteHeader(h.Status)
	l.count++
	l.failed = errors.Join(l.failed, l.printer.print(h), l.printer.flush())
	if l.count == l.limit || l.failed != nil {
		close(l.enough)
		l.limit = l.count
	}
}

// hear reads and checks a request.
func (l *webhookListener) hear(w http.ResponseWriter, r *http.Request) heard {
	h := heard{Time: time.Now().UTC(), ID: r.Header.Get(notice.HeaderID), Signature: "invalid"}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, listenBodyMax))
	switch {
	case r.Method != http.MethodPost:
		h.Status, h.Problem = http.StatusMethodNotAllowed, "it is no POST"
		return h
	case err != nil:
		h.Status, h.Problem = http.StatusBadRequest, "it does not come whole"
		return h
	case len(h.ID) > listenIDMax:
		h.Status, h.Problem, h.ID = http.StatusBadRequest, "its id is too long", ""
		return h
	case len(l.checks) == 0:
		h.Signature = "unchecked"
	default:
		if err := notice.Verify(r.Header, l.checks, h.Time, body); err != nil {
			h.Status, h.Problem = http.StatusUnauthorized, err.Error()
			return h
		}
		h.Signature = "valid"
	}
	h.read(body)
	return h
}

// read takes the payload apart, as far as it is one.
func (h *heard) read(body []byte) {
	var payload struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	n := &schemas.Notice{}
	if err := json.Unmarshal(body, &payload); err != nil {
		h.Problem = "its body is no JSON"
		return
	}
	h.Type, h.Payload = payload.Type, body
	if err := schemas.FromJSON(payload.Data, n); err == nil {
		h.notice = n
	}
}

// settle decides what the request is answered. The mutex is held.
func (l *webhookListener) settle(h *heard) {
	if h.Status != 0 {
		return
	}
	seen := l.seen[h.ID]
	if seen == nil {
		seen = &seenWebhook{}
		l.seen[h.ID] = seen
		if l.order = append(l.order, h.ID); len(l.order) > listenSeen {
			delete(l.seen, l.order[0])
			l.order = l.order[1:]
		}
	}
	seen.tries++
	h.Try, h.Repeat, h.Status = seen.tries, seen.taken, http.StatusOK
	switch {
	case h.Try <= l.fail:
		h.Status = cmp.Or(l.status, http.StatusInternalServerError)
	case l.fail == 0 && l.status != 0:
		h.Status = l.status
	}
	seen.taken = seen.taken || h.Status < http.StatusMultipleChoices
}

// end ends the printing, and says what went wrong with it.
func (l *webhookListener) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.failed, l.printer.close())
}
