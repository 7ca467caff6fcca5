package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
)

// TestImports: what this program imports is compiled before its first word.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	for _, large := range []string{"fmt", "flag", "reflect", "net", "net/http", "log/slog"} {
		if slices.Contains(deps, large) {
			t.Errorf("it imports %s", large)
		}
	}
}

// TestArgumentsReachTheLauncher, and its exit status comes back. The launcher is built as users have it.
func TestArgumentsReachTheLauncher(t *testing.T) {
	program := filepath.Join(t.TempDir(), "flixtube.exe")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cache := t.TempDir()
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		status int
		output string
	}{
		"-version":    {0, "flixtube development\n"},
		"dead -h":     {0, "flixtube dead list"},
		"-port 65536": {1, "a port is a number from 1 to 65535\n"},
	} {
		cmd := exec.Command(program, strings.Fields(args)...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "LocalAppData="+cache, "GOCACHE="+strings.TrimSpace(string(goCache)))
		out, _ := cmd.CombinedOutput()
		if status := cmd.ProcessState.ExitCode(); status != want.status || !strings.Contains(string(out), want.output) {
			t.Errorf("%s: status %d, output %q", args, status, out)
		}
	}
}

// childVariable makes the test binary behave as one of the children, by name.
const childVariable = "FLIXTUBE_TEST_CHILD"

var children = map[string]func(){
	"go run": func() { // until it is killed
		cmd := exec.Command(filepath.Join(os.Getenv("GOCACHE"), "flixtube-test.exe"), "-test.run=^$")
		cmd.Env, cmd.Stdout = append(os.Environ(), childVariable+"=run by go"), os.Stdout
		_ = cmd.Run()
	},
	"run by go": func() {
		_ = os.Setenv(childVariable, "launcher")
		if err := runLauncher(os.Args[0], []string{"-test.run=^$"}, goRunGone()); err != nil {
			panic(err)
		}
	},
	"launcher": func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println("listens on", listener.Addr())
		_, _ = io.Copy(io.Discard, os.Stdin)
	},
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child()
		return
	}
	os.Exit(m.Run())
}

// TestAKilledGoRun: the launcher ends with the go run that started its parent, whatever the name of go's cache.
func TestAKilledGoRun(t *testing.T) {
	cache, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(cache, "flixtube-test.exe"), program, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	goRun := exec.Command(os.Args[0])
	goRun.Env = append(os.Environ(), childVariable+"=go run", "GOCACHE="+cache)
	stdout, err := goRun.StdoutPipe()
	if err == nil {
		err = goRun.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = goRun.Process.Kill(); _ = goRun.Wait() })
	address := chassistest.ReadLines(stdout).Find(t, "listens on ")
	if err := goRun.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	chassistest.Eventually(t, 30*time.Second, "the launcher is gone", func() error {
		if chassistest.Listening(address) == nil {
			return errors.New("it still listens")
		}
		return nil
	})
}
