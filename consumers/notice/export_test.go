package notice

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// What is inside, for the tests of this package.
const (
	RetryMost        = retryMost
	ReceiverInFlight = receiverInFlight
	DeskJobs         = deskJobs
)

// Jitter is jitter.
func Jitter(first time.Duration, tries int) time.Duration { return jitter(first, tries) }

// Tier is tier.
func Tier(wait time.Duration) int { return tier(wait) }

// Admit is admit.
func Admit(address netip.Addr, private bool) error { return admit(address, private) }

// RetryAfter is retryAfter.
func RetryAfter(text string, now time.Time) time.Duration { return retryAfter(text, now) }

// WebhookID is webhookID.
func WebhookID(notice string) string { return webhookID(notice) }

// Judge is what an answer of that status means: how it is told.
func Judge(response *http.Response, now time.Time) (took, gone bool, pause time.Duration) {
	a := judge(response, now)
	return a.verdict == delivered, a.verdict == gone_, a.pause
}

const gone_ = gone

// DialWith lets the courier find receivers elsewhere than in the network.
func (c *Courier) DialWith(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	transport, _ := c.caller.client.Transport.(*http.Transport)
	transport.DialContext = dial
}

// Held is how many deliveries the courier has in memory.
func (c *Courier) Held() int {
	c.desk.mu.Lock()
	defer c.desk.mu.Unlock()
	return c.desk.jobs
}

// Window is window.
type Window struct{ w *window }

// NewWindow returns one.
func NewWindow() Window { return Window{newWindow()} }

// Take is window.take.
func (w Window) Take(offsets []int64, next int64, note func(pipeline.Mark)) pipeline.Mark {
	return w.w.take(offsets, next, note)
}

// Begin is window.begin.
func (w Window) Begin() bool { return w.w.begin() }

// End is window.end.
func (w Window) End(offset int64, done bool) { w.w.end(offset, done) }

// Close is window.close.
func (w Window) Close() <-chan struct{} { return w.w.close() }
