package notice

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a webhook, as Standard Webhooks have them.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp" // of the try, in seconds since 1970
	HeaderSignature = "webhook-signature" // one of each key, with spaces between
)

// Tolerance is how far a webhook's timestamp may lie from the clock of who checks it.
const Tolerance = 5 * time.Minute

const signaturesMax = 16 // that are looked at

// Why a webhook is not what it should be.
var (
	ErrHeaders   = errors.New("a header is missing, or is none of a webhook")
	ErrTimestamp = errors.New("the timestamp is further from now than " + Tolerance.String())
	ErrSignature = errors.New("no signature is of a key that is known")
)

// Sign puts a webhook's headers under these keys into h.
func Sign(h http.Header, keys []Key, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signed := content(id, timestamp, body)
	var signatures []string
	for _, key := range keys {
		if key.Signs() {
			signatures = append(signatures, key.sign(signed))
		}
	}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, timestamp)
	h.Set(HeaderSignature, strings.Join(signatures, " "))
}

// Verify says whether one of the keys has signed a webhook, about now: nil, or one of the errors above.
func Verify(h http.Header, keys []Key, now time.Time, body []byte) error {
	id, timestamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil || h.Get(HeaderSignature) == "" {
		return ErrHeaders
	}
	if at := time.Unix(seconds, 0); at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return ErrTimestamp
	}
	signed := content(id, timestamp, body)
	found := false
	for i, text := range strings.Split(h.Get(HeaderSignature), " ") {
		version, encoded, _ := strings.Cut(text, ",")
		signature, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || i >= signaturesMax {
			continue
		}
		for _, key := range keys {
			found = key.signed(signed, version, signature) || found
		}
	}
	if !found {
		return ErrSignature
	}
	return nil
}

// content is what is signed. An id holds no full stop, which would move the parts.
func content(id, timestamp string, body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(id) + len(timestamp) + len(body) + 2)
	_, _ = fmt.Fprintf(&b, "%s.%s.", id, timestamp)
	_, _ = b.Write(body)
	return b.Bytes()
}
