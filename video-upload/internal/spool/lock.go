package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockRetryInterval = 50 * time.Millisecond  // between two tries to get the lock
	wantedInterval    = 200 * time.Millisecond // between two looks whether another request wants it
)

// ErrLocked is returned when another request keeps the lock.
var ErrLocked = errors.New("another request is changing the upload")

// Lock is the lock of one upload. The system unlocks it when its process ends.
type Lock struct {
	file   *flock.Flock
	wanted string // the path of the file that asks for the lock
	stop   func() // stops the goroutine that looks for that file
}

// Lock returns the lock of an upload, not yet locked.
func (s *Spool) Lock(id string) *Lock {
	return &Lock{file: flock.New(s.path(id, lockPart)), wanted: s.path(id, wantedPart), stop: func() {}}
}

// TryLock locks if it can do so at once.
func (l *Lock) TryLock() (bool, error) { return l.file.TryLock() }

// Lock waits for the lock until ctx is done, and then returns ErrLocked. The request that has the lock is asked to give
// it up, by another process as well: its onWanted is called.
func (l *Lock) Lock(ctx context.Context, onWanted func()) error {
	for {
		locked, err := l.file.TryLock()
		if err != nil {
			return fmt.Errorf("lock an upload: %w", err)
		}
		if locked {
			break
		}
		if err := os.WriteFile(l.wanted, nil, 0o600); err != nil {
			return fmt.Errorf("ask for the lock of an upload: %w", noSpace(err))
		}
		select {
		case <-ctx.Done():
			return ErrLocked
		case <-time.After(lockRetryInterval):
		}
	}
	_ = os.Remove(l.wanted) // other requests that wait create it again
	var watching context.Context
	watching, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.watch(watching, onWanted)
	return nil
}

// watch calls onWanted once another request wants the lock.
func (l *Lock) watch(ctx context.Context, onWanted func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wantedInterval):
		}
		if _, err := os.Stat(l.wanted); err == nil {
			onWanted()
			return
		}
	}
}

// Unlock unlocks.
func (l *Lock) Unlock() error {
	l.stop()
	return l.file.Unlock()
}
