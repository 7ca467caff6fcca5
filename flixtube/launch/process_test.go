package launch

import (
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
	"syscall"
	"testing"
	"testing/synctest"
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
	"launching": func() { // until it is killed
		NewProcess("child", os.Args[0], childEnv("serving"), NewOutput(os.Stdout)).Start()
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

// startChild runs a child under supervision and returns its output, and that of the launcher.
func startChild(t *testing.T, name string) (*Process, *chassistest.Lines) {
	t.Helper()
	r, w := io.Pipe()
	p := NewProcess("child", os.Args[0], childEnv(name), NewOutput(w))
	lines := chassistest.ReadLines(r)
	p.Start()
	t.Cleanup(func() { p.Stop(); w.Close() })
	return p, lines
}

// killedState is how the operating system describes a process that was killed.
var killedState = map[bool]string{false: "signal: killed", true: "exit status 1"}[runtime.GOOS == "windows"]

func TestADyingProcessIsRestarted(t *testing.T) {
	_, lines := startChild(t, "dying")
	for range 2 {
		lines.Find(t, "child           | I am dying")
		lines.Find(t, "flixtube        | child died (exit status 3); restarting it")
	}
}

// TestRestartsAreSpaced: the waits double up to a limit, and a long run starts them over.
func TestRestartsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var waits []time.Duration
		var ended time.Time
		keepRunning(ctx, func(context.Context) error {
			if !ended.IsZero() {
				waits = append(waits, time.Since(ended))
			}
			switch len(waits) {
			case 10:
				<-time.After(healthy)
			case 11:
				cancel()
			}
			ended = time.Now()
			return errors.New("broken")
		}, func(error) {})
		want := []time.Duration{200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 200}
		for i, ms := range want {
			if mean := ms * time.Millisecond; waits[i] < mean/2 || waits[i] > mean*3/2 {
				t.Errorf("wait %d is %v, want %v, give or take half", i, waits[i], mean)
			}
		}
	})
}

// TestAStoppedProcessStaysStopped: also one that has died and waits to be restarted.
func TestAStoppedProcessStaysStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing")
	synctest.Test(t, func(t *testing.T) {
		p := NewProcess("child", path, nil, NewOutput(t.Output()))
		p.Start()
		synctest.Wait()
		if s := p.Status(); s.State != "restarting" || s.Deaths != 1 {
			t.Errorf("it does not start, and is %+v", s)
		}
		p.Stop()
		<-time.After(time.Hour)
		if s := p.Status(); s.State != "stopped" || s.Deaths != 1 {
			t.Errorf("it was stopped, and is %+v", s)
		}
	})
}

func TestAKilledProcessIsRestarted(t *testing.T) {
	p, lines := startChild(t, "serving")
	before := lines.Find(t, "listens on ")
	running, err := os.FindProcess(p.PID())
	if err == nil {
		err = running.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines.Find(t, "child died ("+killedState+")")
	if after := lines.Find(t, "listens on "); after == before {
		t.Errorf("the same child listens on %s", after)
	}
}

func TestAProcessIsStoppedCleanly(t *testing.T) {
	p, lines := startChild(t, "serving")
	address := lines.Find(t, "listens on ")
	p.Stop()
	lines.Find(t, "child stopped cleanly")
	if chassistest.Listening(address) == nil || p.PID() != 0 {
		t.Error("it is still there")
	}
	p.Start()
	lines.Find(t, "listens on ")
}

// TestAKilledLauncherTakesItsServicesWithIt: even kill -9 leaves no service behind.
func TestAKilledLauncherTakesItsServicesWithIt(t *testing.T) {
	launcher := exec.Command(os.Args[0])
	launcher.Env = childEnv("launching")
	stdout, err := launcher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = launcher.Process.Kill(); _ = launcher.Wait() })
	address := chassistest.ReadLines(stdout).Find(t, "listens on ")
	if err := chassistest.Listening(address); err != nil {
		t.Fatal(err)
	}
	if err := launcher.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	chassistest.Eventually(t, 30*time.Second, "the service is gone", func() error {
		if chassistest.Listening(address) == nil {
			return errors.New("it still listens")
		}
		return nil
	})
}
