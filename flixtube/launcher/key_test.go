package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestTheKeyIsMadeOnce: it is the user's alone, and stays.
func TestTheKeyIsMadeOnce(t *testing.T) {
	folder := t.TempDir()
	var first []byte
	for range 2 {
		file, err := makeKey(folder)
		if err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(file)
		if err != nil || len(bytes.TrimSpace(key)) < 32 {
			t.Fatalf("the key is %q, %v", key, err)
		}
		info, err := os.Stat(file)
		if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("its file is %v, %v", info.Mode(), err)
		}
		if first == nil {
			first = key
		}
		if !bytes.Equal(key, first) {
			t.Error("the second start has another key")
		}
	}
	if _, err := makeKey(filepath.Join(folder, "none")); err == nil {
		t.Error("a key in a folder that is not there")
	}
}
