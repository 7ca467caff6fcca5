package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
)

// childVariable makes the test binary behave as one of the children, by name.
const childVariable = "FLIXTUBE_TEST_CHILD"

var children = map[string]func(){
	"dying": func() {
		fmt.Print("I am dying") // and the line does not end
		os.Exit(3)
	},
	"serving": func() { process.Main(serveChild) },
	"stubborn": func() {
		signal.Ignore(syscall.SIGTERM)
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // but do not outlive the test
		_ = serveChild(context.Background(), os.Getenv, os.Stdout)
	},
	"run by go": func() {
		ctx, cancel := withGoRun(context.Background())
		defer cancel()
		_ = serveChild(ctx, os.Getenv, os.Stdout)
	},
	"go run": func() { // until it is killed
		cmd := exec.Command(filepath.Join(os.Getenv("GOCACHE"), "flixtube-test"+exe()), "-test.run=^$")
		cmd.Env, cmd.Stdout = childEnv("run by go"), os.Stdout
		_ = cmd.Run()
	},
	"launching": func() { // until it is killed
		out := newOutput(os.Stdout)
		newChild("child", os.Args[0], childEnv("serving"), out.named("child"), out.named("flixtube").say).start()
		select {}
	},
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child()
		return
	}
	os.Exit(m.Run())
}

func childEnv(name string) []string { return append(os.Environ(), childVariable+"="+name) }

func serveChild(ctx context.Context, _ func(string) string, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "child listens on %s\n", listener.Addr())
	<-ctx.Done()
	fmt.Fprintln(stdout, "child stopped cleanly")
	return nil
}

// startChild runs a child under supervision and returns its output, and the launcher's words, line by line.
func startChild(t *testing.T, name string, set func(*child)) (*child, <-chan string) {
	t.Helper()
	r, w := io.Pipe()
	out := newOutput(w)
	p := newChild("child", os.Args[0], childEnv(name), out.named("child"), out.named("flixtube").say)
	p.firstPause, p.lastPause = time.Millisecond, 4*time.Millisecond
	set(p)
	p.start()
	t.Cleanup(func() { p.stop(); w.Close() })
	return p, readLines(r)
}

// readLines reads on until the end, whether or not someone takes the lines.
func readLines(r io.Reader) <-chan string {
	found := make(chan string, 10_000)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			select {
			case found <- lines.Text():
			default:
			}
		}
	}()
	return found
}

// find returns what follows the words in the next line that holds them.
func find(t *testing.T, lines <-chan string, words string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("the output ended without %q", words)
			}
			if _, rest, ok := strings.Cut(line, words); ok {
				return rest
			}
		case <-timeout:
			t.Fatalf("nobody says %q", words)
		}
	}
}

// killedState is how the system describes a process that was killed.
var killedState = map[bool]string{false: "signal: killed", true: "exit status 1"}[runtime.GOOS == "windows"]

func TestADyingServiceIsStartedAgainWithBackOff(t *testing.T) {
	_, lines := startChild(t, "dying", func(*child) {})
	for _, pause := range []string{"1ms", "2ms", "4ms", "4ms"} {
		find(t, lines, "child           | I am dying")
		if got, want := find(t, lines, "flixtube        | child died"), " (exit status 3); starting it again in "+pause; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
}

func TestAServiceThatRanLongIsStartedAgainSoon(t *testing.T) {
	_, lines := startChild(t, "dying", func(p *child) { p.healthy = 0 })
	for range 3 {
		if got := find(t, lines, "starting it again in "); got != "1ms" {
			t.Errorf("said %q, want 1ms", got)
		}
	}
}

func TestAKilledServiceIsStartedAgain(t *testing.T) {
	p, lines := startChild(t, "serving", func(*child) {})
	before := find(t, lines, "listens on ")
	p.kill()
	find(t, lines, "child died ("+killedState+")")
	if after := find(t, lines, "listens on "); after == before {
		t.Errorf("the same child listens on %s", after)
	}
}

func TestAServiceIsStoppedCleanly(t *testing.T) {
	p, lines := startChild(t, "serving", func(*child) {})
	address := find(t, lines, "listens on ")
	p.stop()
	find(t, lines, "child stopped cleanly")
	if answers(address) {
		t.Error("it is still there")
	}
	p.start()
	find(t, lines, "listens on ")
}

func TestAKilledLauncherTakesItsServicesWithIt(t *testing.T) {
	killedWith(t, childEnv("launching"))
}

// TestAKilledGoRun: however the folder is called in which go keeps what it has built.
func TestAKilledGoRun(t *testing.T) {
	cache, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(cache, "flixtube-test"+exe()), program, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	killedWith(t, append(childEnv("go run"), "GOCACHE="+cache))
}

// killedWith starts a child that starts a service, and kills it: the service goes, too.
func killedWith(t *testing.T, env []string) {
	t.Helper()
	parent := exec.Command(os.Args[0])
	parent.Env = env
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill(); _ = parent.Wait() })
	address := find(t, readLines(stdout), "listens on ")
	if !answers(address) {
		t.Fatal("the service does not answer")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is gone", func() bool { return !answers(address) })
}

func (p *child) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return 0
	}
	return p.running.Pid
}

func answers(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, 30*time.Second, what, func() error {
		if !ok() {
			return errors.New("still not")
		}
		return nil
	})
}

func within(t *testing.T, limit time.Duration, what string, try func() error) {
	t.Helper()
	if err := chassistest.Poll(limit, try); err != nil {
		t.Fatalf("not so: %s: %v", what, err)
	}
}
