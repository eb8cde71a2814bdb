package main

import (
	"fmt"
	"time"

	"github.com/aval-systems/aval/consumers/notice"
	"github.com/aval-systems/aval/pipeline"
)

// webhooks says how recipients are called that the directory names with a webhook.
type webhooks struct {
	keys    string        // the file of the keys that sign; empty: none is called
	giveUp  time.Duration // how long one is tried
	private bool          // they may be of this machine and of private networks
}

// webhookFaults is what is wrong with how webhooks are called.
func (f *serverFlags) webhookFaults() (faults []error) {
	if path := f.values.WebhookKeys; path != "" {
		if _, err := notice.ReadKeys(path); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f.names("webhook-keys"), err))
		}
	}
	if d := f.values.WebhookGiveUp; d < time.Second || d > notice.GiveUpAfterMax {
		faults = append(faults, fmt.Errorf("%s is %v, must be 1s to %v", f.names("webhook-give-up"), d,
			notice.GiveUpAfterMax))
	}
	return faults
}

// courier delivers notices.
func (s *system) courier(follower *pipeline.Follower) *notice.Courier {
	w := s.place.webhooks
	return notice.New(notice.Config{
		Follower: follower, Log: s.kafka, Now: time.Now, KeyFile: w.keys, GiveUpAfter: w.giveUp,
		Private: w.private || s.place.dev || s.place.embedded,
	})
}
