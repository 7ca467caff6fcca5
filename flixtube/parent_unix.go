//go:build unix

package main

import (
	"context"
	"os"
	"time"
)

// awaitParent returns when the process that started this one is gone, or ctx is done.
func awaitParent(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for parent := os.Getppid(); os.Getppid() == parent; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
