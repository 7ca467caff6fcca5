package spool

import (
	"path/filepath"
	"testing"
)

// FuzzID: an id that is accepted is the name of a file, and no other name of it is accepted, too.
func FuzzID(f *testing.F) {
	f.Fuzz(func(t *testing.T, id string) {
		if IsID(id) && (!filepath.IsLocal(id) || filepath.Base(id) != id || len(id) != 36) {
			t.Errorf("accepted %q", id)
		}
	})
}
