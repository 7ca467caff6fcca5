//go:build unix

package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
	"flixtube/flixtube/samples"
)

// TestLauncher runs the launcher as its users do: it offers the samples, stops everything, and has all of it again after
// the next start.
func TestLauncher(t *testing.T) {
	startsOwn(t)
	data, port := newData(t), chassistest.FreePort(t)
	s := &site{url: "http://localhost:" + port}
	launcher := func() *exec.Cmd { return exec.Command(filepath.Join(bin, "launcher"), "-data", data, "-port", port) }
	addresses, stop := startLauncher(t, launcher(), io.Discard)

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
	startLauncher(t, launcher(), io.Discard)
	v.waitListed(id, title)
	for title, before := range ids {
		if now, err := v.titled(title); err != nil || !slices.Equal(now, before) {
			t.Errorf("of %q are listed %q, before it was %q; error %v", title, now, before, err)
		}
	}
	v.wantHistory(newest, id)
	v.mustWatch(id, body)
}

// newData is a data folder for which nothing is left to build.
func newData(t *testing.T) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Symlink(bin, filepath.Join(data, "bin"))); err != nil {
		t.Fatal(err)
	}
	return data
}

// startLauncher returns when FlixTube is ready. The test fails if the launcher does not stop cleanly. It writes to output, too.
func startLauncher(t *testing.T, cmd *exec.Cmd, output io.Writer) (addresses []string, stop func()) {
	t.Helper()
	cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	if _, err := cmd.StdinPipe(); err != nil { // which ends when this process is killed
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout = io.MultiWriter(&logs, output, w)
	cmd.Stderr = cmd.Stdout
	lines := chassistest.ReadLines(r)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		t.Helper()
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the launcher ended with: %v", err)
		}
		w.Close()
	})
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
