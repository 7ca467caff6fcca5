//go:build unix

package main

import (
	"testing"
	"time"
)

// TestAServiceThatDoesNotStopIsKilled: on Windows a service is asked to stop by the end of its input, which even the
// stubborn child heeds.
func TestAServiceThatDoesNotStopIsKilled(t *testing.T) {
	p, lines := startChild(t, "stubborn", func(p *child) { p.grace = 10 * time.Millisecond })
	address := find(t, lines, "listens on ")
	p.stop()
	find(t, lines, "child did not stop cleanly: "+killedState)
	if answers(address) {
		t.Error("it is still there")
	}
}
