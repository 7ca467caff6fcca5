package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
)

// makeKey returns the name of the file with the key that signs viewers' cookies. It makes the key once: viewers who come back
// with a cookie of another key are strangers.
func makeKey(folder string) (file string, err error) {
	file = filepath.Join(folder, "viewer-key")
	if _, err = os.Stat(file); err == nil {
		return file, nil
	}
	unfinished := file + ".new"
	if err = os.WriteFile(unfinished, []byte(rand.Text()+rand.Text()+"\n"), 0o600); err == nil {
		err = os.Rename(unfinished, file)
	}
	if err != nil {
		return "", fmt.Errorf("make the key of the viewers' cookies: %w", err)
	}
	return file, nil
}
