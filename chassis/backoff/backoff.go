// Package backoff paces retries.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the wait between the tries of one operation. It doubles from Min to Max while the operation fails, with
// jitter, so that many clients that failed together do not return together. The zero value is ready to use. It is not
// safe for concurrent use.
type Backoff struct {
	Min time.Duration // after the first failure; 0 means 100 ms
	Max time.Duration // between tries that keep failing; 0 means Max, the constant

	next time.Duration
}

// Max bounds the wait of background work for another program.
const Max = 5 * time.Second

// Wait waits after a try that failed with err, or until ctx is done. After a try that succeeded, which is one without an
// error, it returns at once, and the next wait is the shortest again.
func (b *Backoff) Wait(ctx context.Context, err error) {
	if err == nil {
		b.next = 0
		return
	}
	if b.next == 0 {
		b.next = or(b.Min, 100*time.Millisecond)
	}
	wait := Jittered(b.next)
	b.next = min(2*b.next, max(b.Min, or(b.Max, Max)))
	if ctx.Err() != nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

func or(d, fallback time.Duration) time.Duration {
	if d <= 0 {
		return fallback
	}
	return d
}

// Jittered spreads d over half to one and a half of itself.
func Jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d)
}
