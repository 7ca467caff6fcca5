package backoff_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"flixtube/chassis/backoff"
)

var errFailed = errors.New("failed")

// wait returns how long one wait takes.
func wait(ctx context.Context, b *backoff.Backoff, err error) time.Duration {
	began := time.Now()
	b.Wait(ctx, err)
	return time.Since(began)
}

func TestWaitsGrowUntilSuccess(t *testing.T) {
	for _, test := range []struct {
		b    backoff.Backoff
		want []time.Duration // without jitter
	}{
		{backoff.Backoff{}, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}},
		{backoff.Backoff{Min: 2 * time.Second}, []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}},
		{backoff.Backoff{Min: 1, Max: 3}, []time.Duration{1, 2, 3, 3}},
		{backoff.Backoff{Min: time.Minute}, []time.Duration{time.Minute, time.Minute}}, // Min wins over Max
		{backoff.Backoff{Min: 50 * time.Millisecond, Max: 50 * time.Millisecond}, []time.Duration{50 * time.Millisecond, 50 * time.Millisecond}},
	} {
		synctest.Test(t, func(t *testing.T) {
			for range 3 { // a success starts over
				for i, want := range test.want {
					if got := wait(t.Context(), &test.b, errFailed); got < want/2 || got > want+want/2 {
						t.Errorf("%+v: wait %d took %v, want about %v", test.b, i, got, want)
					}
				}
				if got := wait(t.Context(), &test.b, nil); got != 0 {
					t.Errorf("%+v: it waits %v after a success", test.b, got)
				}
			}
		})
	}
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 20 {
			waits[wait(t.Context(), &backoff.Backoff{}, errFailed)] = true
		}
		if len(waits) < 10 {
			t.Errorf("20 clients wait only %d different times", len(waits))
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := backoff.Backoff{Min: time.Hour}
		if got := wait(ctx, &b, errFailed); got != time.Second {
			t.Errorf("the wait took %v", got)
		}
		if got := wait(ctx, &b, errFailed); got != 0 {
			t.Errorf("the wait after the end took %v", got)
		}
	})
}
