//go:build unix

package launch

import (
	"testing"

	"flixtube/chassis/chassistest"
)

// TestAProcessThatDoesNotStopIsKilled: on Windows a process is asked to stop by the end of its input, to which even the
// stubborn child reacts.
func TestAProcessThatDoesNotStopIsKilled(t *testing.T) {
	t.Parallel() // it takes the whole grace period
	p, lines := startChild(t, "stubborn")
	address := lines.Find(t, "listens on ")
	p.Stop()
	lines.Find(t, "child did not stop cleanly: "+killedState)
	if chassistest.Listening(address) == nil {
		t.Error("it is still there")
	}
}
