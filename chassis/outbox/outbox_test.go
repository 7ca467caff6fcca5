package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/outbox"
	"flixtube/chassis/relay"
)

func open(t *testing.T, dir string, limit int) *outbox.Outbox {
	t.Helper()
	box, err := outbox.Open(dir, limit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	return box
}

func add(t *testing.T, box *outbox.Outbox, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := box.Add(t.Context(), message(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func message(i int) messaging.Message {
	return messaging.Message{ID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
}

// broker is the other end of a relay.
type broker struct {
	mu    sync.Mutex
	down  bool
	asked int
	got   []messaging.Message
}

func (b *broker) send(_ context.Context, msgs []messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.down {
		return errors.New("the broker is down")
	}
	b.got = append(b.got, msgs...)
	return nil
}

func (b *broker) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// expect waits until the broker has got messages 0 to n-1, once each and in their order.
func (b *broker) expect(t *testing.T, n int) {
	t.Helper()
	err := chassistest.Poll(30*time.Second, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.got) < n {
			return fmt.Errorf("%d of %d have arrived", len(b.got), n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.got) > n {
		t.Errorf("%d arrived, want %d", len(b.got), n)
	}
	for i, m := range b.got[:n] {
		if want := message(i); m.ID != want.ID || string(m.Body) != string(want.Body) {
			t.Fatalf("at %d: %s %s", i, m.ID, m.Body)
		}
	}
}

func runRelay(t *testing.T, box *outbox.Outbox, b *broker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- relay.New(box, b.send, slog.New(slog.DiscardHandler)).Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Relay: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestFactsLeaveInTheirOrder(t *testing.T) {
	box, b := open(t, t.TempDir(), 10_000), &broker{}
	add(t, box, 0, 20)
	runRelay(t, box, b)
	b.expect(t, 20)
	add(t, box, 20, 40) // the relay wakes up for them
	b.expect(t, 40)
}

func TestFactsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir, 10_000)
	add(t, box, 0, 700) // more than one window
	// What a process that is killed leaves behind is the file as it is, not closed.
	data, err := os.ReadFile(filepath.Join(dir, "outbox-0.db"))
	if err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	if err := os.WriteFile(filepath.Join(left, "outbox-0.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := &broker{}
	runRelay(t, open(t, left, 10_000), b)
	b.expect(t, 700)
}

func TestWhatWasSentIsForgotten(t *testing.T) {
	dir, b := t.TempDir(), &broker{}
	box := open(t, dir, 10_000)
	stop := runRelay(t, box, b)
	add(t, box, 0, 10)
	b.expect(t, 10)
	stop()
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	box = open(t, dir, 10_000)
	runRelay(t, box, b)
	add(t, box, 10, 11)
	b.expect(t, 11)
}

func TestBrokerIsWaitedFor(t *testing.T) {
	box, b := open(t, t.TempDir(), 10_000), &broker{down: true}
	runRelay(t, box, b)
	add(t, box, 0, 10)
	err := chassistest.Poll(30*time.Second, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.asked < 3 {
			return fmt.Errorf("asked %d times", b.asked)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.setDown(false)
	b.expect(t, 10)
}

func TestFullKeepsTheOldest(t *testing.T) {
	box, b := open(t, t.TempDir(), 5), &broker{}
	add(t, box, 0, 5)
	if err := box.Add(t.Context(), message(99)); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("the sixth of five: %v", err)
	}
	runRelay(t, box, b)
	b.expect(t, 5)
	// Forgetting what was sent comes after sending it, so there is room a moment later.
	if err := chassistest.Poll(30*time.Second, func() error { return box.Add(t.Context(), message(5)) }); err != nil {
		t.Fatal(err)
	}
	b.expect(t, 6)
}

func TestReplicasShareAFolder(t *testing.T) {
	dir, one, two := t.TempDir(), &broker{}, &broker{}
	first, second := open(t, dir, 10), open(t, dir, 10)
	add(t, first, 0, 3)
	add(t, second, 0, 2)
	runRelay(t, first, one)
	runRelay(t, second, two)
	one.expect(t, 3)
	two.expect(t, 2)
}

func TestFactsOfAReplicaThatIsGone(t *testing.T) {
	dir, b := t.TempDir(), &broker{}
	stays, goes, lives := open(t, dir, 10), open(t, dir, 10), open(t, dir, 10)
	add(t, goes, 0, 3)
	add(t, lives, 3, 5)
	goes.Close()
	runRelay(t, stays, b)
	b.expect(t, 3)
	runRelay(t, lives, b)
	b.expect(t, 5)
	if err := open(t, dir, 3).Add(t.Context(), message(5)); err != nil { // into the file that is free again
		t.Error(err)
	}
}

func TestClosedRefuses(t *testing.T) {
	box := open(t, t.TempDir(), 10)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if err := box.Add(t.Context(), message(0)); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestOffers lets many offer at once, while the relay works, and closes in the middle of it: each fact that was
// accepted arrives, now or after the next start.
func TestOffers(t *testing.T) {
	dir, b := t.TempDir(), &broker{}
	box := open(t, dir, 1_000_000)
	stop := runRelay(t, box, b)
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if err := box.Offer(message(1)); err == nil {
					accepted.Add(1)
				}
			}
		})
	}
	if err := chassistest.Poll(30*time.Second, func() error {
		if accepted.Load() == 0 {
			return errors.New("nothing is accepted")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	runRelay(t, open(t, dir, 1_000_000), b)
	b.expectCount(t, int(accepted.Load()))
}

// expectCount waits until the broker has got n messages.
func (b *broker) expectCount(t *testing.T, n int) {
	t.Helper()
	if err := chassistest.Poll(30*time.Second, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.got) < n {
			return fmt.Errorf("%d of %d have arrived", len(b.got), n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestOfferOutlivesTheProcess: what Offer accepted is in the folder when it returns, as a process leaves it that is killed
// with the next instruction. A fact may be in the journal and in the database file: it is sent twice then, not lost.
func TestOfferOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir, 100_000)
	const n = 3000 // at once, so that most are not in the database file
	for i := range n {
		if err := box.Offer(message(i)); err != nil {
			t.Fatal(err)
		}
	}
	left := t.TempDir()
	// The journal first: what the database file gets meanwhile leaves the journal.
	for _, name := range []string{"outbox-0.journal-0", "outbox-0.journal-1", "outbox-0.db"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(left, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for replica, adopts := range map[string]bool{"the same": false, "another": true} {
		t.Run(replica, func(t *testing.T) {
			folder, b := t.TempDir(), &broker{}
			if err := os.CopyFS(folder, os.DirFS(left)); err != nil {
				t.Fatal(err)
			}
			if adopts {
				for _, name := range []string{"outbox-0.journal-0", "outbox-0.journal-1", "outbox-0.db"} {
					if err := os.Rename(filepath.Join(folder, name), filepath.Join(folder, strings.Replace(name, "-0", "-7", 1))); err != nil {
						t.Fatal(err)
					}
				}
			}
			runRelay(t, open(t, folder, 100_000), b)
			err := chassistest.Poll(30*time.Second, func() error {
				b.mu.Lock()
				defer b.mu.Unlock()
				got := map[string]bool{}
				for _, m := range b.got {
					got[m.ID] = true
				}
				if len(got) < n {
					return fmt.Errorf("%d of %d have arrived", len(got), n)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestJournalIsEmptied: the facts of a quiet outbox are not sent again after a kill, and a busy one's journal stays small.
func TestJournalIsEmptied(t *testing.T) {
	dir := t.TempDir()
	box := open(t, dir, 1_000_000)
	size := func() (all int64) {
		for i := range 2 {
			info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("outbox-0.journal-%d", i)))
			if err != nil {
				t.Fatal(err)
			}
			all += info.Size()
		}
		return all
	}
	m := messaging.Message{ID: "1", Body: []byte(`"` + strings.Repeat("x", 1000) + `"`)}
	for range 20_000 { // 29 MB in all
		if err := chassistest.Poll(30*time.Second, func() error { return box.Offer(m) }); err != nil { // the disk has its own pace
			t.Fatal(err)
		}
		if size := size(); size > 12<<20 {
			t.Fatalf("the journal has grown to %d bytes", size)
		}
	}
	if err := chassistest.Poll(30*time.Second, func() error {
		if size := size(); size > 0 {
			return fmt.Errorf("the journal has %d bytes", size)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedJournal: a line that was cut off, and bytes that are none, cost no other fact.
func TestDamagedJournal(t *testing.T) {
	dir, b := t.TempDir(), &broker{}
	journal := "\x00\x00\x00\n" + `{"ID":"0","Body":"eyJuIjowfQ=="}` + "\n" + `{"ID":"9","Bo`
	if err := os.WriteFile(filepath.Join(dir, "outbox-0.journal-1"), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	box := open(t, dir, 10)
	if err := box.Offer(message(1)); err != nil {
		t.Fatal(err)
	}
	runRelay(t, box, b)
	b.expect(t, 2)
}

// TestFactsOfAReplicaThatIsGoneUnderLoad: they are sent although there is always something of one's own to send.
func TestFactsOfAReplicaThatIsGoneUnderLoad(t *testing.T) {
	dir := t.TempDir()
	busy, goes := open(t, dir, 1000), open(t, dir, 10)
	if err := goes.Add(t.Context(), messaging.Message{ID: "left behind"}); err != nil {
		t.Fatal(err)
	}
	goes.Close()
	add(t, busy, 0, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	arrived := false
	err := relay.New(busy, func(_ context.Context, msgs []messaging.Message) error {
		if msgs[0].ID == "left behind" {
			arrived = true
			cancel()
			return nil
		}
		return busy.Add(ctx, message(1))
	}, slog.New(slog.DiscardHandler)).Run(ctx)
	if !arrived || err != nil {
		t.Errorf("arrived: %v, %v", arrived, err)
	}
}

// TestAdoptedFileThatFails: facts of a replica that is gone that cannot be sent do not block one's own.
func TestAdoptedFileThatFails(t *testing.T) {
	dir := t.TempDir()
	own, goes := open(t, dir, 10), open(t, dir, 10)
	if err := goes.Add(t.Context(), messaging.Message{ID: "poison"}); err != nil {
		t.Fatal(err)
	}
	goes.Close()
	add(t, own, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tried, arrived := false, 0
	err := relay.New(own, func(_ context.Context, msgs []messaging.Message) error {
		if msgs[0].ID == "poison" {
			tried = true
			return errors.New("rejected")
		}
		if arrived += len(msgs); arrived == 3 {
			cancel()
		}
		return nil
	}, slog.New(slog.DiscardHandler)).Run(ctx)
	if !tried || arrived != 3 || err != nil {
		t.Errorf("tried: %v, own facts that arrived: %d, %v", tried, arrived, err)
	}
}

// TestDamagedFiles: a file that cannot be read keeps nobody from starting, nor from sending what is in others. It
// stays as it is, for somebody to look at.
func TestDamagedFiles(t *testing.T) {
	dir, b := t.TempDir(), &broker{}
	zero, one, two := open(t, dir, 10), open(t, dir, 10), open(t, dir, 10)
	add(t, two, 0, 3)
	for _, box := range []*outbox.Outbox{zero, one, two} {
		box.Close()
	}
	garbage := make([]byte, 64<<10)
	for i := range 2 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("outbox-%d.db", i)), garbage, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goes, stays := open(t, dir, 10), open(t, dir, 10) // the third file, and a fourth
	goes.Close()
	runRelay(t, stays, b)
	b.expect(t, 3)
	for i := range 2 {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("outbox-%d.db", i)))
		if err != nil || !bytes.Equal(got, garbage) {
			t.Errorf("damaged file %d was changed, %v", i, err)
		}
	}
}

func TestTooLongIsRefused(t *testing.T) {
	box := open(t, t.TempDir(), 10)
	m := messaging.Message{ID: "long", Body: []byte(`"` + strings.Repeat("x", messaging.MaxBody-1) + `"`)}
	if err := box.Add(t.Context(), m); !errors.Is(err, outbox.ErrTooLong) {
		t.Errorf("one byte too long: %v", err)
	}
}

// TestRefusalsAreLogged: all of them, also those that come too soon after a line in the log.
func TestRefusalsAreLogged(t *testing.T) {
	counts := make(counter, 100)
	box, err := outbox.Open(t.TempDir(), 0, slog.New(counts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	for i := range 3 {
		if err := box.Add(t.Context(), message(i)); !errors.Is(err, outbox.ErrFull) {
			t.Errorf("into an outbox for none: %v", err)
		}
	}
	runRelay(t, box, &broker{})
	enough := time.After(30 * time.Second)
	for n := int64(0); n < 3; {
		select {
		case more := <-counts:
			n += more
		case <-enough:
			t.Fatalf("%d of 3 refusals are logged", n)
		}
	}
}

// counter is a log that passes on the counts in it.
type counter chan int64

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c counter) WithGroup(string) slog.Handler            { return c }
func (c counter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "count" {
			c <- a.Value.Int64()
		}
		return true
	})
	return nil
}
