package book

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aval-systems/aval/pipeline"
)

// recoveredField is the header's field that tells of the shard's last recovery. It is for people: nothing is decided
// by it, and a Redis that was emptied has another soon.
const recoveredField = "recovered"

// Causes of a recovery: how the owner found the state.
const (
	RecoveredAsItWas = "as-it-was" // at the journal's end
	RecoveredBehind  = "behind"    // entries were applied that it lacked
	RecoveredAhead   = "ahead"     // by one batch that was decided and not published
	RecoveredEmpty   = "empty"     // nothing was there
	RecoveredRebuilt = "rebuilt"   // it contradicted the journal, and was made anew
)

// Standing is where a shard's state stands, and how it was recovered last.
type Standing struct {
	Known      bool // whether there is a state
	At         int64
	Digest     string
	Epoch      int64
	Generation string
	Recovery   Recovery
}

// Recovery is how a shard was recovered: the cause is one of the constants, empty where nobody knows. The commands from
// From to To were applied out of the journal.
type Recovery struct {
	Time     time.Time
	Cause    string
	From, To int64
}

// Standing reads where a shard's state stands. It changes nothing and may be called by anyone.
func (s *Store) Standing(ctx context.Context, shard int) (Standing, error) {
	h, err := s.client.HGetAll(ctx, s.headerKey(shard)).Result()
	if err != nil {
		return Standing{}, fmt.Errorf("read header: %w", err)
	}
	if h["generation"] == "" {
		return Standing{}, nil
	}
	st := Standing{Known: true, Digest: h["digest"], Generation: h["generation"]}
	var errs [2]error
	st.At, errs[0] = strconv.ParseInt(h["at"], 10, 64)
	st.Epoch, errs[1] = strconv.ParseInt(h["epoch"], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Standing{}, fmt.Errorf("read header: %w", err)
	}
	st.Recovery, _ = parseRecovery(h[recoveredField])
	return st, nil
}

// String is a recovery as the header has it.
func (r Recovery) String() string {
	return fmt.Sprintf("%d %s %d %d", r.Time.UnixMilli(), r.Cause, r.From, r.To)
}

func parseRecovery(text string) (r Recovery, ok bool) {
	var ms int64
	n, err := fmt.Sscanf(text, "%d %s %d %d", &ms, &r.Cause, &r.From, &r.To)
	if err != nil || n != 4 || strings.Count(text, " ") != 3 {
		return Recovery{}, false
	}
	r.Time = time.UnixMilli(ms).UTC()
	return r, true
}

// remark records how the owner found the state, and what became of it.
func (r *Runner) remark(ctx context.Context, o *owner, found Header, tail pipeline.Position) error {
	rec := Recovery{Time: r.Now(), Cause: RecoveredBehind, From: found.At, To: tail.To}
	switch {
	case o.generation != found.Generation:
		rec.Cause, rec.From = RecoveredRebuilt, 0
	case found.At == tail.To && found.Digest == tail.Digest:
		rec.Cause = RecoveredAsItWas
	case found.LastFrom == tail.To && found.LastDigest == tail.Digest:
		rec.Cause, rec.From = RecoveredAhead, tail.To
	case found.At == 0:
		rec.Cause = RecoveredEmpty
	}
	if err := r.Store.client.HSet(ctx, r.Store.headerKey(o.shard), recoveredField, rec.String()).Err(); err != nil {
		return fmt.Errorf("note the recovery: %w", err)
	}
	return nil
}
