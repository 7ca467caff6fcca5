package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

func TestUnfinishedUploads(t *testing.T) {
	storage, box := newFakeStorage(t), &fakeOutbox{}
	u := newTestUploads(t, t.TempDir(), storage.URL, box, 1<<20)
	server := httptest.NewServer(chassistest.Documented(t, u.handler()))
	t.Cleanup(server.Close)
	ann, bob := client{t, server.URL, "ann"}, client{t, server.URL, "bob"}
	list := func(c client) string {
		t.Helper()
		var answer struct {
			Uploads []struct {
				ID, FileName string
				Size, Offset int64
				ChangedAt    time.Time
			}
		}
		if err := json.Unmarshal([]byte(c.expect(200, c.ask("GET", "/uploads", nil)).body), &answer); err != nil || answer.Uploads == nil {
			t.Fatal(answer, err)
		}
		var lines []string
		for _, up := range answer.Uploads {
			if age := time.Since(up.ChangedAt); age < 0 || age > 2*time.Hour {
				t.Errorf("%s was changed at %v", up.FileName, up.ChangedAt)
			}
			lines = append(lines, fmt.Sprint(up.FileName, " ", up.Offset, "/", up.Size))
		}
		return strings.Join(lines, ", ")
	}
	if got := list(ann); got != "" {
		t.Errorf("at first: %s", got)
	}
	first := ann.create(5000, "filename", "first.mp4")
	ann.expect(204, ann.patch(first, 0, bytes.NewReader(mp4(4000))))
	earlier := time.Now().Add(-time.Hour)
	if err := os.Chtimes(u.path(filepath.Base(first), ""), earlier, earlier); err != nil {
		t.Fatal(err)
	}
	ann.create(6000, "filename", "여름.webm")
	bob.create(7000, "filename", "of bob.mp4")
	if got := list(ann); got != "여름.webm 0/6000, first.mp4 4000/5000" {
		t.Errorf("those of ann: %s", got)
	}
	if got := list(bob); got != "of bob.mp4 0/7000" {
		t.Errorf("those of bob: %s", got)
	}
	nobody := client{t, server.URL, ""}
	nobody.expect(401, nobody.ask("GET", "/uploads", nil))

	storage.answers(func(w http.ResponseWriter) { w.WriteHeader(503) }, nil)
	ann.expect(204, ann.patch(first, 4000, bytes.NewReader(bytes.Repeat([]byte{7}, 1000))))
	if got := list(ann); !strings.Contains(got, "first.mp4 5000/5000") {
		t.Errorf("while the storage is down: %s", got)
	}
	storage.answers(nil, nil)
	u.scan(t)
	if got := list(ann); got != "여름.webm 0/6000" {
		t.Errorf("when one is stored: %s", got)
	}
	old := time.Now().Add(-48 * time.Hour)
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		_ = os.Chtimes(filepath.Join(u.dir, e.Name()), old, old)
	}
	if got := list(ann); got != "" {
		t.Errorf("when it has expired, before it is removed: %s", got)
	}
}
