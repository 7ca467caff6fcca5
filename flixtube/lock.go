package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lock makes the folder and keeps other launchers out of it until unlock, or the end of this process.
func lock(data string) (unlock func(), err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file := flock.New(filepath.Join(data, "lock"))
	locked, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("%s is in use by another flixtube; choose another folder with -data", data)
	}
	return func() { _ = file.Unlock() }, nil
}
