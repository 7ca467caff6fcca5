package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flixtube/flixtube/launch"
)

// lookEvery is between looks at the sources. A change is built once it is that old: an editor may write several files.
const lookEvery = 100 * time.Millisecond

// watcher rebuilds and restarts the services whose sources change.
type watcher struct {
	*site
	root, bin string

	folders map[string][]string // the folders of each service's sources
	built   map[string]uint64   // how each folder was at its last build
}

// watch works until ctx is done.
func (s *site) watch(ctx context.Context, root, bin string) error {
	w := watcher{site: s, root: root, bin: bin}
	if err := w.findSources(ctx); err != nil {
		return err
	}
	w.built = w.look()
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		before := w.built
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := w.look()
			if names := w.changed(now); len(names) > 0 && maps.Equal(now, before) {
				w.built = now
				w.rebuild(ctx, names)
			}
			before = now
		}
	}()
	return nil
}

// findSources finds the folders of each service and of what it imports from the workspace.
func (w *watcher) findSources(ctx context.Context) error {
	args := []string{"list", "-f", "{{.ImportPath}}{{range .Deps}} {{.}}{{end}}"}
	for _, name := range launch.Names() {
		args = append(args, "./"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = w.root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list the sources: %w", err)
	}
	w.folders = map[string][]string{}
	for line := range strings.Lines(string(out)) {
		packages := strings.Fields(line)
		name := strings.TrimPrefix(packages[0], "flixtube/")
		for _, p := range packages {
			if folder, ok := strings.CutPrefix(p, "flixtube/"); ok { // each module has the name of its folder
				w.folders[name] = append(w.folders[name], filepath.Join(w.root, filepath.FromSlash(folder)))
			}
		}
	}
	return nil
}

// look returns a sum of the names, sizes and times of the files in each folder. What is embedded may be anywhere below it.
func (w *watcher) look() map[string]uint64 {
	sums := map[string]uint64{}
	for _, folders := range w.folders {
		for _, folder := range folders {
			if _, ok := sums[folder]; !ok {
				sums[folder] = sum(folder)
			}
		}
	}
	return sums
}

func sum(folder string) uint64 {
	h := fnv.New64a()
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed meanwhile
		}
		hidden := strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() {
			if hidden || entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := entry.Info(); err == nil && !hidden && !strings.HasSuffix(path, "_test.go") {
			fmt.Fprintln(h, path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return h.Sum64()
}

// changed returns the services whose sources are not as they were built.
func (w *watcher) changed(now map[string]uint64) (names []string) {
	for _, name := range launch.Names() {
		if slices.ContainsFunc(w.folders[name], func(folder string) bool { return now[folder] != w.built[folder] }) {
			names = append(names, name)
		}
	}
	return names
}

// rebuild builds services and replaces those that are others now. They run on until their successors are known to start.
func (w *watcher) rebuild(ctx context.Context, names []string) {
	began := time.Now()
	next := filepath.Join(w.bin, "next")
	w.output.Say("building %s", strings.Join(names, ", "))
	if err := launch.BuildFolders(ctx, w.root, next, w.output, names...); err != nil {
		if ctx.Err() == nil {
			w.output.Say("%v; nothing is restarted", err)
		}
		return
	}
	for _, name := range names {
		service := w.system.Services[name]
		path := filepath.Join(next, filepath.Base(service.Path))
		if same(path, service.Path) {
			continue
		}
		state, err := w.replace(ctx, service, path)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.output.Say("the new %s does not start: %v; the old one runs on", name, err)
			continue
		}
		w.output.Say("%s is new after %.1f s, and %s", name, time.Since(began).Seconds(), state)
	}
	if err := w.findSources(ctx); err != nil && ctx.Err() == nil {
		w.output.Say("%v", err)
	}
	for folder, sum := range w.look() {
		if _, ok := w.built[folder]; !ok { // it is imported now
			w.built[folder] = sum
		}
	}
}

// same tells whether two files are. Builds of the same sources are.
func same(a, b string) bool {
	one, err := os.ReadFile(a)
	if err != nil {
		return false
	}
	other, err := os.ReadFile(b)
	return err == nil && bytes.Equal(one, other)
}

// replace puts the program at path in the place of a service's, and restarts the service if it runs.
func (w *watcher) replace(ctx context.Context, service *launch.Service, path string) (state string, err error) {
	w.acting.Lock()
	defer w.acting.Unlock()
	stopped := service.Status().State == "stopped"
	if !stopped {
		if err := w.tryOut(ctx, service, path); err != nil {
			return "", err
		}
		service.Stop()
	}
	if err := os.Rename(path, service.Path); err != nil || stopped {
		if !stopped {
			service.Start()
		}
		return "stopped as before", err
	}
	service.Start()
	return w.awaitReady(ctx, service.Process)
}

// startTimeout is how long a new program may take until it listens.
const startTimeout = 30 * time.Second

// tryOut runs a program as a second replica of a service until it listens, so that one that cannot start, because a
// template does not parse, say, never takes the place of one that works.
func (w *watcher) tryOut(ctx context.Context, service *launch.Service, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	replica := launch.NewProcess("new "+service.Name, path, append(slices.Clip(service.Env), "PORT="+port), w.output)
	replica.Args = service.Args
	replica.Start()
	defer replica.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			return nil
		}
		if replica.Status().Deaths > 0 {
			return errors.New("the lines above say why")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not listen after %v", startTimeout)
		case <-tick.C:
		}
	}
}
