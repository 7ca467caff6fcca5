//go:build unix

package main

import (
	"os"
	"time"
)

// awaitParent returns when the parent, the process that started this one, is gone.
func awaitParent(parent int) {
	for os.Getppid() == parent {
		<-time.After(200 * time.Millisecond)
	}
}
