package slots

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func enter(t *testing.T, s *Slots, want error, shares ...Share) func() {
	t.Helper()
	leave, err := s.Enter(t.Context(), shares...)
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
	return leave
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(1, 2, time.Second)
		leave := enter(t, s, nil)
		entered := make(chan func())
		go func() { entered <- enter(t, s, nil) }()
		synctest.Wait()
		go func() {
			enter(t, s, ErrFull) // nothing gets free within a second
			entered <- nil
		}()
		synctest.Wait()
		began := time.Now()
		enter(t, s, ErrFull) // at once
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		leave()
		leave() // does no harm
		second := <-entered
		<-entered
		if s.Used() != 1 {
			t.Errorf("%d in use", s.Used())
		}
		second()
		enter(t, s, nil)
	})
}

func TestCancelled(t *testing.T) {
	s := New(1, 1, time.Hour)
	leave := enter(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Enter(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	leave()
	enter(t, s, nil)
}

func TestShares(t *testing.T) {
	s := New(10, 0, 0)
	ann, network := Share{"ann", 2}, Share{"network", 3}
	leave := enter(t, s, nil, ann, network)
	enter(t, s, nil, ann, network)
	enter(t, s, ErrFull, ann, network)
	enter(t, s, nil, Share{"bob", 2}, network)
	enter(t, s, ErrFull, Share{"bob", 2}, network) // the network's share, and none of bob's is used for it
	enter(t, s, nil, Share{"bob", 2}, Share{"", 0})
	leave()
	enter(t, s, nil, ann, network)
	if len(s.shares) != 3 {
		t.Errorf("%v", s.shares)
	}
}
