//go:build unix

package e2e

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
	"flixtube/flixtube/samples"
)

// TestLauncher runs the launcher as its users do: it offers the samples, stops everything, and has all of it again after
// the next start.
func TestLauncher(t *testing.T) {
	startsOwn(t)
	data, port := filepath.Join(t.TempDir(), "data"), chassistest.FreePort(t)
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(bin, filepath.Join(data, "bin")); err != nil { // nothing is left to build
		t.Fatal(err)
	}
	s := &site{url: "http://localhost:" + port}
	addresses, stop := startLauncher(t, data, port)

	body := sample(t)
	v := newViewer(t, s)
	ids := map[string][]string{}
	for _, title := range samples.Titles() {
		found, err := v.titled(title)
		if err != nil || len(found) != 1 {
			t.Fatalf("of %q are listed %q, error %v", title, found, err)
		}
		ids[title] = found
		poster := v.must(v.get("/api/poster?id=" + found[0]))
		if poster.status != 200 || poster.header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("the poster of %q is answered %d", title, poster.status)
		}
	}
	title := unique("lasting")
	id := v.upload(title, body)
	v.waitListed(id, title)
	v.mustWatch(id, body)
	newest := v.wantHistory(id)

	stop()
	for _, address := range addresses {
		if chassistest.Listening(address) == nil {
			t.Errorf("a service still listens on %s", address)
		}
	}
	startLauncher(t, data, port)
	v.waitListed(id, title)
	for title, before := range ids {
		if now, err := v.titled(title); err != nil || !slices.Equal(now, before) {
			t.Errorf("of %q are listed %q, before it was %q; error %v", title, now, before, err)
		}
	}
	v.wantHistory(newest, id)
	v.mustWatch(id, body)
}

// startLauncher returns when FlixTube is ready. The test fails if the launcher does not stop cleanly.
func startLauncher(t *testing.T, data, port string) (addresses []string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "launcher"), "-data", data, "-port", port)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	if _, err := cmd.StdinPipe(); err != nil { // which ends when this process is killed
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout = io.MultiWriter(&logs, w)
	cmd.Stderr = cmd.Stdout
	lines := chassistest.ReadLines(r)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ended bool
	stop = func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		cancel()
		if err := cmd.Wait(); !cmd.ProcessState.Success() {
			t.Errorf("the launcher ended with: %v", err)
		}
		w.Close()
	}
	t.Cleanup(stop)
	for _, name := range launch.Names() {
		row := strings.Fields(lines.Find(t, "| "+name+" ")) // state, port, process, …
		if len(row) < 3 || row[0] != "running" {
			t.Fatalf("%s is %q", name, row)
		}
		addresses = append(addresses, "127.0.0.1:"+row[1])
	}
	lines.Find(t, "FlixTube is ready at ")
	return addresses, stop
}
