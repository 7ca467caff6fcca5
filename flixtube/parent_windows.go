package main

import (
	"context"
	"os"
)

// awaitParent returns when the process that started this one is gone; if it cannot be watched, when ctx is done. On
// Windows any process can be waited for, and the parent's number stays the same after its end.
func awaitParent(ctx context.Context) {
	if parent, err := os.FindProcess(os.Getppid()); err == nil {
		_, err = parent.Wait()
		if err == nil {
			return
		}
	}
	<-ctx.Done()
}
