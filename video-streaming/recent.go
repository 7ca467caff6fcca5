package main

import (
	"sync"

	"github.com/google/uuid"
)

// recent is a bounded set: it remembers at least the last size ids that were used, at most twice as many.
// It is safe for concurrent use.
type recent struct {
	mu         sync.Mutex
	size       int
	young, old map[uuid.UUID]struct{}
}

func newRecent(size int) *recent { return &recent{size: size, young: map[uuid.UUID]struct{}{}} }

// add reports whether id was not known yet.
func (r *recent) add(id uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[id]; ok {
		return false
	}
	_, known := r.old[id]
	if len(r.young) >= r.size {
		r.young, r.old = map[uuid.UUID]struct{}{}, r.young
	}
	r.young[id] = struct{}{}
	return !known
}

func (r *recent) remove(id uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, id)
	delete(r.old, id)
}
