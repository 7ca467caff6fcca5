package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"flixtube/chassis/database"
)

// TestDatabaseRejectsWrites: a consumer is not ready while its database answers but accepts no writes, and so uses up
// no tries. Here another process holds SQLite's lock for writing.
func TestDatabaseRejectsWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, stop, err := startDatabase(dir, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	db, err := database.Connect(address, "history")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ready := func() error { return database.Ready(t.Context(), db.Collection("views")) }
	if err := ready(); err != nil {
		t.Fatal(err)
	}

	file, err := os.OpenFile(filepath.Join(dir, "history.sqlite-shm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const writeLock = 120 // https://www.sqlite.org/walformat.html, 2.2.3
	lock := func(kind int16) {
		t.Helper()
		if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: kind, Start: writeLock, Len: 1}); err != nil {
			t.Fatal(err)
		}
	}
	lock(unix.F_WRLCK)
	if err := ready(); err == nil {
		t.Error("ready, and yet nothing can be written")
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("it does not answer: %v", err)
	}
	lock(unix.F_UNLCK)
	if err := ready(); err != nil {
		t.Errorf("not ready again: %v", err)
	}
}
