package main

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	freshFor   = 5 * time.Second // at least: what is older is looked up again
	timesTaken = 20              // and fresh at least so many times as long as its lookup took
	maxKnown   = 10_000          // values of one memory
)

// memory remembers what the database answered: FerretDB reads the whole collection for each question, MongoDB all that
// is counted.
//
// An answer stays fresh in proportion to what it cost, so that one question takes no more than a twentieth of the
// database's time, and is given away until it is twice as old as that. Ages count from the end of the lookup. What is
// often asked for is looked up again behind an answer, so that nobody waits for it; for the rest the caller waits. One
// question is under way at a time.
type memory[V any] struct {
	lookUp func(ctx context.Context, keys []string) (map[string]V, error) // may leave out zero values
	turn   chan struct{}                                                  // holds a token while lookUp is at work

	mu    sync.Mutex
	known map[string]remembered[V]
}

type remembered[V any] struct {
	value V
	at    time.Time
	fresh time.Duration
}

func newMemory[V any](lookUp func(context.Context, []string) (map[string]V, error)) *memory[V] {
	return &memory[V]{lookUp: lookUp, turn: make(chan struct{}, 1), known: map[string]remembered[V]{}}
}

// get returns the value of each of the keys, none of which comes twice.
func (m *memory[V]) get(ctx context.Context, keys []string) (map[string]V, error) {
	values, due := m.recall(keys)
	if len(due) == 0 {
		return values, nil
	}
	if len(values) == len(keys) {
		select {
		case m.turn <- struct{}{}:
			go func() { _ = m.refresh(context.WithoutCancel(ctx), keys) }() // who waits for it next gets the error
		default:
		}
		return values, nil
	}
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan error, 1)
	go func() { done <- m.refresh(context.WithoutCancel(ctx), keys) }() // for others, if this caller gives up
	select {
	case err := <-done:
		values, _ = m.recall(keys)
		return values, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recall returns the values that may be given away, and the keys that are due to be looked up.
func (m *memory[V]) recall(keys []string) (values map[string]V, due []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	values = map[string]V{}
	for _, key := range keys {
		k := m.known[key] // zero, and old, if it is not known
		age := time.Since(k.at)
		if age <= 2*k.fresh {
			values[key] = k.value
		}
		if age > k.fresh {
			due = append(due, key)
		}
	}
	return values, due
}

// refresh looks up what is due by now, and gives the turn back.
func (m *memory[V]) refresh(ctx context.Context, keys []string) error {
	defer func() { <-m.turn }()
	_, due := m.recall(keys)
	if len(due) == 0 {
		return nil
	}
	began := time.Now()
	values, err := m.lookUp(ctx, due)
	if err != nil {
		return err
	}
	now := time.Now()
	fresh := max(freshFor, timesTaken*now.Sub(began))
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known)+len(due) > maxKnown {
		maps.DeleteFunc(m.known, func(_ string, k remembered[V]) bool { return now.Sub(k.at) > k.fresh })
	}
	if len(m.known)+len(due) > maxKnown {
		clear(m.known)
	}
	for _, key := range due {
		m.known[key] = remembered[V]{values[key], now, fresh}
	}
	return nil
}
