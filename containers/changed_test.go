package containers

import (
	"archive/tar"
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout is a clone of this repository, at its last commit, to commit changes in.
type checkout struct {
	*testing.T
	dir string
}

func newCheckout(t *testing.T) checkout {
	t.Helper()
	c := checkout{t, filepath.Join(t.TempDir(), "flixtube")}
	if output, err := exec.Command("git", "clone", "-q", "--shared", "..", c.dir).CombinedOutput(); err != nil {
		t.Fatalf("git clone: %v\n%s", err, output)
	}
	for _, script := range []string{"changed-services", "crane"} { // as they are here, committed or not
		text, err := os.ReadFile(filepath.Join("..", "scripts", script))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.dir, "scripts", script), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c checkout) run(name string, args ...string) string {
	c.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		c.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// commit adds a line to a file.
func (c checkout) commit(file, line string) {
	c.Helper()
	path := filepath.Join(c.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		c.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		c.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, line+"\n"...), 0o600); err != nil {
		c.Fatal(err)
	}
	c.run("git", "add", "-A")
	c.run("git", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false",
		"commit", "-q", "-m", "change "+file)
}

// tags are those of the images, by service.
func (c checkout) tags() map[string]string {
	c.Helper()
	tags := map[string]string{}
	for line := range strings.Lines(c.run("scripts/changed-services")) {
		service, tag, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || len(tag) != 40 {
			c.Fatalf("changed-services says %q", line)
		}
		tags[service] = tag
	}
	return tags
}

var everyService = []string{"gateway", "history", "metadata", "recommendations", "video-storage", "video-streaming", "video-upload"}

// TestChangedServices changes one file after the other, and looks which images get another tag.
func TestChangedServices(t *testing.T) {
	c := newCheckout(t)
	before := c.tags()
	if len(before) != len(everyService) {
		t.Fatalf("the services are %v", before)
	}
	for _, tc := range []struct {
		file, line string
		want       []string
	}{
		{"history/store.go", "// changed", []string{"history"}},
		{"gateway/assets/flixtube.css", "/* changed */", []string{"gateway"}},
		{"video-upload/go.sum", "", []string{"video-upload"}},
		{"chassis/web/request.go", "// changed", everyService},
		{"contracts/contracts.go", "// changed", everyService},
		{"Dockerfile-prod", "# changed", everyService},
		{".dockerignore", "# changed", everyService},
		{"history/store_test.go", "// changed", nil},
		{"chassis/messaging/consume_test.go", "// changed", nil},
		{"chassis/chassistest/port.go", "// changed", nil},
		{"README.md", "changed", nil},
		{"flixtube/main.go", "// changed", nil},
		{"Dockerfile-dev", "# changed", nil},
		// A module that one service uses, and a module that this one uses.
		{"newmodule/go.mod", "module flixtube/newmodule\nreplace flixtube/deeper => ../deeper", nil},
		{"deeper/go.mod", "module flixtube/deeper", nil},
		{"metadata/go.mod", "replace flixtube/newmodule => ../newmodule", []string{"metadata"}},
		{"newmodule/new.go", "package newmodule", []string{"metadata"}},
		{"deeper/deeper.go", "package deeper", []string{"metadata"}},
		{"deeper/deeper_test.go", "package deeper", nil},
	} {
		c.commit(tc.file, tc.line)
		after := c.tags()
		var changed []string
		for _, service := range everyService {
			if after[service] != before[service] {
				changed = append(changed, service)
			}
		}
		if !slices.Equal(changed, tc.want) {
			t.Errorf("a change of %s changes %q, want %q", tc.file, changed, tc.want)
		}
		before = after
	}
}

// TestUncommittedIsNotSeen: tags are those of commits.
func TestUncommittedIsNotSeen(t *testing.T) {
	c := newCheckout(t)
	before := c.tags()["history"]
	if err := os.WriteFile(filepath.Join(c.dir, "history", "dirt.go"), []byte("package main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after := c.tags()["history"]; after != before {
		t.Errorf("what is not committed makes %s of %s", after, before)
	}
}

// serveRegistry returns the address of a registry in memory.
func serveRegistry(t *testing.T, crane string) string {
	t.Helper()
	cmd := exec.Command(crane, "registry", "serve", "--address", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, so it says so
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, port, ok := strings.Cut(lines.Text(), "serving on port "); ok {
			go func() {
				for lines.Scan() { // so that it can go on writing
				}
			}()
			return "127.0.0.1:" + strings.TrimSpace(port)
		}
	}
	t.Fatalf("the registry does not say where it is: %v", lines.Err())
	return ""
}

// emptyLayer is something to make an image of.
func emptyLayer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layer.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tar.NewWriter(f).Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWhatTheRegistryLacks pushes images and looks which services still count as changed.
func TestWhatTheRegistryLacks(t *testing.T) {
	c := newCheckout(t)
	find := exec.Command("go", "-C", "../tools", "tool", "-n", "crane")
	find.Env = append(os.Environ(), "GOWORK=off")
	path, err := find.Output()
	if err != nil {
		t.Fatalf("go tool crane: %v", err)
	}
	crane := strings.TrimSpace(string(path))
	registry := serveRegistry(t, crane) + "/flixtube"
	lacked := func() (services []string) {
		tags := c.tags()
		for line := range strings.Lines(c.run("scripts/changed-services", registry)) {
			service, tag, _ := strings.Cut(strings.TrimSpace(line), " ")
			if tag != tags[service] {
				t.Errorf("%s is lacked under the tag %s", service, tag)
			}
			services = append(services, service)
		}
		slices.Sort(services)
		return services
	}

	if got := lacked(); !slices.Equal(got, everyService) {
		t.Errorf("an empty registry lacks %q", got)
	}
	layer := emptyLayer(t)
	for service, tag := range c.tags() {
		c.run(crane, "append", "--new_layer", layer, "--new_tag", registry+"/"+service+":"+tag)
	}
	if got := lacked(); len(got) > 0 {
		t.Errorf("a registry that has all lacks %q", got)
	}
	c.commit("history/store.go", "// changed")
	if got := lacked(); !slices.Equal(got, []string{"history"}) {
		t.Errorf("after a change of history the registry lacks %q", got)
	}

	cmd := exec.Command("scripts/changed-services", "127.0.0.1:1/flixtube") // nothing listens there
	cmd.Dir = c.dir
	if output, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(output), "\nhistory ") {
		t.Errorf("a registry that does not answer counts as one that lacks images: %v\n%s", err, output)
	}
}
