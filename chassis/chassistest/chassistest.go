// Package chassistest starts what tests need: a service as its main would, and real servers. On a machine
// that lacks one of those the test is skipped, saying what is missing; under CI=true it fails.
package chassistest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/process"
)

// Missing skips the test because the machine lacks something; under CI=true it fails it.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing, and under CI=true nothing may be", what)
	}
	tb.Skipf("%s is missing on this machine", what)
}

// The account that every Azurite has; its key is public.
const (
	AzuriteAccount = "devstoreaccount1"
	AzuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Env makes a getenv of a map.
func Env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

var listening = regexp.MustCompile(`msg=listening addr=(\S+)`)

// Start runs a service on a free port of 127.0.0.1 and returns its address, as in http://127.0.0.1:1234. It is
// stopped at the end of the test, which fails if the service does not stop cleanly.
func Start(tb testing.TB, run process.Run, vars map[string]string) (address string) {
	tb.Helper()
	address, _ = StartStop(tb, run, vars)
	return address
}

// StartStop is Start for tests that stop the service themselves: stop does it, and waits for it.
func StartStop(tb testing.TB, run process.Run, vars map[string]string) (address string, stop func()) {
	tb.Helper()
	env := map[string]string{"HOST": "127.0.0.1", "PORT": "0"}
	for k, v := range vars {
		env[k] = v
	}
	ctx, cancel := context.WithCancel(context.Background())
	logs, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, Env(env), stdout)
		_ = stdout.Close() // never fails
		ended <- err
	}()
	found := make(chan string, 1)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			tb.Log(lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- "http://" + m[1]
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			<-logged
			if err != nil {
				tb.Errorf("the service stopped with: %v", err)
			}
		case <-time.After(process.DrainTime + 10*time.Second):
			tb.Errorf("the service does not stop")
		}
	})
	tb.Cleanup(stop)
	select {
	case address = <-found:
	case err := <-ended:
		ended <- err
		tb.Fatalf("the service ended before it listened: %v", err)
	case <-time.After(30 * time.Second):
		tb.Fatal("the service does not listen")
	}
	return address, stop
}

// servers starts the launcher's embedded servers, once for each test binary; they stop with it.
var servers = sync.OnceValues(func() (map[string]string, error) {
	dir, err := os.MkdirTemp("", "flixtube-servers-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "run", "flixtube/flixtube", "servers", "-data", dir, "-remove")
	cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // stays open as long as this process lives
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	vars := map[string]string{}
	lines := bufio.NewScanner(stdout)
	for len(vars) < 2 && lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			vars[name] = value
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		runtime.KeepAlive(cmd) // garbage, it would close the pipe and with that stop the servers
	}()
	return vars, lines.Err()
})

// Mongo returns the address of a database server: the MongoDB that the variable TEST_MONGODB names (mongodb://…), or else an
// embedded FerretDB. Tests share it: each uses a database name of its own, and drops that database.
func Mongo(tb testing.TB) string {
	tb.Helper()
	if address := os.Getenv("TEST_MONGODB"); address != "" {
		return address
	}
	return server(tb, "DBHOST")
}

// JetStream returns the address of an embedded NATS JetStream, shared by the tests of a package.
func JetStream(tb testing.TB) string { tb.Helper(); return server(tb, "RABBIT") }

func server(tb testing.TB, name string) string {
	tb.Helper()
	vars, err := servers()
	if err != nil || vars[name] == "" {
		tb.Fatalf("the embedded servers did not start: %v", err)
	}
	return vars[name]
}

// Poll tries again until try returns nil or the time is over, and returns the last error.
func Poll(limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		time.Sleep(pause)
	}
}
