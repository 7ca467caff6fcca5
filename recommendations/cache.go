package main

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	minFresh  = 5 * time.Second // an answer is fresh for at least this time,
	freshCost = 20              // and for at least this many times the duration of its lookup
	maxCached = 10_000          // values in one cache
)

// cache keeps the answers to expensive questions. It is part of this service, because main.go promises how old an answer
// may be, and because MongoDB needs it too: it reads all views that it counts. FerretDB reads the whole collection for each
// question.
//
// An answer is fresh in proportion to its cost, so that a question takes at most a twentieth of the database's time. After
// that it is stale for as long again, and still returned. Ages count from the end of the lookup. A stale answer is looked up
// again in the background; an unknown or expired one while the request waits. There is one lookup at a time.
type cache[V any] struct {
	lookUp  func(ctx context.Context, keys []string) (map[string]V, error) // may leave out zero values
	looking chan struct{}                                                  // holds a token during lookUp
	answers *lru.Cache[string, answer[V]]
}

type answer[V any] struct {
	value V
	at    time.Time
	fresh time.Duration
}

func newCache[V any](lookUp func(context.Context, []string) (map[string]V, error)) *cache[V] {
	answers, _ := lru.New[string, answer[V]](maxCached) // fails for a size of 0 only
	return &cache[V]{lookUp: lookUp, looking: make(chan struct{}, 1), answers: answers}
}

// get returns the value of each of the keys, which are all different.
func (c *cache[V]) get(ctx context.Context, keys []string) (map[string]V, error) {
	values, due := c.cached(keys)
	if len(due) == 0 {
		return values, nil
	}
	if len(values) == len(keys) {
		select {
		case c.looking <- struct{}{}:
			go func() { _ = c.refresh(context.WithoutCancel(ctx), keys) }() // a request that waits gets the next error
		default:
		}
		return values, nil
	}
	select {
	case c.looking <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := make(chan error, 1)
	go func() { done <- c.refresh(context.WithoutCancel(ctx), keys) }() // goes on for others if this request ends
	select {
	case err := <-done:
		values, _ = c.cached(keys)
		return values, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cached returns the values that are not expired, and the keys whose values are not fresh.
func (c *cache[V]) cached(keys []string) (values map[string]V, due []string) {
	values = map[string]V{}
	for _, key := range keys {
		a, _ := c.answers.Get(key) // zero, and expired, if it is unknown
		age := time.Since(a.at)
		if age <= 2*a.fresh {
			values[key] = a.value
		}
		if age > a.fresh {
			due = append(due, key)
		}
	}
	return values, due
}

// refresh looks up the keys that are due by now, and returns the token.
func (c *cache[V]) refresh(ctx context.Context, keys []string) error {
	defer func() { <-c.looking }()
	_, due := c.cached(keys)
	if len(due) == 0 {
		return nil
	}
	began := time.Now()
	values, err := c.lookUp(ctx, due)
	if err != nil {
		return err
	}
	now := time.Now()
	fresh := max(minFresh, freshCost*now.Sub(began))
	for _, key := range due {
		c.answers.Add(key, answer[V]{values[key], now, fresh})
	}
	return nil
}
