package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/flixtube/launch"
)

func noEnv(string) string { return "" }

// briefly is the context of a launcher that should not get far; if it does, the test ends all the same.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestATakenPortIsNamedFirst(t *testing.T) {
	for _, host := range []string{"127.0.0.1", ""} {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		data := filepath.Join(t.TempDir(), "data")
		err = run(briefly(t), []string{"-data", data, "-port", port}, noEnv, t.Output())
		if want := "gateway: port " + port + " is taken; choose another with -port"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if _, err := os.Stat(data); err == nil {
			t.Error("it began all the same")
		}
	}
}

// TestAWrongBroker is an error before anything is built.
func TestAWrongBroker(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	err := run(briefly(t), []string{"-data", data}, chassistest.Env(map[string]string{"RABBIT": "http://127.0.0.1:5672"}), t.Output())
	if want := `RABBIT must start with amqp:// or nats://, not with "http"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it began all the same")
	}
}

func TestADataFolderHasOneLauncher(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	unlock, err := lock(data)
	if err != nil {
		t.Fatal(err)
	}
	err = run(briefly(t), []string{"servers", "-data", data}, noEnv, t.Output())
	if err == nil || !strings.Contains(err.Error(), data+" is in use by another flixtube") {
		t.Errorf("error %v", err)
	}
	unlock()
	unlock, err = lock(data)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

func TestWrongArguments(t *testing.T) {
	for _, args := range [][]string{{"nonsense"}, {"-port", "65536"}, {"-port", "x"}, {"servers"}, {"servers", "-data", "x", "y"}} {
		if err := run(briefly(t), args, noEnv, t.Output()); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestServersThatAreGivenAreUsed(t *testing.T) {
	given := map[string]string{"RABBIT": "amqp://r", "DBHOST": "mongodb://d", "STORAGE_ACCOUNT_NAME": "a"}
	folder := t.TempDir()
	vars, stop, err := startServers(folder, chassistest.Env(given), launch.NewOutput(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if !maps.Equal(vars, given) {
		t.Errorf("the services get %v, want %v", vars, given)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) > 0 {
		t.Errorf("servers were started: their folders are %v, error %v", files, err)
	}
}

// TestTheKeyIsMadeOnce: it is the user's alone, and stays.
func TestTheKeyIsMadeOnce(t *testing.T) {
	folder := t.TempDir()
	var first []byte
	for range 2 {
		file, err := makeKey(folder)
		if err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(file)
		if err != nil || len(bytes.TrimSpace(key)) < 32 {
			t.Fatalf("the key is %q, %v", key, err)
		}
		info, err := os.Stat(file)
		if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("its file is %v, %v", info.Mode(), err)
		}
		if first == nil {
			first = key
		}
		if !bytes.Equal(key, first) {
			t.Error("the second start has another key")
		}
	}
	if _, err := makeKey(filepath.Join(folder, "none")); err == nil {
		t.Error("a key in a folder that is not there")
	}
}

func TestServersAlone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"servers", "-data", data, "-remove"}, noEnv, stdout)
		stdout.Close()
	}()
	lines := chassistest.ReadLines(r)
	for _, address := range []string{lines.Find(t, "DBHOST=mongodb://"), lines.Find(t, "RABBIT=nats://")} {
		if err := chassistest.Listening(address); err != nil {
			t.Error(err)
		}
		defer func() {
			if chassistest.Listening(address) == nil {
				t.Errorf("a server still listens on %s", address)
			}
		}()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the folder is still there")
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
		ctx, cancel := withGoRun(context.Background())
		defer cancel()
		if listener, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
			fmt.Println("listens on", listener.Addr())
			<-ctx.Done()
		}
	},
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child()
		return
	}
	os.Exit(m.Run())
}

// TestAKilledGoRun: a launcher that was started by go run ends with it, whatever the name of go's cache.
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
