//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
)

// TestListRebuilt: metadata loses its database, and the list of videos is made again from what is stored beside the bytes.
func TestListRebuilt(t *testing.T) {
	startsOwn(t)
	s := newSite(t, nil)
	metadata := s.system.Services["metadata"]
	rebuild := func(want string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "launcher"), "videos", "rebuild")
		cmd.Env = append(os.Environ(), "METADATA_URL="+metadata.Address, "VIDEO_STORAGE_URL="+s.system.Services["video-storage"].Address)
		for _, variable := range metadata.Env {
			if strings.HasPrefix(variable, "RABBIT=") {
				cmd.Env = append(cmd.Env, variable)
			}
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("videos rebuild: %v\n%s\nwant %s", err, out, want)
		}
	}
	body := sample(t)
	v := newViewer(t, s)
	before, err := s.stored(nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, title := unique("removed"), unique("kept")
	removed := v.upload(gone, body)
	v.waitListed(removed, gone)
	v.remove(removed)
	s.waitNothingStored(t, before)
	id := v.upload(title, body)
	v.waitListed(id, title)
	chassistest.Eventually(t, timeout, "the announcement is stored", func() error {
		_, err := os.Stat(filepath.Join(s.videos, id, "uploaded.json"))
		return err
	})
	rebuild("0 of 1 stored videos")

	metadata.Stop()
	metadata.Env = append(slices.Clip(metadata.Env), "DBNAME=metadata-after-the-loss")
	s.start(t, "metadata")
	if ids, err := v.titled(title); err != nil || len(ids) != 0 {
		t.Fatalf("with an empty database are listed %q, error %v", ids, err)
	}
	rebuild("1 of 1 stored videos")
	v.waitListed(id, title)
	if ids, err := v.titled(gone); err != nil || len(ids) != 0 {
		t.Errorf("the removed video is listed: %q, error %v", ids, err)
	}
	v.remove(id) // it still has its owner
	s.waitNothingStored(t, before)
}
