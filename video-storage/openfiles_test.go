package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOpenFiles: a video stays open for the next request, but not for long, and never when its name has other bytes.
func TestOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := t.TempDir()
		dir, other := openTestDirectory(t, path), openTestDirectory(t, path)
		defer dir.Close()
		defer other.Close()
		create := func(content string) {
			t.Helper()
			if err := other.Create(t.Context(), "x", "video/mp4", strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
		}
		open := func() *video {
			t.Helper()
			v, err := dir.Open(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		read := func(v *video, want string) io.ReadSeekCloser {
			t.Helper()
			file := v.ReadSeekCloser
			if got, err := io.ReadAll(v); string(got) != want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			return file
		}
		create("first")
		one, two := open(), open()
		first := read(one, "first")
		if read(two, "first") == first {
			t.Error("two requests have one file")
		}
		if read(open(), "first"); len(dir.open.idle) != 2 {
			t.Errorf("the files are not used again: %d are idle", len(dir.open.idle))
		}
		if err := other.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := dir.Open(t.Context(), "x"); err != errNotFound { //nolint:errorlint // as the contract has it
			t.Errorf("after another process has deleted it: %v", err)
		}
		create("other") // as long, and with the same time
		if err := os.Chtimes(filepath.Join(path, "x", "video"), time.Time{}, one.modified); err != nil {
			t.Fatal(err)
		}
		read(open(), "other")

		var all []*video
		for range 2 * maxIdleFiles {
			all = append(all, open())
		}
		for _, v := range all {
			read(v, "other")
		}
		if n := len(dir.open.idle); n != maxIdleFiles {
			t.Errorf("%d files are idle", n)
		}
		<-time.After(idleFileTime) // in the test's own time
		synctest.Wait()
		if n := len(dir.open.idle); n != 0 {
			t.Errorf("later, %d files are idle", n)
		}
		read(open(), "other")
		if err := dir.Delete(t.Context(), "x"); err != nil || len(dir.open.idle) != 0 {
			t.Errorf("after it deleted the video: %v, %d files are idle", err, len(dir.open.idle))
		}
		if _, err := first.(*os.File).Stat(); err == nil {
			t.Error("the file of a deleted video is open")
		}
	})
}

// TestSeveralRanges: a file that another goroutine may still read is not kept.
func TestSeveralRanges(t *testing.T) {
	dir := openTestDirectory(t, t.TempDir())
	defer dir.Close()
	if err := dir.Create(t.Context(), "x", "video/mp4", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	handler := newHandler(dir, newUploadSlots(1), slog.New(slog.DiscardHandler))
	for ranges, idle := range map[string]int{"bytes=0-1,4-5": 0, "bytes=0-1": 1} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/video?id=x", nil)
		req.Header.Set("Range", ranges)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != http.StatusPartialContent || len(dir.open.idle) != idle {
			t.Errorf("%s: %d, and %d files are idle, want %d", ranges, w.Code, len(dir.open.idle), idle)
		}
		dir.open.forget("x")
	}
}
