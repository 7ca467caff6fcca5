// Package slots bounds how many requests do something expensive at a time, in all and for each client.
package slots

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull is returned to a request that should come again later.
var ErrFull = errors.New("too many requests of this kind are in progress")

// Slots are a number of slots, and a queue for them.
type Slots struct {
	free    chan struct{} // holds one element for each slot in use
	queue   int
	maxWait time.Duration

	mu     sync.Mutex
	inside int            // requests that have a slot or wait for one
	shares map[string]int // those of each client
}

// New returns as many slots as total says. When all are in use, up to queue requests wait, each for up to maxWait.
func New(total, queue int, maxWait time.Duration) *Slots {
	return &Slots{free: make(chan struct{}, total), queue: queue, maxWait: maxWait, shares: map[string]int{}}
}

// Share is how many slots, and places in the queue, a client may have. Without a name there is no bound.
type Share struct {
	Client string
	Max    int
}

// Enter waits for a slot. It returns ErrFull if the queue is full, if a share is used up, or if no slot gets free in time,
// and the error of ctx if that is done. The caller calls leave when it is done.
func (s *Slots) Enter(ctx context.Context, shares ...Share) (leave func(), err error) {
	if !s.join(shares) {
		return nil, ErrFull
	}
	if err := s.wait(ctx); err != nil {
		s.part(shares)
		return nil, err
	}
	return sync.OnceFunc(func() {
		<-s.free
		s.part(shares)
	}), nil
}

// Used returns how many slots are in use.
func (s *Slots) Used() int { return len(s.free) }

func (s *Slots) wait(ctx context.Context) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
	}
	timeout := time.NewTimer(s.maxWait)
	defer timeout.Stop()
	select {
	case s.free <- struct{}{}:
		return nil
	case <-timeout.C:
		return ErrFull
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join counts a request, and reports whether it may wait.
func (s *Slots) join(shares []Share) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside >= cap(s.free)+s.queue {
		return false
	}
	for _, share := range shares {
		if share.Client != "" && s.shares[share.Client] >= share.Max {
			return false
		}
	}
	s.inside++
	for _, share := range shares {
		if share.Client != "" {
			s.shares[share.Client]++
		}
	}
	return true
}

func (s *Slots) part(shares []Share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	for _, share := range shares {
		if share.Client == "" {
			continue
		}
		if s.shares[share.Client]--; s.shares[share.Client] == 0 {
			delete(s.shares, share.Client)
		}
	}
}
