package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
)

// record is an output that a test looks at.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

// waitFor returns once the output has the words, and forgets it so far.
func (r *record) waitFor(t *testing.T, words string) {
	t.Helper()
	chassistest.Eventually(t, time.Minute, "the output has "+words, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := strings.Index(r.text.String(), words)
		if i < 0 {
			return errors.New(r.text.String())
		}
		r.text.Next(i + len(words))
		return nil
	})
}

const program = `package main

import (
	"net/http"
	"os"

	"flixtube/shared"
)

var setting = "GOOD"

func main() {
	if setting != "GOOD" {
		panic("the template does not parse")
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(shared.Answer)) })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
`

// TestWatch edits the sources of a workspace in which every service is the program above.
func TestWatch(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, text string) {
		t.Helper()
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module flixtube\n\ngo 1.26.0\n")
	write("go.work", "go 1.26.0\n\nuse .\n")
	write("shared/shared.go", "package shared\n\nconst Answer = \"one\"\n")
	for _, name := range launch.Names() {
		write(name+"/main.go", program)
	}
	var out record
	bin := filepath.Join(root, "bin")
	output := launch.NewOutput(&out)
	if err := launch.BuildFolders(t.Context(), root, bin, output, launch.Names()...); err != nil {
		t.Fatalf("%v\n%s", err, &out.text)
	}
	system, err := launch.New(launch.Options{Bin: bin, Data: root, Output: output})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{system: system, output: output}
	system.Configure(map[string]string{})
	t.Cleanup(system.Stop)
	system.Start("history", "metadata")
	if err := system.WaitReady(briefly(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.watch(t.Context(), root, bin); err != nil {
		t.Fatal(err)
	}
	history, metadata := system.Services["history"], system.Services["metadata"]
	first, other := history.PID(), metadata.PID()

	write("history/main_test.go", "package main\n")
	write("history/main.go", strings.Replace(program, "shared.Answer", "shared.Answers", 1))
	out.waitFor(t, "undefined: shared.Answers")
	out.waitFor(t, "nothing is restarted")
	write("history/main.go", strings.Replace(program, "GOOD", "BAD", 1))
	out.waitFor(t, "panic: the template does not parse")
	out.waitFor(t, "the new history does not start: the lines above say why; the old one runs on")
	if now := history.PID(); now != first {
		t.Errorf("the old process was %d, it is %d", first, now)
	}

	write("history/main.go", program+"\n// changed\nvar _ = 1\n")
	out.waitFor(t, "and ready, process ")
	if now := history.PID(); now == first || metadata.PID() != other {
		t.Errorf("history's process is %d, before %d; metadata's %d, before %d", now, first, metadata.PID(), other)
	}

	metadata.Stop()
	write("shared/shared.go", "package shared\n\nconst Answer = \"two\"\n")
	out.waitFor(t, "metadata is new after ")
	if state := metadata.Status().State; state != "stopped" {
		t.Errorf("metadata was stopped and is %s", state)
	}
}
