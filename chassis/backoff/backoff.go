// Package backoff paces retries.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Max bounds the growing pauses of background work that waits for another program.
const Max = 5 * time.Second

// Jittered spreads a pause over half to one and a half of itself, so that many who failed together do not come
// back together.
func Jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause)
}

// Sleep returns after d, or when ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
