package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/process"
	"flixtube/flixtube/internal/datafolder"
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

// TestAWrongVariable is one error before anything is built, not one of each service that dies of it.
func TestAWrongVariable(t *testing.T) {
	for name, test := range map[string]struct{ value, want string }{
		"RABBIT":          {"http://127.0.0.1:5672", `RABBIT must start with amqp:// or nats://, not with "http"`},
		"VIEWED_DELIVERY": {"pigeon", "VIEWED_DELIVERY must be direct, queue or fanout"},
		"LOG_LEVEL":       {"loud", "LOG_LEVEL must be debug, info, warn or error"},
	} {
		data := filepath.Join(t.TempDir(), "data")
		err := run(briefly(t), []string{"-data", data}, chassistest.Env(map[string]string{name: test.value}), t.Output())
		if err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
		if _, err := os.Stat(data); err == nil {
			t.Error("it began all the same")
		}
	}
}

func TestADataFolderHasOneLauncher(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	unlock, err := datafolder.Lock(data, "lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	err = run(briefly(t), []string{"-data", data, "-port", chassistest.FreePort(t)}, noEnv, t.Output())
	if err == nil || !strings.Contains(err.Error(), data+" is in use by another flixtube") {
		t.Errorf("error %v", err)
	}
}

func TestWrongArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"nonsense", `unknown command "nonsense"`},
		{"", `unknown command ""`},
		{"-remove", "the start of the site has no flag -remove"},
		{"-port 65536", "-port 65536: a port is"},
		{"-port x", `invalid value "x" for flag -port`},
		{"-x", "flag provided but not defined: -x"},
		{"servers", "-data is missing"},
		{"servers -data x y", `servers takes no argument "y"`},
		{"dead list -port 1", "dead has no flag -port"},
		{"-watch status", "status has no flag -watch"},
		{"stop", "usage: go run ./flixtube stop NAME, which is one of gateway, "},
		{"kill postgres", "usage: go run ./flixtube kill NAME, which is one of gateway, "},
	} {
		err := run(briefly(t), strings.Split(test.args, " "), noEnv, t.Output())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s", test.args, err, test.want)
		}
	}
}

// TestHelp: the manual names every command and flag, however it is asked for.
func TestHelp(t *testing.T) {
	for _, args := range []string{"help", "-h", "--help", "dead -h", "-data x stop -help", "stop history -h"} {
		var out bytes.Buffer
		if err := run(briefly(t), strings.Fields(args), noEnv, &out); err != nil || out.String() != manual {
			t.Errorf("%s: error %v, output %s", args, err, &out)
		}
	}
	for name := range commands() {
		if !strings.Contains(manual, strings.TrimSpace("\n  flixtube "+name)) {
			t.Errorf("the manual lacks %s", name)
		}
	}
	for _, name := range []string{"dead", "videos"} {
		for usage := range strings.SplitSeq(commands()[name].args, " | ") {
			verb, _, _ := strings.Cut(usage, " ")
			line := regexp.MustCompile(`\n  flixtube ` + name + ` ` + verb + `( [A-Z]+)*( +|\n {28})[a-z]`)
			if !line.MatchString(manual) {
				t.Errorf("the manual does not say what %s %s does", name, verb)
			}
		}
	}
	for _, name := range []string{"-data", "-port", "-watch", "-id", "-remove", "-version"} {
		if !strings.Contains(manual, name) {
			t.Errorf("the manual lacks %s", name)
		}
	}
}

// TestVersion: the flag may be anywhere, as others may.
func TestVersion(t *testing.T) {
	want := process.Name() + " " + process.Version + "\n"
	for _, args := range []string{"-version", "status -version", "-data x -version", "-version dead list"} {
		var out bytes.Buffer
		if err := run(briefly(t), strings.Fields(args), noEnv, &out); err != nil || out.String() != want {
			t.Errorf("%s: error %v, output %q", args, err, &out)
		}
	}
}

func TestGivenServers(t *testing.T) {
	given := map[string]string{"RABBIT": "amqp://r", "DBHOST": "mongodb://d", "STORAGE_ACCOUNT_NAME": "a"}
	if vars := givenServers(call{getenv: chassistest.Env(given)}); !maps.Equal(vars, given) {
		t.Errorf("the services get %v, want %v", vars, given)
	}
	vars := givenServers(call{options: options{data: "d"}, getenv: noEnv})
	if want := map[string]string{"VIDEOS_DIR": filepath.Join("d", "videos")}; !maps.Equal(vars, want) {
		t.Errorf("the services get %v, want %v", vars, want)
	}
}

func TestServersAlone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-data", data, "servers", "-remove"}, noEnv, stdout)
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
