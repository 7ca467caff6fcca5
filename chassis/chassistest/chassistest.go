// Package chassistest starts services, as their mains do, and real servers for tests. On a machine that lacks one of those
// programs the test is skipped with its name; under CI=true it fails.
package chassistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/backoff"
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

// Program returns the path of a program that the machine may lack.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, name)
	}
	return path
}

// The account that every Azurite has; its key is public.
const (
	AzuriteAccount = "devstoreaccount1"
	AzuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Buffer is an output that a test reads while it is written.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Env makes a getenv of a map.
func Env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

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
	port := FreePort(tb)
	env := map[string]string{"HOST": "127.0.0.1", "PORT": port}
	maps.Copy(env, vars)
	ctx, cancel := context.WithCancel(context.Background())
	logs, stdout := io.Pipe()
	ended := make(chan struct{})
	var result error // once ended is closed
	go func() {
		result = run(ctx, Env(env), stdout)
		_ = stdout.Close() // never fails
		close(ended)
	}()
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			tb.Log(lines.Text())
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
			<-logged
			if result != nil {
				tb.Errorf("the service stopped with: %v", result)
			}
		case <-time.After(process.DrainTime + 10*time.Second):
			tb.Errorf("the service does not stop")
		}
	})
	tb.Cleanup(stop)
	address = net.JoinHostPort("127.0.0.1", port)
	Eventually(tb, 30*time.Second, "the service listens", func() error {
		select {
		case <-ended:
			tb.Fatalf("the service ended before it listened: %v", result)
		default:
		}
		return Listening(address)
	})
	return "http://" + address, stop
}

// RejectsBroker checks that a service ends at its start, with an error that says why, when RABBIT is no broker's address.
func RejectsBroker(tb testing.TB, run process.Run, vars map[string]string) {
	tb.Helper()
	env := map[string]string{"PORT": FreePort(tb), "RABBIT": "http://user:secret@127.0.0.1:5672"}
	maps.Copy(env, vars)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := run(ctx, Env(env), io.Discard)
	if want := `RABBIT must start with amqp:// or nats://, not with "http"`; err == nil || err.Error() != want {
		tb.Errorf("error %v, want %s", err, want)
	}
}

// Listening is nil if connections to a host:port are accepted.
func Listening(address string) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Servers starts a FerretDB and a NATS JetStream for this test alone, and returns their addresses as variables: DBHOST
// and RABBIT.
func Servers(tb testing.TB) map[string]string {
	tb.Helper()
	servers, err := startServers()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(servers.stop)
	return servers.vars
}

// servers are the embedded ones of the launcher, as a child process. They stop with this process, if not by stop, and
// when this becomes garbage, which closes their standard input.
type servers struct {
	vars  map[string]string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startServers() (*servers, error) {
	dir, err := os.MkdirTemp("", "flixtube-servers-")
	if err != nil {
		return nil, err
	}
	s := &servers{vars: map[string]string{}, cmd: exec.Command("go", "run", "flixtube/flixtube/servers", "-data", dir, "-remove")}
	s.cmd.Env = append(os.Environ(), "STOP_WITH_PARENT=1")
	s.cmd.Stderr = os.Stderr
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	for len(s.vars) < 2 && lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			s.vars[name] = value
		}
	}
	if len(s.vars) < 2 {
		s.stop()
		return nil, errors.New("the embedded servers did not start")
	}
	return s, nil
}

func (s *servers) stop() {
	_ = s.stdin.Close()
	_ = s.cmd.Wait() // what went wrong is on the standard error
}

// shared are started once for each test binary.
var shared = sync.OnceValues(startServers)

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
	servers, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return servers.vars[name]
}

// Eventually tries again until try returns nil. When the time is over it fails the test with the last error.
func Eventually(tb testing.TB, limit time.Duration, what string, try func() error) {
	tb.Helper()
	if err := Poll(limit, try); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// Poll tries again until try returns nil or the time is over, and returns the last error.
func Poll(limit time.Duration, try func() error) error {
	deadline := time.Now().Add(limit)
	wait := backoff.Backoff{Min: time.Millisecond, Max: 100 * time.Millisecond}
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", limit, err)
		}
		wait.Wait(context.Background(), err)
	}
}

// ReadLines reads on until the end, also while nobody finds anything in it.
func ReadLines(r io.Reader) *Lines {
	found := make(chan string, 10_000)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			select {
			case found <- lines.Text():
			default: // full
			}
		}
	}()
	return &Lines{found}
}

// Lines are what a program writes.
type Lines struct{ found chan string }

// Find returns what follows the words in the next line that holds them. It fails the test after two minutes.
func (l *Lines) Find(tb testing.TB, words string) (rest string) {
	tb.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case line, more := <-l.found:
			if !more {
				tb.Fatalf("the output ended without %q", words)
			}
			if _, rest, ok := strings.Cut(line, words); ok {
				return rest
			}
		case <-timeout:
			tb.Fatalf("there is no line with %q", words)
		}
	}
}
