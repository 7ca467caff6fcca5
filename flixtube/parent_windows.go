package main

import "os"

// awaitParent returns when the parent, the process that started this one, is gone; never if it cannot be watched. On
// Windows any process can be waited for, and the parent's number stays the same after its end.
func awaitParent(parent int) {
	if p, err := os.FindProcess(parent); err == nil {
		if _, err = p.Wait(); err == nil {
			return
		}
	}
	select {}
}
