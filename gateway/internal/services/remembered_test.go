package services

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// lookUps takes a second for each look-up, and counts them.
type lookUps struct {
	mu     sync.Mutex
	count  int
	values map[string]int
	err    error
}

func (l *lookUps) find(ctx context.Context, keys []string) (map[string]int, error) {
	l.mu.Lock()
	l.count++
	l.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]int{}
	for _, key := range keys {
		if v, ok := l.values[key]; ok {
			found[key] = v
		}
	}
	return found, l.err
}

// change sets the value of "a", and what look-ups fail with.
func (l *lookUps) change(value int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values["a"], l.err = value, err
}

func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRemembered[int](), &lookUps{values: map[string]int{"a": 1, "b": 2}}
		want := func(lookUps int, want map[string]int, keys ...string) {
			t.Helper()
			got, err := r.get(t.Context(), keys, l.find)
			synctest.Wait() // for a look-up in the background to begin
			l.mu.Lock()
			defer l.mu.Unlock()
			if err != nil || !maps.Equal(got, want) || l.count != lookUps {
				t.Errorf("%v, %v after %d look-ups; want %v after %d", got, err, l.count, want, lookUps)
			}
		}
		// Many who ask at the same time share a look-up, which goes on when the first of them leaves.
		ctx, leave := context.WithTimeout(t.Context(), time.Second/2)
		defer leave()
		var asking errgroup.Group
		asking.Go(func() error {
			if _, err := r.get(ctx, []string{"a"}, l.find); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one who left: %v", err)
			}
			return nil
		})
		synctest.Wait()
		want(1, map[string]int{"a": 1}, "a")
		_ = asking.Wait()
		<-time.After(minFresh - time.Millisecond)
		want(1, map[string]int{"a": 1}, "a")
		want(2, map[string]int{"a": 1, "b": 2}, "a", "b", "none")
		want(3, map[string]int{}, "none") // what does not exist may come to be at any time

		// After a failure the next request asks again.
		<-time.After(2 * minFresh)
		down := errors.New("down")
		l.change(4, down)
		if _, err := r.get(t.Context(), []string{"a"}, l.find); !errors.Is(err, down) {
			t.Errorf("got %v", err)
		}
		l.change(4, nil)
		want(5, map[string]int{"a": 4}, "a")

		// A stale answer is returned, and looked up again for the next.
		<-time.After(minFresh)
		l.change(5, nil)
		want(6, map[string]int{"a": 4}, "a")
		<-time.After(time.Second)
		synctest.Wait()
		want(6, map[string]int{"a": 5}, "a")
	})
}

// TestNotRemembered: a value that must not be remembered is looked up, and the others are not.
func TestNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRemembered[int](), &lookUps{values: map[string]int{"a": 1}}
		for i, c := range []struct{ value, stop, want, lookUps int }{
			{1, 0, 1, 1}, // nothing is remembered yet
			{4, 0, 1, 1},
			{4, 1, 4, 2},
		} {
			l.change(c.value, nil)
			got, err := r.getUnless(t.Context(), []string{"a"}, func(v int) bool { return v == c.stop }, l.find)
			if err != nil || got["a"] != c.want || l.count != c.lookUps {
				t.Errorf("%d: %v, %v after %d look-ups; want %d after %d", i, got, err, l.count, c.want, c.lookUps)
			}
		}
	})
}
