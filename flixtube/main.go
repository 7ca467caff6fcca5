// Flixtube runs the whole of FlixTube with one command and nothing but Go installed:
//
//	go run ./flixtube
//	go run ./flixtube help
//
// This program is small, so that it compiles in seconds and can say what goes on. It builds the launcher, whose manual
// is at the top of launcher/main.go, and runs it with the same arguments. The launcher's binary is kept in the user's
// cache folder.
package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Packages that this program imports are compiled before its first word: fmt, flag and net are left out on purpose.

func main() {
	gone := goRunGone()
	path, err := build()
	if err == nil {
		err = runLauncher(path, os.Args[1:], gone)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(exit.ExitCode(), 1)) // the program has said why
	}
	if err != nil {
		say(err.Error())
		os.Exit(1)
	}
}

func say(text string) { _, _ = os.Stderr.WriteString("flixtube: " + text + "\n") }

const (
	silence  = time.Second      // a build that takes longer is worth a line
	sayAgain = 10 * time.Second // between the lines after that
)

// build builds the launcher, if it is not up to date, and returns its path.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", errors.New("find a folder for the launcher: " + err.Error())
	}
	path := filepath.Join(cache, "flixtube", "launcher")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	wait := silence
	if _, err := os.Stat(path); err != nil { // the first time, which takes long
		wait = 0
	}
	defer reportProgress(wait)()
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", path, "flixtube/flixtube/launcher")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return path, cmd.Run()
}

// reportProgress says after wait that the launcher is being built, and again and again until done is called.
func reportProgress(wait time.Duration) (done func()) {
	began := time.Now()
	ended, said := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(said)
		text, next := "building the launcher; the first time this takes a while", wait
		for {
			select {
			case <-ended:
				if next == sayAgain {
					say("built the launcher in " + seconds(time.Since(began)))
				}
				return
			case <-time.After(next):
				say(text)
				text, next = "still building the launcher", sayAgain
			}
		}
	}()
	return func() { close(ended); <-said }
}

func seconds(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

// runLauncher runs the launcher until it ends. It asks it to stop when this program is asked to, or when gone is closed:
// the launcher stops when its standard input ends, which also happens when this program is killed.
func runLauncher(path string, args []string, gone <-chan struct{}) error {
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		select {
		case <-stop:
		case <-gone:
		}
		_ = stdin.Close()
	}()
	return cmd.Wait()
}

// goRunGone returns a channel that is closed when this program was started by "go run", and that is gone: go run does not
// forward SIGTERM, and cannot forward SIGKILL.
func goRunGone() <-chan struct{} {
	gone := make(chan struct{})
	parent := os.Getppid()
	go func() {
		if startedByGoRun() {
			awaitParent(parent)
			close(gone)
		}
	}()
	return gone
}

// startedByGoRun: go run puts the programs that it builds into its cache, or into a temporary folder go-build….
func startedByGoRun() bool {
	path, err := os.Executable()
	if err != nil {
		return false
	}
	if strings.Contains(path, "go-build") {
		return true
	}
	cache, err := exec.CommandContext(context.Background(), "go", "env", "GOCACHE").Output()
	if err != nil {
		return false // there is no go
	}
	folder, err := filepath.EvalSymlinks(strings.TrimSpace(string(cache)))
	return err == nil && strings.HasPrefix(path, folder+string(filepath.Separator))
}
