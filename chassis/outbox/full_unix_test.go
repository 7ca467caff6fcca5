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
	for seed, until := range []func(*testing.T, *rand.Rand, *outbox.Outbox) int{fill, fill, offer} {
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		dir := t.TempDir()
		for range 4 {
			box, b := open(t, dir, 1_000_000), &broker{}
			accepted := until(t, random, box)
			stop := runRelay(t, box, b)
			if b.expectCount(t, accepted); accepted <= 2*500 { // windows
				t.Fatalf("%d facts were accepted", accepted)
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

// fill adds facts, as many at a time as chance will have it, until the disk is full, and returns how many were accepted.
func fill(t *testing.T, random *rand.Rand, box *outbox.Outbox) int {
	var accepted, refused atomic.Int64
	for refused.Load() == 0 {
		var adding sync.WaitGroup
		for range 1 + random.IntN(700) {
			adding.Go(func() {
				if err := box.Add(t.Context(), message(1)); err == nil {
					accepted.Add(1)
				} else {
					refused.Add(1)
				}
			})
		}
		adding.Wait()
	}
	return int(accepted.Load())
}

// offer is fill, with facts that are offered: those that the database file cannot take wait in the journal.
func offer(t *testing.T, random *rand.Rand, box *outbox.Outbox) (accepted int) {
	for {
		for range 1 + random.IntN(700) {
			if err := box.Offer(message(1)); err != nil {
				return accepted
			}
			accepted++
		}
	}
}
