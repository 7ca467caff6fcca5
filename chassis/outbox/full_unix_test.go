//go:build unix

package outbox_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/outbox"
)

// TestFullDisk fills a disk again and again, and each time the outbox empties: also to delete it needs some room. It
// runs in a process of its own, whose files can't grow.
func TestFullDisk(t *testing.T) {
	const child = "OUTBOX_FULL_DISK"
	if os.Getenv(child) == "" { //nolint:forbidigo // a test has no other
		for blocks := 800; blocks < 1200; blocks += 50 { // of 512 bytes
			limited := fmt.Sprintf("ulimit -f %d && exec '%s' -test.run='^TestFullDisk$'", blocks, os.Args[0])
			cmd := exec.Command("sh", "-c", limited)
			cmd.Env = append(os.Environ(), child+"=1")
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%d blocks: %v\n%s", blocks, err, output)
			}
		}
		return
	}
	for seed := range uint64(2) {
		random := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		for range 4 {
			box := open(t, dir, 1_000_000)
			accepted := fill(random, box)
			b := &broker{}
			stop := runRelay(t, box, b)
			err := chassistest.Poll(30*time.Second, func() error {
				b.mu.Lock()
				defer b.mu.Unlock()
				if len(b.got) < accepted {
					return fmt.Errorf("%d of %d have arrived", len(b.got), accepted)
				}
				return nil
			})
			if err != nil || accepted <= 2*500 { // windows
				t.Fatalf("%d facts were accepted; %v", accepted, err)
			}
			stop()
			box.Close()

			box, b = open(t, dir, 1_000_000), &broker{}
			add(t, box, 0, 1)
			stop = runRelay(t, box, b)
			b.expect(t, 1) // what was left would have come before it
			stop()
			box.Close()
		}
	}
}

// fill offers facts, as many at a time as chance will have it, until the disk is full, and returns how many were
// accepted.
func fill(random *rand.Rand, box *outbox.Outbox) int {
	var accepted, refused atomic.Int64
	for refused.Load() == 0 {
		var settled sync.WaitGroup
		for range 1 + random.IntN(700) {
			settled.Add(1)
			box.Offer(message(1), func(err error) {
				if err == nil {
					accepted.Add(1)
				} else {
					refused.Add(1)
				}
				settled.Done()
			})
		}
		settled.Wait()
	}
	return int(accepted.Load())
}
