package relay_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/relay"
)

// fakeSource gives two facts at a time.
type fakeSource struct {
	mu                   sync.Mutex
	facts                []string
	failNext, failForget int // calls of Next, and of forget, that fail
	looks                int
	added                relay.Signal
}

func (s *fakeSource) Added() <-chan struct{} { return s.added }

func (s *fakeSource) Next(context.Context) ([]messaging.Message, func(context.Context) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.failNext--; s.failNext >= 0 {
		return nil, nil, errors.New("the disk does not answer")
	}
	n := min(2, len(s.facts))
	var msgs []messaging.Message
	for _, id := range s.facts[:n] {
		msgs = append(msgs, messaging.Message{ID: id})
	}
	return msgs, func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failForget--; s.failForget >= 0 {
			return errors.New("the disk is full")
		}
		s.facts = s.facts[n:]
		return nil
	}, nil
}

func (s *fakeSource) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = append(s.facts, id)
}

func (s *fakeSource) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

type fakeBroker struct {
	mu    sync.Mutex
	fails int
	got   []string
}

func (b *fakeBroker) send(_ context.Context, facts []messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails--; b.fails >= 0 {
		return errors.New("the broker is away")
	}
	for _, f := range facts {
		b.got = append(b.got, f.ID)
	}
	return nil
}

// run calls f in a bubble while a relay works, which has to end with its context.
func run(t *testing.T, s *fakeSource, b *fakeBroker, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.added = relay.NewSignal()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- relay.New(s, b.send, slog.New(slog.DiscardHandler)).Run(ctx) }()
		synctest.Wait()
		f(t)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// after lets time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (b *fakeBroker) expect(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.got, want) {
		t.Errorf("sent %v, want %v", b.got, want)
	}
}

func TestOldestFirst(t *testing.T) {
	s, b := &fakeSource{facts: []string{"1", "2", "3", "4", "5"}}, &fakeBroker{}
	run(t, s, b, func(t *testing.T) {
		b.expect(t, "1", "2", "3", "4", "5")
		s.add("6")
		s.added.Send()
		s.added.Send() // twice is once
		synctest.Wait()
		b.expect(t, "1", "2", "3", "4", "5", "6")
	})
}

// TestLooksNowAndThen finds facts of which no signal tells.
func TestLooksNowAndThen(t *testing.T) {
	s, b := &fakeSource{}, &fakeBroker{}
	run(t, s, b, func(t *testing.T) {
		s.add("1")
		after(9 * time.Second)
		b.expect(t)
		after(2 * time.Second)
		b.expect(t, "1")
		if n := s.looked(); n > 3 { // at the start, now, and that nothing is left
			t.Errorf("it looked %d times", n)
		}
	})
}

// TestRetries: whatever fails is retried, at growing intervals, until everything is sent; a fact that was sent but not
// forgotten is sent again.
func TestRetries(t *testing.T) {
	for name, test := range map[string]struct {
		failNext, failForget, failSend int
		want                           []string
	}{
		"send":   {failSend: 3, want: []string{"1", "2", "3"}},
		"next":   {failNext: 3, want: []string{"1", "2", "3"}},
		"forget": {failForget: 2, want: []string{"1", "2", "1", "2", "1", "2", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fakeSource{facts: []string{"1", "2", "3"}, failNext: test.failNext, failForget: test.failForget}
			b := &fakeBroker{fails: test.failSend}
			run(t, s, b, func(t *testing.T) {
				after(3 * time.Second)
				b.expect(t, test.want...)
			})
		})
	}
	s, b := &fakeSource{facts: []string{"1"}}, &fakeBroker{fails: 1 << 30}
	run(t, s, b, func(t *testing.T) {
		after(time.Hour)
		if n := s.looked(); n < 3600/8 || n > 3600/2+20 {
			t.Errorf("it tried %d times in an hour", n)
		}
	})
}

// TestDebugLog: each fact leaves one line, once it is sent.
func TestDebugLog(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelInfo:  "",
		slog.LevelDebug: "msg=\"fact published\" to=viewed id=1 delay_ms=X\nmsg=\"fact published\" to=viewed id=2 delay_ms=X\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				switch {
				case a.Key == slog.TimeKey, a.Key == slog.LevelKey:
					return slog.Attr{}
				case a.Key == "delay_ms" && a.Value.Int64() > 0: // it was sent at the third try
					return slog.String(a.Key, "X")
				}
				return a
			}}))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			s, b := &fakeSource{facts: []string{"1", "2"}}, &fakeBroker{fails: 2}
			go func() { defer close(ended); _ = relay.New(s, b.send, log.With("to", "viewed")).Run(ctx) }()
			after(time.Minute)
			cancel()
			<-ended
			lines := ""
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, "published") {
					lines += line
				}
			}
			if lines != want {
				t.Errorf("%v: the log is\n%s", level, lines)
			}
		})
	}
}
