// Package datafolder guards the folder in which a program keeps its data.
package datafolder

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Lock makes the folder and keeps other programs that lock the same name out of it, until unlock or the end of this
// process.
func Lock(folder, name string) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	file := flock.New(filepath.Join(folder, name))
	locked, err := file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("%s is in use by another flixtube; choose another folder with -data", folder)
	}
	return func() { _ = file.Unlock() }, nil
}
