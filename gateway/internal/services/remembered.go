package services

import (
	"context"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	minFresh      = time.Second // or as long as the look-up took; for as long again an answer is stale
	maxRemembered = 10_000      // answers of one kind

	// lookUpTimeout is longer than a page waits: what comes too late for one page is there for the next.
	lookUpTimeout = 10 * time.Second
)

// remembered has answers that are the same for every viewer, for a second or two. A stale answer is still returned, and looked
// up again in the background. Requests that need the same ones at the same time look them up once. Nothing is remembered of
// what does not exist, or failed. The memory is that of one process: another may have changed what is in it.
type remembered[V any] struct {
	answers *lru.Cache[string, timed[V]]
	looking singleflight.Group
}

// lookUp finds the values of those keys that have one.
type lookUp[V any] func(ctx context.Context, keys []string) (map[string]V, error)

type timed[V any] struct {
	value V
	at    time.Time // when it was looked up
	fresh time.Duration
}

func newRemembered[V any]() *remembered[V] {
	answers, _ := lru.New[string, timed[V]](maxRemembered) // fails only for a size below 1
	return &remembered[V]{answers: answers}
}

// getUnless returns remembered values unless stop says of one that it must not be: then it looks all of them up.
func (r *remembered[V]) getUnless(ctx context.Context, keys []string, stop func(V) bool, find lookUp[V]) (map[string]V, error) {
	values, err := r.get(ctx, keys, find)
	if err != nil {
		return values, err
	}
	for _, value := range values {
		if stop(value) {
			return find(ctx, keys)
		}
	}
	return values, nil
}

// get returns the values of those keys that have one. find works on when this request ends before it, because others may
// wait for it, too.
func (r *remembered[V]) get(ctx context.Context, keys []string, find lookUp[V]) (map[string]V, error) {
	values := make(map[string]V, len(keys))
	var due []string
	wait := false
	for _, key := range keys {
		a, _ := r.answers.Get(key) // zero, and too old, if it is unknown
		age := time.Since(a.at)
		if age < 2*a.fresh {
			values[key] = a.value
		} else {
			wait = true
		}
		if age >= a.fresh {
			due = append(due, key)
		}
	}
	if len(due) == 0 {
		return values, nil
	}
	slices.Sort(due)
	due = slices.Compact(due)
	found := r.looking.DoChan(strings.Join(due, "\x00"), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUpTimeout)
		defer cancel()
		began := time.Now()
		found, err := find(ctx, due)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		for key, value := range found {
			r.answers.Add(key, timed[V]{value, now, max(minFresh, now.Sub(began))})
		}
		return found, nil
	})
	if !wait {
		return values, nil
	}
	select {
	case <-ctx.Done():
		return values, ctx.Err()
	case res := <-found:
		if res.Err != nil {
			return values, res.Err
		}
		for key, value := range res.Val.(map[string]V) { //nolint:forcetypeassert // see above
			values[key] = value
		}
		return values, nil
	}
}
