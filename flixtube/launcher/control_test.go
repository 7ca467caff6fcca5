package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"

	"flixtube/flixtube/launch"
)

// newTestSite has services that are not started.
func newTestSite(t *testing.T, broker string) *site {
	t.Helper()
	output := launch.NewOutput(t.Output())
	system, err := launch.New(launch.Options{Bin: t.TempDir(), Data: t.TempDir(), Output: output})
	if err != nil {
		t.Fatal(err)
	}
	return &site{system: system, vars: map[string]string{"RABBIT": broker, "DBHOST": "mongodb://127.0.0.1:27017"}, viewed: "fanout", output: output}
}

// controlled is a data folder through which commands reach s.
func controlled(t *testing.T, s *site) string {
	t.Helper()
	data, err := os.MkdirTemp("", "flixtube-") //nolint:usetesting // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	stop, err := s.control(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return data
}

// childVariable makes the test binary a service that is always ready.
const childVariable = "FLIXTUBE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		process.Main(func(ctx context.Context, getenv func(string) string, stdout io.Writer) error {
			ready := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
			return process.Service{Addr: "127.0.0.1:" + getenv("PORT"), Handler: ready, Log: process.NewLogger(stdout, 0)}.Run(ctx)
		})
		return
	}
	os.Exit(m.Run())
}

// startTestService starts history alone.
func startTestService(t *testing.T, s *site) *launch.Service {
	t.Helper()
	history := s.system.Services["history"]
	history.Path, history.Args = os.Args[0], []string{"-test.run=^$"}
	history.Env = append(os.Environ(), childVariable+"=1", "PORT="+port(history.Address))
	history.Start()
	t.Cleanup(history.Stop)
	if err := s.system.WaitReady(briefly(t)); err != nil {
		t.Fatal(err)
	}
	return history
}

// TestControl acts on a running service from other processes, as far as they can tell.
func TestControl(t *testing.T) {
	s := newTestSite(t, "nats://127.0.0.1:4222")
	history := startTestService(t, s)
	data := controlled(t, s)
	flixtube := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if err := run(t.Context(), append(args, "-data", data), noEnv, &out); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out.String()
	}
	// row waits for a state in the status, and returns the process.
	row := func(state string) (pid string) {
		t.Helper()
		chassistest.Eventually(t, 30*time.Second, "history is "+state, func() error {
			out := flixtube("status")
			_, rest, _ := strings.Cut(out, "history ")
			fields := strings.Fields(rest)
			if len(fields) < 3 || fields[0] != state || fields[1] != port(history.Address) {
				return fmt.Errorf("the status is\n%s", out)
			}
			pid = fields[2]
			return nil
		})
		return pid
	}
	err := run(t.Context(), []string{"videos", "list", "-data", data}, noEnv, io.Discard)
	if metadata := s.system.Services["metadata"].Address; err == nil || !strings.Contains(err.Error(), ":"+port(metadata)+"/") {
		t.Errorf("videos asks another metadata than that of the site, %s: %v", metadata, err)
	}
	listening := func() bool { return chassistest.Listening(strings.TrimPrefix(history.Address, "http://")) == nil }

	first := row("running")
	if out := flixtube("status"); !strings.Contains(out, "broker: nats://127.0.0.1:4222\n") || !strings.Contains(out, "viewed: fanout") {
		t.Errorf("the status is\n%s", out)
	}
	flixtube("stop", "history")
	if pid := row("stopped"); pid != "-" || listening() {
		t.Errorf("it was stopped; its process is %s", pid)
	}
	if out := flixtube("start", "history"); !strings.HasPrefix(out, "history is ready, process ") || !listening() {
		t.Errorf("started: %s", out)
	}
	second := row("running")
	flixtube("restart", "history")
	third := row("running")
	flixtube("kill", "history")
	chassistest.Eventually(t, 30*time.Second, "it is restarted", func() error {
		if now := history.Status(); now.PID == 0 || fmt.Sprint(now.PID) == third || now.Deaths != 1 {
			return fmt.Errorf("it is %+v", now)
		}
		return nil
	})
	if fourth := row("running"); first == second || second == third || third == fourth {
		t.Errorf("the processes were %s, %s, %s, %s", first, second, third, fourth)
	}

	if runtime.GOOS == "windows" {
		return
	}
	if err := s.system.WaitReady(briefly(t)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(data + "/" + controlFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, error %v", info, err)
	}
	answers := func() error {
		res, err := (&http.Client{Timeout: time.Second}).Get(history.Address)
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	flixtube("pause", "history")
	row("paused")
	chassistest.Eventually(t, 30*time.Second, "it answers nothing", func() error { // the signal reaches its threads one by one
		if answers() == nil {
			return errors.New("it answers, and is paused")
		}
		return nil
	})
	flixtube("resume", "history")
	row("running")
	if err := answers(); err != nil {
		t.Error(err)
	}
	flixtube("pause", "history")
	flixtube("stop", "history") // does not wait for ever
	row("stopped")
	if err := run(t.Context(), []string{"kill", "history", "-data", data}, noEnv, io.Discard); err == nil || err.Error() != "kill history: history does not run" {
		t.Errorf("a stopped service is killed: %v", err)
	}
}

func TestWithoutBroker(t *testing.T) {
	line := newTestSite(t, "amqp://ann:secret@127.0.0.1:1").withoutBroker(t.Context())
	if want := "the broker at amqp://ann:xxxxx@127.0.0.1:1 does not answer ("; !strings.HasPrefix(line, want) || strings.Contains(line, "secret") {
		t.Errorf("the line begins with %q, want %q", line, want)
	}
	if line := newTestSite(t, chassistest.JetStream(t)).withoutBroker(t.Context()); line != "" {
		t.Errorf("the broker answers, and the line begins with %q", line)
	}
}

// TestReadyWithoutBroker: the line that says that the site is ready begins with the broker that does not answer.
func TestReadyWithoutBroker(t *testing.T) {
	s := newTestSite(t, "amqp://127.0.0.1:1")
	var said bytes.Buffer
	s.output = launch.NewOutput(&said)
	t.Setenv(childVariable, "1")
	for _, service := range s.system.Services {
		service.Path = os.Args[0]
	}
	t.Cleanup(s.system.Stop)
	if err := s.start(briefly(t), call{options: options{data: t.TempDir()}, getenv: noEnv}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	_, last, _ := strings.Cut(lines[len(lines)-1], "| ")
	if !strings.HasPrefix(last, "the broker at amqp://127.0.0.1:1 does not answer (") || !strings.HasSuffix(last, "; FlixTube is ready at "+s.system.URL) {
		t.Errorf("the last line is %q", last)
	}
}
