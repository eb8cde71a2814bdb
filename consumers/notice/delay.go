package notice

import (
	"math/rand/v2"
	"time"

	"github.com/aval-systems/aval/schemas"
)

const (
	// RetryFirstDefault bounds the wait before the second try; each further wait may be twice as long.
	RetryFirstDefault = 2 * time.Second
	// retryMost bounds every wait: what waits longest is in the last tier.
	retryMost = time.Second << (schemas.RetryTiers - 1)
)

// jitter is a wait of any length up to a bound that doubles with each try ("full jitter"): those who wait for the
// same thing do not come back together.
func jitter(first time.Duration, tries int) time.Duration {
	bound := min(first, retryMost)
	for ; tries > 1 && bound < retryMost; tries-- {
		bound *= 2
	}
	return time.Duration(rand.Int64N(int64(min(bound, retryMost)))) + 1
}

// tier is the partition for what waits so long: 0 below a second, 1 below two, 2 below four. Of what waits in one
// tier none waits twice as long as another, so what is due first stands about first, and nothing waits for more than
// as long again behind what is due later.
func tier(wait time.Duration) int {
	t := 0
	for bound := time.Second; wait >= bound && t < schemas.RetryTiers-1; bound *= 2 {
		t++
	}
	return t
}
