package notice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/schemas"
)

const (
	// TimeoutDefault bounds a call, from the connection to the end of the answer.
	TimeoutDefault   = 15 * time.Second
	dialTimeout      = 5 * time.Second
	answerMax        = 16 << 10 // bytes of a body that are read, for the connection's sake
	answerHeadersMax = 32 << 10 // bytes
	hostConnections  = 64       // to one host
	idleConnections  = 1024     // in all
	idleTimeout      = 90 * time.Second
	whyMax           = 256 // bytes of what is wrong
)

// verdict is what a call came to.
type verdict int

const (
	delivered verdict = iota
	gone              // the receiver wants this no more, and none other
	failed            // another try may help
	unneeded          // the recipient has no webhook any more
	stopped           // nobody knows: the process ends
)

// answer is how a receiver answered.
type answer struct {
	verdict verdict
	why     string        // of a failure: nothing of the URL's path, nor of what was sent
	pause   time.Duration // that it asks for
	atOnce  bool          // whoever fails so is left alone at once
}

// caller posts notices.
type caller struct {
	client  *http.Client
	timeout time.Duration
}

func newCaller(c Config) *caller {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: guard(c.Private)}
	transport := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.RootCAs},
		TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: answerHeadersMax, DisableCompression: true,
		ForceAttemptHTTP2: true, MaxConnsPerHost: hostConnections, MaxIdleConnsPerHost: receiverInFlight,
		MaxIdleConns: idleConnections, IdleConnTimeout: idleTimeout,
	}
	return &caller{
		timeout: cmp.Or(c.Timeout, TimeoutDefault),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (c *caller) close() { c.client.CloseIdleConnections() }

// call posts a notice to a party and says what became of it. now is the time of the try.
func (c *caller) call(ctx context.Context, p party, j *job, now time.Time) answer {
	body, err := payload(j)
	if err != nil {
		return answer{verdict: failed, why: err.Error()}
	}
	timed, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(timed, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return answer{verdict: failed, why: "its URL cannot be called", atOnce: true}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "aval")
	Sign(request.Header, p.keys, webhookID(j.id), now, body)
	response, err := c.client.Do(request)
	if err != nil {
		return unanswered(ctx, timed, err)
	}
	defer response.Body.Close()                                          //nolint:errcheck // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerMax)) // what follows ends the connection
	return judge(response, now)
}

// webhookID is what makes a webhook one, over all its tries: the notice's id. It must hold no full stop.
func webhookID(notice string) string {
	if strings.Contains(notice, ".") {
		return schemas.DeriveID("webhook", notice)
	}
	return notice
}

// payload is what is posted: the same at every try.
func payload(j *job) ([]byte, error) {
	data, err := schemas.ToJSON(j.notice)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"` // of what it tells
		Data      json.RawMessage `json:"data"`
	}{TypeOf(j.notice.GetSubject()), j.in.Time.UTC(), data})
	if err != nil {
		return nil, fmt.Errorf("write the payload: %w", err)
	}
	return text, nil
}

// TypeOf is a webhook's type, by what its notice is about.
func TypeOf(subject schemas.Subject) string {
	switch subject {
	case schemas.Subject_SUBJECT_PRE_ISSUE:
		return "pre_issue.offered"
	case schemas.Subject_SUBJECT_ISSUED:
		return "certificate.issued"
	case schemas.Subject_SUBJECT_REFUSED:
		return "certificate.refused"
	case schemas.Subject_SUBJECT_ANSWER_REFUSED:
		return "answer.refused"
	case schemas.Subject_SUBJECT_UNSPECIFIED:
	}
	return "notice"
}

// unanswered is what a call came to that has no answer.
func unanswered(ctx, timed context.Context, err error) answer {
	switch late := net.Error(nil); {
	case ctx.Err() != nil:
		return answer{verdict: stopped}
	case timed.Err() != nil, errors.As(err, &late) && late.Timeout():
		return answer{verdict: failed, why: "it did not answer in time"}
	case errors.Is(err, errNear):
		return answer{verdict: failed, why: errNear.Error(), atOnce: true}
	case errors.Is(err, errLocal):
		return answer{verdict: failed, why: errLocal.Error(), atOnce: true}
	}
	return answer{verdict: failed, why: reason(err)}
}

// reason tells a fault in words that are not the receiver's, which may repeat what it was sent, and without the URL.
func reason(err error) string {
	if certificate := (*tls.CertificateVerificationError)(nil); errors.As(err, &certificate) {
		return "its TLS certificate does not verify: " + schemas.Shorten(certificate.Err.Error(), whyMax)
	}
	if alert := tls.AlertError(0); errors.As(err, &alert) {
		return "TLS: " + alert.Error()
	}
	if header := (tls.RecordHeaderError{}); errors.As(err, &header) {
		return "it does not speak TLS"
	}
	if name := (*net.DNSError)(nil); errors.As(err, &name) {
		return "its host has no address: " + schemas.Shorten(name.Error(), whyMax)
	}
	if network := (*net.OpError)(nil); errors.As(err, &network) {
		return schemas.Shorten(network.Error(), whyMax)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it closed the connection"
	}
	return "it did not answer as HTTP has it"
}

// judge says what an answer means.
func judge(response *http.Response, now time.Time) answer {
	code := response.StatusCode
	a := answer{verdict: failed, why: "it answered " + strconv.Itoa(code)}
	switch {
	case code >= 200 && code < 300:
		return answer{verdict: delivered}
	case code == http.StatusGone:
		a.verdict = gone
	case code >= 300 && code < 400:
		a.why += ", a redirect, which is not followed"
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable ||
		code == http.StatusBadGateway || code == http.StatusGatewayTimeout:
		a.pause = retryAfter(response.Header.Get("Retry-After"), now)
		a.atOnce = true
	}
	return a
}

// retryAfter is how long the receiver asks to be left alone, within bounds: none at all where it does not say.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, retryMost)
	}
	at, err := http.ParseTime(text)
	if err != nil || !at.After(now) {
		return 0
	}
	return min(at.Sub(now), retryMost)
}
