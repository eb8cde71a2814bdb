package notice_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aval-systems/aval/consumers/notice"
)

// internet connects a courier with receivers, in memory: so that time may be virtual.
type internet struct {
	mu    sync.Mutex
	hosts map[string]*host
}

// host is a listener.
type host struct {
	address string
	arrived chan net.Conn
	closed  chan struct{}
	close   func()
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case c := <-h.arrived:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error   { h.close(); return nil }
func (h *host) Addr() net.Addr { return &net.TCPAddr{} }

func newInternet() *internet { return &internet{hosts: map[string]*host{}} }

// listen makes a host.
func (i *internet) listen() *host {
	i.mu.Lock()
	defer i.mu.Unlock()
	h := &host{
		address: "10.0.0." + strconv.Itoa(1+len(i.hosts)), arrived: make(chan net.Conn), closed: make(chan struct{}),
	}
	h.close = sync.OnceFunc(func() { close(h.closed) })
	i.hosts[h.address+":80"] = h
	return h
}

func (i *internet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	i.mu.Lock()
	h := i.hosts[address]
	i.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	select {
	case h.arrived <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.closed:
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
}

// receiver takes webhooks, and checks each.
type receiver struct {
	URL string

	t      *testing.T
	keys   []notice.Key
	answer func(w http.ResponseWriter, r *http.Request, tries int)

	mu    sync.Mutex
	tries map[string]int
	calls []received
}

type received struct {
	id   string
	at   time.Time
	body string
}

// newReceiver starts a receiver; answer says how it answers the n-th try of a webhook: nil, that it takes it.
func (b *bus) newReceiver(answer func(w http.ResponseWriter, r *http.Request, tries int)) *receiver {
	b.t.Helper()
	r := &receiver{
		t: b.t, keys: []notice.Key{parse(b.t, secret)}, answer: answer, tries: map[string]int{},
	}
	h := b.internet.listen()
	r.URL = "http://" + h.address
	server := quietly(&http.Server{Handler: r, ReadHeaderTimeout: time.Hour})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(h); !errors.Is(err, http.ErrServerClosed) {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.t.Error(err)
		}
		serving.Wait()
	})
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		r.t.Error(err)
	}
	if err := notice.Verify(request.Header, r.keys, time.Now(), body); err != nil {
		r.t.Errorf("a webhook is not what it should be: %v", err)
	}
	if request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/json" {
		r.t.Errorf("%s of %s", request.Method, request.Header.Get("Content-Type"))
	}
	id := request.Header.Get(notice.HeaderID)
	r.mu.Lock()
	r.tries[id]++
	tries := r.tries[id]
	r.calls = append(r.calls, received{id, time.Now(), string(body)})
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, request, tries)
	}
}

// ids are those of the webhooks that came, in order, each as often as it did.
func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, c := range r.calls {
		ids = append(ids, c.id)
	}
	return ids
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// capability is a path that only the receiver and the directory's readers should know.
func (r *receiver) capability() string { return r.URL + "/capability" }

// quietly is for servers whose errors are wanted.
func quietly(s *http.Server) *http.Server {
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	return s
}

// always answers every webhook so.
func always(code int) func(w http.ResponseWriter, r *http.Request, tries int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(code) }
}

func poolOf(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}
